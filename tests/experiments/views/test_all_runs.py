"""Runs of a whole project and of a folder: the page, what is done from it, and the API."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from experiments.models import BulkAction, Run, SavedView, Selection
from experiments.services import folders, runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
PAGE, API = "/p/churn/runs/", "/api/v1/projects/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def places(project):
    """Two experiments, the second two folders deep, and one of another project."""
    by = writer(project)
    one, two = make_experiment(project, "trees"), make_experiment(project, "deep nets")
    vision = folders.create(by, project=project, name="vision")
    folders.place(by, experiment=two, folder=folders.create(by, project=project, name="big", parent=vision))
    for at, (place, auc) in enumerate([(one, 0.5), (one, 0.7), (two, 0.9), (two, 0.6)]):
        run = make_run(place, f"r{at}", params={"depth": str(at)})
        log(run, "auc", [auc - 0.1, auc])
        runs.finish(by, run=run, state="finished")
    make_run(make_experiment(make_project("other"), "hidden"), "never")
    return one, two, vision


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def web(ana):
    client = Client()
    client.force_login(ana)
    return client


@pytest.fixture
def api(ana, project):
    token = make_token(ana, project, ["read", "write"])

    def call(path, body=None):
        headers = {"Authorization": f"Bearer {token}"}
        if body is None:
            return Client().get(f"{API}{path}", headers=headers)
        return Client().post(f"{API}{path}", json.dumps(body), content_type="application/json", headers=headers)

    return call


def names(answer):
    return re.findall(r'class="trunc">(r\d|never)<', answer.content.decode())


def test_the_newest_runs_of_all_experiments_come_first(web, places):
    answer = web.get(PAGE)
    body = answer.content.decode()
    assert names(answer) == ["r3", "r2", "r1", "r0"]
    assert "<h1>All runs</h1>" in body
    assert 'href="/p/churn/experiments/trees/"' in body
    assert f'data-live-topic="all-runs:{places[0].project_id}"' in body
    assert "2 experiments" in body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "experiment:trees"}, ["r1", "r0"]),
        ({"q": 'experiment:"deep nets" auc>0.8'}, ["r2"]),
        ({"q": "auc>0.55", "sort": "metrics.auc DESC"}, ["r2", "r1", "r3"]),
        ({"sort": "attributes.experiment ASC"}, ["r3", "r2", "r1", "r0"]),
        ({"sort": "params.depth ASC", "cols": "c~experiment,p~depth"}, ["r0", "r1", "r2", "r3"]),
    ],
)
@pytest.mark.usefixtures("places")
def test_filters_and_orders_hold_over_all_experiments(web, query, expected):
    assert names(web.get(PAGE, query)) == expected


def test_a_folder_holds_the_runs_of_its_subfolders(web, places):
    folder = places[2]
    answer = web.get(PAGE, {"folder": folder.pk})
    body = answer.content.decode()
    assert names(answer) == ["r3", "r2"]
    assert "<h1>Runs in vision</h1>" in body
    assert f'href="?folder={folder.pk}&amp;tab=all"' in body or f'href="?folder={folder.pk}&tab=all"' in body
    assert f'action="/p/churn/runs/bulk/?folder={folder.pk}"' in body
    assert web.get(PAGE, {"folder": "999999"}).status_code == 404
    assert web.get(PAGE, {"folder": "x"}).status_code == 404
    listed = web.get("/p/churn/experiments/", {"folder": folder.pk}).content.decode()
    assert f'href="/p/churn/runs/?folder={folder.pk}"' in listed


@pytest.mark.usefixtures("places")
def test_groups_by_experiment_count_all_runs(web, api):
    body = web.get(PAGE, {"group": "e", "cols": "m~auc", "sort": "group ASC"}).content.decode()
    rows = re.findall(r'<tr class="grouprow">(.*?)</tr>', body, re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    assert [t.split()[:3] for t in texts] == [["deep", "nets", "2"], ["trees", "2", "0.7000"]]
    assert "0.7500 ± 1.9059" in texts[0]
    link = re.search(r'<a class="trunc val" href="([^"]+)"', rows[0])[1].replace("&amp;", "&")
    assert names(web.get(PAGE + link)) == ["r3", "r2"]
    groups = api("/runs/?group=e&cols=m~auc&sort=group ASC").json()["groups"]
    assert [(g["group"]["e"], g["runs"], g["metrics"][0]["best"]) for g in groups] == [
        ("deep nets", 2, 0.9), ("trees", 2, 0.7)
    ]  # fmt: skip
    assert 'value="e"' in web.get(f"{PAGE}columns/?part=groups").content.decode()


@pytest.mark.usefixtures("places")
def test_pages_follow_one_another(api):
    seen, at = [], "/runs/?limit=1"
    while at:
        body = api(at).json()
        seen += [row["name"] for row in body["results"]]
        at = body["next"] and body["next"].partition(API)[2]
    assert seen == ["r3", "r2", "r1", "r0"]


def test_the_api_asks_for_all_a_folder_or_an_experiment(api, places):
    assert api("/runs/").json()["total"] == 4
    assert [r["experiment"] for r in api(f"/runs/?folder={places[2].pk}").json()["results"]] == ["deep nets"] * 2
    assert api("/runs/?experiment=trees").json()["total"] == 2
    assert api("/runs/?cols=c~experiment&limit=1").json()["results"][0]["columns"] == {"c~experiment": "deep nets"}
    both = api(f"/runs/?experiment=trees&folder={places[2].pk}")
    assert (both.status_code, both.json()["field"]) == (400, "folder")
    assert api("/runs/?folder=999").status_code == 404
    assert api("/runs/?folder=x").status_code == 400


def test_chosen_runs_are_tagged_moved_and_brought_back(web, places):
    one, two, _ = places
    ids = list(Run.objects.in_project(one.project).order_by("pk").values_list("pk", flat=True))
    answer = web.post(f"{PAGE}bulk/", {"action": "tag", "tag": "kept", "run": [ids[0], ids[2]], "back": "?q=kept"})
    assert answer.headers["Location"].startswith(f"{PAGE}?q=kept&bulk=")
    assert names(web.get(answer.headers["Location"])) == []  # a tag is no metric: kept asks for a name
    assert names(web.get(PAGE, {"q": "tag:kept"})) == ["r2", "r0"]
    asked = web.post(f"{PAGE}bulk/", {"action": "move", "to": "trees", "all": "1", "q": "auc>0.1"})
    assert "Move 2 runs" in asked.content.decode()
    action = BulkAction.objects.latest("pk")
    assert (action.experiment, action.excluded) == (None, {"it is there already": 2})
    done = web.post(reverse("experiments:bulk-confirm", args=["churn", action.pk]), {"back": "?limit=50"})
    assert done.headers["Location"] == f"{PAGE}?limit=50&bulk={action.pk}"
    assert Run.objects.filter(experiment=one).count() == 4
    undone = web.post(reverse("experiments:bulk-undo", args=["churn", action.pk]), {"back": "?"})
    assert undone.headers["Location"].startswith(PAGE)
    assert Run.objects.filter(experiment=two).count() == 2


def test_a_whole_folder_is_archived_and_no_run_beside_it(web, places):
    web.post(f"{PAGE}bulk/?folder={places[2].pk}", {"action": "archive", "all": "1"})
    action = BulkAction.objects.get()
    assert (action.expected, action.question) == (2, {"q": "", "deleted": False, "folder": places[2].pk})
    web.post(reverse("experiments:bulk-confirm", args=["churn", action.pk]))
    assert names(web.get(PAGE)) == ["r1", "r0"]
    assert names(web.get(PAGE, {"deleted": "1"})) == ["r3", "r2"]


def test_the_api_changes_a_folder_or_all(api, places):
    done = api("/bulk/", {"action": "tag", "key": "big", "folder": places[2].pk}).json()
    assert (done["expected"], done["done"]) == (2, 2)
    assert api("/bulk/", {"action": "tag", "key": "every", "all": True, "q": "auc>0.55"}).json()["done"] == 3
    assert api("/bulk/", {"action": "tag", "key": "x", "q": "auc>0"}).status_code == 400
    assert api("/bulk/", {"action": "tag", "key": "x", "all": True, "experiment": "trees"}).status_code == 400


def test_a_long_selection_is_kept_for_the_project(web, ana, places):
    ids = list(Run.objects.in_project(places[0].project).order_by("pk").values_list("pk", flat=True))
    foreign = Run.objects.get(name="never").pk
    assert web.post(f"{PAGE}selection/", {"runs": ",".join(map(str, [*ids, foreign]))}).status_code == 204
    assert web.post("/p/churn/experiments/trees/selection/", {"runs": str(ids[0])}).status_code == 204
    kept = Selection.objects.get(user=ana, experiment=None)
    assert (kept.project_id, kept.run_ids) == (places[0].project_id, ids)
    assert web.get(PAGE, {"sel": "stored"}).content.decode().count(" checked") == 4


def test_a_view_of_all_runs_is_saved_and_opened(web, places):
    kept = web.post(f"{PAGE}views/", {"name": "Good", "query": f"q=auc>0.55&folder={places[2].pk}"})
    view = SavedView.objects.get()
    assert view.experiment is None
    assert names(web.get(kept.headers["Location"])) == ["r3", "r2"]
    assert web.get(f"/p/churn/views/{view.number}/").headers["Location"].startswith(f"{PAGE}?")
    assert ">Good" in web.get(PAGE).content.decode()


def test_columns_and_completion_know_all_experiments(web, places):
    body = web.get(f"{PAGE}columns/", {"find": "dep"}).content.decode()
    assert 'value="p~depth"' in body
    assert "4 values" in body
    found = web.get(f"{PAGE}complete/", {"text": "experiment:", "at": "11"}).content.decode()
    assert re.findall(r'data-insert="([^"]*)"', found) == ["&quot;deep nets&quot;", "trees"]
    inside = web.get(f"{PAGE}complete/", {"folder": places[2].pk, "text": "experiment:", "at": "11"}).content.decode()
    assert "trees" not in inside


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.usefixtures("places")
def test_all_runs_are_exported(web, form):
    answer = web.get(f"{PAGE}export.{form}", {"q": "auc>0.55", "sort": "metrics.auc DESC"})
    body = b"".join(answer.streaming_content)
    assert f'filename="churn-runs.{form}"' in answer["Content-Disposition"]
    if form == "json":
        assert [(r["name"], r["experiment"]) for r in json.loads(body)] == [
            ("r2", "deep nets"), ("r1", "trees"), ("r3", "deep nets")
        ]  # fmt: skip
    if form == "csv":
        assert body.decode().splitlines()[0].startswith("run,name,experiment,state,")


@pytest.mark.usefixtures("places")
def test_an_export_shows_metrics_as_the_table_does(web, api):
    asked = web.get(f"{PAGE}export/", {"agg": "step:0"}).content.decode()
    assert "Export 4 runs" in asked
    assert '<option value="step" selected>' in asked
    for query in ("agg=step:0", "agg=step&step=0"):
        found = json.loads(b"".join(web.get(f"{PAGE}export.json?{query}&q=r2").streaming_content))
        assert found[0]["metrics"] == {"auc": pytest.approx(0.8)}
    late = json.loads(b"".join(api("/runs/export/?form=json&agg=step:9&q=r2").streaming_content))
    assert late[0]["metrics"] == {"auc": None}
    assert api("/runs/export/?count=1&q=experiment:trees").json() == {"runs": 2}
    least = json.loads(b"".join(api("/experiments/trees/export/?form=json&agg=min&q=r0").streaming_content))
    assert least[0]["metrics"] == {"auc": pytest.approx(0.4)}
    assert api("/runs/export/?agg=mean").json()["field"] == "agg"


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("query", ["", "?group=e"])
def test_the_page_costs_the_same_queries_for_any_number_of_runs(web, project, count, query):
    for at in range(count + 1):
        log(make_run(make_experiment(project, f"e{at}"), f"r{at}"), "auc", [0.1 * at])
    web.get(PAGE)
    with CaptureQueriesContext(connection) as seen:
        web.get(f"{PAGE}{query}")
    assert len(seen) == {"": 30, "?group=e": 31}[query]
