"""Folders, the trash and exports over REST."""

import json

import pytest
from django.test import Client

from experiments.models import Experiment, Folder, Run
from experiments.services import experiments, runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/projects/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def by(project):
    return writer(project)


def caller(user, project, scopes):
    secret = make_token(user, project, scopes)

    def call(method, path, body=None):
        answer = Client().generic(
            method, f"{ROOT}{path}", json.dumps(body or {}), "application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip
        if getattr(answer, "streaming", False):
            return answer.status_code, b"".join(answer.streaming_content)
        return answer.status_code, answer.json() if answer.content else None

    return call


@pytest.fixture
def api(project):
    return caller(make_user("ana", role="scientist", project=project), project, ["read", "write"])


@pytest.fixture
def admin(project):
    return caller(make_user("adi", role="admin", project=project), project, ["read", "write", "admin"])


def test_folders_are_made_changed_listed_and_deleted(api, project):
    status, top = api("POST", "/folders/", {"name": "2026"})
    assert (status, top["path"], top["parent"]) == (201, "2026", None)
    _, inner = api("POST", "/folders/", {"name": "deep", "parent": top["id"]})
    make_run(make_experiment(project))
    _, moved = api("PUT", "/experiments/churn-gbm/folder/", {"folder": inner["id"]})
    assert (moved["folder"], moved["run_count"]) == (inner["id"], 1)
    assert api("PATCH", "/experiments/churn-gbm/", {"description": "now"})[1]["run_count"] == 1
    assert api("POST", "/experiments/", {"name": "churn-gbm"})[1]["run_count"] == 1
    _, listed = api("GET", "/folders/")
    assert [(each["path"], each["experiments"]) for each in listed] == [("2026", 1), ("2026 / deep", 1)]
    assert api("PATCH", f"/folders/{inner['id']}/", {"name": "low", "parent": None})[1]["path"] == "low"
    status, refused = api("PATCH", f"/folders/{top['id']}/", {"parent": top["id"]})
    assert (status, refused["code"]) == (400, "folder_circle")
    status, refused = api("DELETE", f"/folders/{inner['id']}/")
    assert (status, refused["code"]) == (409, "folder_not_empty")
    assert api("DELETE", f"/folders/{inner['id']}/?content=up")[0] == 204
    assert (Experiment.objects.get().folder, Folder.objects.count()) == (None, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": "a/b"}, "name"), ({"name": "a", "parent": 999}, "parent"), ({"name": 3}, "name")],
)
def test_a_wrong_folder_is_named(api, project, body, field):
    status, answer = api("POST", "/folders/", body)
    assert (status, answer["field"]) == (400, field)


def test_an_experiment_is_changed_in_parts(api, project):
    make_experiment(project)
    api("PATCH", "/experiments/churn-gbm/", {"description": "**Why**"})
    _, changed = api("PATCH", "/experiments/churn-gbm/", {"name": "better", "primary_metric": "auc"})
    assert (changed["name"], changed["description"], changed["primary_metric"]) == ("better", "**Why**", "auc")


def test_an_experiment_goes_to_the_trash_and_comes_back(api, project):
    place = make_experiment(project)
    make_run(place)
    assert api("POST", "/experiments/churn-gbm/archive/")[0] == 204
    assert [each["name"] for each in api("GET", "/trash/experiments/")[1]["results"]] == ["churn-gbm"]
    assert api("GET", "/trash/runs/")[1]["results"] == []
    assert api("POST", "/experiments/churn-gbm/archive/")[0] == 404
    assert api("POST", f"/experiments/{place.pk}/restore/")[1]["name"] == "churn-gbm"
    assert Run.objects.active().count() == 1


def test_removal_is_for_admins(api, admin, project, by):
    place, kept = make_experiment(project), make_experiment(project, "kept")
    runs.delete(by, run=make_run(kept))
    experiments.delete(by, experiment=place)
    assert api("POST", f"/experiments/{place.pk}/remove/")[0] == 403
    assert api("POST", "/trash/empty/")[0] == 403
    assert admin("POST", f"/experiments/{place.pk}/remove/")[0] == 200
    assert (Experiment.objects.count(), Run.objects.count()) == (1, 1)
    assert admin("POST", "/trash/empty/")[1]["done"] == 1
    assert Run.objects.count() == 0


def test_the_time_that_the_trash_keeps_is_set_by_admins(api, admin, project):
    assert api("PATCH", "/", {"trash_days": 7})[0] == 403
    assert admin("PATCH", "/", {"trash_days": 7})[1]["trash_days"] == 7
    status, refused = admin("PATCH", "/", {"trash_days": 0})
    assert (status, refused["field"], refused["limit"]) == (400, "trash_days", 3650)


def test_runs_are_counted_and_exported(api, project):
    place = make_experiment(project)
    for depth in (1, 2, 3):
        log(make_run(place, f"r{depth}", params={"depth": str(depth)}), "auc", [0.5])
    assert api("GET", "/experiments/churn-gbm/export/?q=depth>=2&count=1") == (200, {"runs": 2})
    status, body = api("GET", "/experiments/churn-gbm/export/?q=depth>=2&form=json")
    assert (status, {row["name"] for row in json.loads(body)}) == (200, {"r2", "r3"})
    assert api("GET", "/experiments/churn-gbm/export/")[1].count(b"\r\n") == 4


@pytest.mark.parametrize(
    ("query", "field"), [("form=xlsx", "form"), ("agg=mean", "agg"), ("q=auc>", "q"), ("sort=nothing", "sort")]
)
def test_a_wrong_export_is_named(api, project, query, field):
    make_run(make_experiment(project))
    status, answer = api("GET", f"/experiments/churn-gbm/export/?{query}")
    assert (status, answer["field"]) == (400, field)
