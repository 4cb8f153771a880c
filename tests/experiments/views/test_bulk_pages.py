"""Choosing runs over pages, changing them, taking it back: by the pages and by the API."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import BulkAction, Run, Selection
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
LIST = "/p/churn/experiments/churn-gbm/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def place(project):
    return make_experiment(project)


@pytest.fixture
def made(place):
    return [make_run(place, f"r{n}", params={"depth": str(n)}) for n in range(4)]


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def web(ana):
    client = Client()
    client.force_login(ana)
    return client


def page(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def bar(answer):
    return re.search(r'id="selbar"[^>]*>', answer.content.decode())[0]


def ticked(answer):
    return sorted(int(n) for n in re.findall(r'value="(\d+)" checked', answer.content.decode()))


def active():
    return sorted(Run.objects.active().values_list("name", flat=True))


def test_what_the_address_chooses_is_ticked(web, made):
    answer = web.get(f"{LIST}?sel={made[0].pk},{made[2].pk}")
    assert ticked(answer) == [made[0].pk, made[2].pk]
    assert f'data-ids="{made[0].pk},{made[2].pk}"' in bar(answer)
    every = web.get(f"{LIST}?sel=all")
    assert (len(ticked(every)), 'data-all="1"' in bar(every)) == (4, True)


def test_a_long_selection_is_kept_for_the_person_alone(web, made, project):
    kept = web.post(f"{LIST}selection/", {"runs": f"{made[0].pk},{made[1].pk},999999"})
    assert (kept.status_code, Selection.objects.get().run_ids) == (204, [made[0].pk, made[1].pk])
    assert ticked(web.get(f"{LIST}?sel=stored")) == [made[0].pk, made[1].pk]
    other = Client()
    other.force_login(make_user("ben", role="viewer", project=project))
    assert ticked(other.get(f"{LIST}?sel=stored")) == []
    refused = web.post(f"{LIST}selection/", {"runs": ",".join(map(str, range(1, 5002)))})
    assert refused.status_code == 400


def test_archiving_a_filter_says_the_count_first_and_can_be_undone(web, made):
    asked = web.post(f"{LIST}bulk/", {"action": "archive", "sel": "all", "q": "depth>=1", "back": "?q=depth>=1"})
    assert "Archive 3 runs" in page(asked)
    assert active() == ["r0", "r1", "r2", "r3"]
    number = BulkAction.objects.get().pk
    done = web.post(f"/p/churn/bulk/{number}/confirm/", {"back": "?q=depth>=1&sel=all"})
    assert done["Location"] == f"{LIST}?q=depth%3E%3D1&bulk={number}"
    assert active() == ["r0"]
    said = web.get(done["Location"])
    assert "3 runs archived." in page(said)
    assert f'action="/p/churn/bulk/{number}/undo/"' in said.content.decode()
    part = web.get(f"/p/churn/bulk/{number}/?q=depth>=1", headers={"HX-Target": f"bulk-{number}"}).content.decode()
    assert 'name="back" value="?q=depth%3E%3D1"' in part
    back = web.post(f"/p/churn/bulk/{number}/undo/")
    assert "Undone for 3 runs" in page(web.get(back["Location"]))
    assert active() == ["r0", "r1", "r2", "r3"]


def test_runs_ticked_on_the_page_join_those_chosen_elsewhere(web, made):
    first, second, third, _ = (run.pk for run in made)
    shown = f"{first},{second},"  # the second was unticked here; the third is on another page
    web.post(
        f"{LIST}bulk/",
        {"action": "tag", "tag": "a=b", "run": [first], "shown": shown, "sel": f"{second},{third}"},
    )
    tagged = [run.pk for run in Run.objects.order_by("pk") if json.loads(run.tags) == {"a": "b"}]
    assert tagged == [first, third]


def test_moving_asks_where_and_names_a_wrong_place(web, made, project):
    make_experiment(project, "target")
    url, chosen = f"{LIST}bulk/", {"action": "move", "run": [made[0].pk]}
    asked = web.post(url, chosen)
    assert '<option value="target">' in asked.content.decode()
    wrong = web.post(url, {**chosen, "to": "nowhere"})
    assert (wrong.status_code, "Name an experiment of this project" in page(wrong)) == (422, True)
    assert "Move 1 run" in page(web.post(url, {**chosen, "to": "target"}))
    web.post(f"/p/churn/bulk/{BulkAction.objects.get().pk}/confirm/")
    assert Run.objects.get(pk=made[0].pk).experiment.name == "target"


def test_nothing_chosen_is_refused(web, made):
    assert web.post(f"{LIST}bulk/", {"action": "archive"}).status_code == 400


def test_a_viewer_and_an_outsider_change_nothing(project, made):
    viewer, outsider = Client(), Client()
    viewer.force_login(make_user("vic", role="viewer", project=project))
    outsider.force_login(make_user("out"))
    chosen = {"action": "archive", "run": [made[0].pk]}
    assert viewer.post(f"{LIST}bulk/", chosen).status_code == 403
    assert outsider.post(f"{LIST}bulk/", chosen).status_code == 404
    assert len(active()) == 4


@pytest.mark.parametrize("count", [1, 3])
def test_announcing_costs_the_same_queries_for_any_number_of_runs(web, place, count):
    for n in range(count):
        make_run(place, f"r{n}")
    web.post(f"{LIST}bulk/", {"action": "archive", "sel": "all"})
    with CaptureQueriesContext(connection) as seen:
        web.post(f"{LIST}bulk/", {"action": "archive", "sel": "all"})
    assert len(seen) == 18


@pytest.fixture
def api(ana, project):
    secret = make_token(ana, project, ["read", "write"])

    def call(method, path, body=None, **headers):
        answer = Client().generic(
            method, f"/api/v1/projects/churn{path}", json.dumps(body or {}), "application/json",
            headers={"Authorization": f"Bearer {secret}", **headers},
        )  # fmt: skip
        return answer.status_code, answer.json() if answer.content else None

    return call


def test_the_api_announces_does_and_undoes(api, made):
    body = {"action": "archive", "experiment": "churn-gbm", "q": "depth>=2"}
    _, said = api("POST", "/bulk/", {**body, "dry_run": True})
    assert (said["confirmed"], said["expected"], said["done"], len(active())) == (False, 2, 0, 4)
    status, done = api("POST", f"/bulk/{said['id']}/confirm/")
    assert (status, done["state"], done["done"], active()) == (200, "succeeded", 2, ["r0", "r1"])
    assert api("GET", f"/bulk/{said['id']}/")[1] == done
    status, undone = api("POST", f"/bulk/{said['id']}/undo/")
    assert (status, undone["undo_of"], len(active())) == (200, said["id"], 4)
    status, refused = api("POST", f"/bulk/{said['id']}/undo/")
    assert (status, refused["code"]) == (409, "cannot_undo")


def test_a_repeated_call_with_one_key_acts_once(api, made):
    body = {"action": "tag", "runs": [made[0].pk], "key": "a", "value": "b"}
    first = api("POST", "/bulk/", body, **{"Idempotency-Key": "k1"})
    assert api("POST", "/bulk/", body, **{"Idempotency-Key": "k1"}) == first
    assert BulkAction.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "burn"}, "action"),
        ({"action": "archive"}, "runs"),
        ({"action": "archive", "experiment": "none"}, "experiment"),
        ({"action": "archive", "experiment": "churn-gbm", "q": "auc>"}, "q"),
        ({"action": "tag", "runs": [1], "key": "#"}, "tags"),
        ({"action": "archive", "runs": ["x"]}, "runs.0"),
        ({"action": "archive", "what": 1}, "what"),
    ],
)
def test_the_api_names_what_is_wrong(api, made, body, field):
    status, answer = api("POST", "/bulk/", body)
    assert (status, answer["field"]) == (400, field)


def test_the_api_refuses_removal_without_the_right(api, made):
    status, answer = api("POST", "/bulk/", {"action": "remove", "runs": [made[0].pk], "deleted": True})
    assert (status, answer["code"]) == (403, "forbidden")
