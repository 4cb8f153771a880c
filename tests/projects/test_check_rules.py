"""Rules one by one: added, edited, suggested, removed, told to channels; and all of it over REST."""

import json

import pytest

from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects import pipeline
from projects.models import DatasetVersion, Delivery, Event
from projects.pipeline import check_runs
from projects.services import channels, checks, deliveries
from tests.factories.datasets import profiled, upload
from tests.factories.projects import actor, make_project, make_user
from tests.projects.checking import AGE, API, PLAN, SPEND, api_of, checked

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project)


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def test_rules_are_added_edited_and_removed(version, ana):
    who, dataset = actor(ana), version.dataset
    key = checks.put(who, dataset=dataset, rule=AGE).rules[0]["key"]
    with pytest.raises(Conflict, match="There is such a check already: age is between 0 and 40"):
        checks.put(who, dataset=dataset, rule=AGE | {"max": 50})
    found = checks.put(who, dataset=dataset, rule=AGE | {"max": 50}, replaces=key)
    assert [(one["key"], one["max"]) for one in found.rules] == [(key, 50)]
    assert checks.remove(who, dataset=dataset, key=key).rules == []
    with pytest.raises(Missing):
        checks.remove(who, dataset=dataset, key=key)


def test_a_new_rule_names_columns_that_are_there_and_an_old_one_may_outlive_its_column(project, version, ana):
    with pytest.raises(Invalid, match=r"There is no column 'years' in churn v1\. Columns: customer, plan"):
        checks.put(actor(ana), dataset=version.dataset, rule=AGE | {"columns": ["years"]})
    checks.put(actor(ana), dataset=version.dataset, rule=AGE)
    profiled(project, b"customer,plan\nx,basic\ny,plus\n")
    checks.put(actor(ana), dataset=version.dataset, rule=PLAN)
    assert len(checks.current(actor(ana), dataset=version.dataset).rules) == 2


def test_suggestions_are_taken_all_or_some_and_then_gone(version, ana):
    who, dataset = actor(ana), version.dataset
    offered = checks.suggested(who, dataset=dataset)
    checks.take(who, dataset=dataset, keys=[offered[0].key])
    assert checks.suggested(who, dataset=dataset) == offered[1:]
    checks.take(who, dataset=dataset)
    assert checks.suggested(who, dataset=dataset) == []
    with pytest.raises(Invalid, match="No suggestion is chosen"):
        checks.take(who, dataset=dataset)
    run = checks.run(who, version=version)
    check_runs.run_checks(run.pk, worker="test")
    run.refresh_from_db()
    assert (run.verdict, run.passed_count) == ("passed", len(offered))


def test_a_viewer_declares_nothing(project, version):
    viewer = actor(make_user("vic", role="viewer", project=project))
    with pytest.raises(Forbidden):
        checks.save(viewer, dataset=version.dataset, rules=[AGE])
    with pytest.raises(Forbidden):
        checks.run(viewer, version=version)


def test_a_channel_is_told(project, version, ana):
    chief = actor(make_user("chief", role="admin", project=project))
    channels.create(
        chief, project=project, name="desk", kind="email", recipients=["a@example.org"], verbs=["checks.failed"]
    )
    checked(version, ana, AGE)
    event = Event.objects.get(verb="checks.failed")
    deliveries.fan_out(event.deliveries.get(task="projects.notify").pk)
    message = Delivery.objects.get()
    assert message.subject == "[Churn] checks failed: churn v1"
    assert message.payload["data"]["link"].endswith("/p/churn/datasets/churn/v/1/checks/")


# ---------------------------------------------------------------- REST


def test_rules_runs_and_results_over_rest(project, version, ana):
    api = api_of(ana, project, "read", "write")
    put = api.put(f"{API}checks/", json.dumps({"rules": [AGE, SPEND]}), content_type="application/json")
    assert (put.status_code, put.json()["number"]) == (200, 1)
    assert put.json()["rules"][0]["sentence"] == "age is between 0 and 40"
    again = api.put(f"{API}checks/", json.dumps({"rules": put.json()["rules"]}), content_type="application/json")
    assert again.json()["rules"] == api.get(f"{API}checks/").json()["rules"]
    assert api.get(f"{API}versions/1/checks/").status_code == 404
    queued = api.post(f"{API}versions/1/checks/")
    assert (queued.status_code, queued.json()["state"]) == (202, "queued")
    check_runs.run_checks(queued.json()["id"], worker="test")
    body = api.get(f"{API}versions/1/checks/").json()
    assert (body["verdict"], [one["outcome"] for one in body["results"]]) == ("failed", ["failed", "passed"])
    assert body["results"][0]["sample"]["rows"][0][:2] == [2, 45]
    (past, _) = api.get(f"{API}checks/history/").json()
    assert past["versions"] == [{"version": 1, "outcome": "failed", "measured": 1.0, "limit": "0 to 40"}]


def test_suggestions_over_rest(project, version, ana):
    api = api_of(ana, project, "read", "write")
    offered = api.get(f"{API}checks/suggestions/").json()
    taken = api.post(f"{API}checks/suggestions/", {}, content_type="application/json").json()
    assert [one["key"] for one in taken["rules"]] == [one["key"] for one in offered]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rules": "x"}, "rules"),
        ({}, "rules"),
        ([], "rules"),
        ({"rules": [AGE | {"max": -1}]}, "rules[0].max"),
        ({"rules": [AGE | {"columns": ["nope"]}]}, "columns"),
    ],
)
def test_wrong_rules_over_rest_are_named(project, version, ana, body, field):
    api = api_of(ana, project, "read", "write")
    answer = api.put(f"{API}checks/", json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_version_that_is_not_ready_is_not_checked(project, ana):
    version = upload(project)
    api = api_of(ana, project, "read", "write")
    assert api.post(f"{API}versions/1/checks/").status_code == 409
    pipeline.profile_version(version.pk, worker="test")
    assert api.post(f"{API}versions/1/checks/").json()["code"] == "no_checks"
    assert DatasetVersion.objects.get().check_state == "none"


def test_a_token_that_may_only_write_takes_suggestions_and_runs_them(project, version, ana):
    api = api_of(ana, project, "write")
    assert api.post(f"{API}checks/suggestions/", {}, content_type="application/json").status_code == 200
    queued = api.post(f"{API}versions/1/checks/")
    assert (queued.status_code, queued.json()["results"]) == (202, [])
    assert api.get(f"{API}versions/1/checks/").status_code == 403
