"""Comparing runs of several experiments: the pages, the API, views, reports, studies, and what stays out of reach."""

import re

import pytest
from django.test import Client

from experiments.models import ImportanceStudy, Report, SavedView
from experiments.pipeline import importance as pipeline
from experiments.services import folders, reports
from mlportal.lib.errors import Invalid
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
BASE, API = "/p/churn/runs/compare/", "/api/v1/projects/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    return client


@pytest.fixture
def api(project):
    client = Client()
    secret = make_token(make_user("bot", role="scientist", project=project), project, ["read", "write"])
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return client


@pytest.fixture
def pair(project):
    """Two runs of one experiment and one of another, the first the worst."""
    made = [make_run(make_experiment(project, name), f"r{at}", params={"depth": str(at)})
            for at, name in enumerate(("gbm", "forest"))]  # fmt: skip
    made.insert(1, make_run(made[0].experiment, "r9", params={"depth": "9"}))
    for at, run in enumerate(made):
        log(run, "roc_auc", [0.5, 0.6 + at / 10])
    return made


def numbers(runs):
    return ",".join(str(run.pk) for run in runs)


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_table_of_all_runs_leads_to_a_comparison_of_them(web, pair):
    page = web.get("/p/churn/runs/").content.decode()
    assert f'data-compare data-href="{BASE}?"' in page
    assert f'href="{BASE}?all=1"' in web.get("/p/churn/runs/?sel=all").content.decode()
    shown = text(web.get(BASE, {"runs": numbers(pair)}))
    assert ("Compare 3 runs" in shown, "All runs" in shown, "0.8000 +0.2" in shown) == (True, True, True)


def test_charts_draw_runs_of_every_experiment(web, pair):
    asked = {"runs": numbers(pair), "m": "roc_auc"}
    curves = web.get(f"{BASE}series/", asked).json()
    assert [(r["id"], r["k"]) for r in curves["runs"]] == [(run.pk, at + 1) for at, run in enumerate(pair)]
    zoomed = web.get(f"{BASE}series/", {**asked, "from": "1", "to": "1"}).json()["runs"][2]
    assert zoomed["metrics"]["roc_auc"] == {"x": [0, 1], "y": [0.5, 0.8], "total": 2}
    drawn = web.get(f"{BASE}facts/", asked).json()
    assert drawn["scatter"]["label"].endswith(f"Best is run {pair[2].pk} with 0.8 at depth 1.")
    lines = web.get(f"{BASE}data.csv", asked)
    assert b"".join(lines).decode().splitlines()[3].startswith(f"{pair[2].pk},r1,queued,1,")


def test_few_runs_stand_before_those_of_their_own_experiments(web, pair, project):
    others = [make_run(make_experiment(project, name)) for name in ("gbm", "aside")]
    drawn = web.get(f"{BASE}facts/", {"runs": numbers(pair[:1]), "sx": "p.depth"}).json()
    known = {row["id"] for row in drawn["scatter"]["rows"]}
    assert known == {pair[0].pk, pair[1].pk}
    assert others[1].pk not in known


def test_a_folder_keeps_its_runs_and_every_link_keeps_the_folder(web, pair, project):
    folder = folders.create(writer(project), project=project, name="2026")
    pair[0].experiment.folder = folder
    pair[0].experiment.save()
    page = web.get(BASE, {"runs": numbers(pair), "folder": folder.pk})
    shown = text(page)
    assert ("Compare 2 runs" in shown, "Runs in 2026" in shown, f"Run {pair[2].pk} is not here." in shown) == (
        True,
    ) * 3
    addresses = re.findall(r'(?:href|data-url|action)="(/p/churn/runs/[^"]*)"', page.content.decode())
    assert [a for a in addresses if f"folder={folder.pk}" not in a and not re.search(r"/runs/\d+/", a)] == [BASE]
    assert web.get(BASE, {"folder": "999999"}).status_code == 404
    assert web.get(BASE, {"folder": "x"}).status_code == 404


def test_runs_of_other_projects_and_of_deleted_experiments_are_not_there(web, pair):
    foreign = make_run(make_experiment(make_project("secret"), "theirs"), "hidden-name")
    pair[2].experiment.lifecycle = "deleted"
    pair[2].experiment.save()
    page = web.get(BASE, {"runs": numbers([*pair, foreign])})
    assert f"Runs {pair[2].pk}, {foreign.pk} are not here." in text(page)
    assert "hidden-name" not in page.content.decode()
    assert web.get("/p/secret/runs/compare/").status_code == 404
    drawn = web.get(f"{BASE}series/", {"runs": numbers([pair[0], foreign]), "m": "roc_auc"}).json()
    assert [r["id"] for r in drawn["runs"]] == [pair[0].pk]


def test_everything_that_is_selected_is_compared(web, pair):
    assert "Compare 3 runs" in text(web.get(f"{BASE}?all=1"))
    assert "Compare 2 runs" in text(web.get("/p/churn/experiments/gbm/compare/?all=1"))


def test_a_view_over_several_experiments_is_saved_and_opened_there_alone(web, pair):
    asked = {"page": "compare", "name": "best of both", "query": f"runs={numbers(pair)}"}
    home = web.post("/p/churn/runs/views/", asked)["Location"]
    assert home.startswith(f"{BASE}?runs=")
    assert "best of both" in web.get(home).content.decode()
    view = SavedView.objects.get()
    assert web.get(f"/p/churn/views/{view.number}/")["Location"] == home
    for place in ("/p/churn/experiments/gbm/compare/", "/p/churn/runs/"):
        assert "best of both" not in web.get(place).content.decode()


def test_parts_go_into_a_report_that_asks_over_all_experiments(web, pair, project):
    state = f"runs={numbers(pair)}"
    assert "Add to report" in text(web.get(f"{BASE}report/?{state}"))
    home = web.post(f"{BASE}report/", {"state": state, "part": ["runs", "curves", "table"], "title": "Both"})
    page = web.get(home["Location"])
    assert "All runs" in text(page)
    report = Report.objects.get()
    assert {block["experiment"] for block in report.blocks} == {None}
    curves = web.get(f"/p/churn/reports/{report.pk}/blocks/{report.blocks[1]['id']}/").json()
    assert [r["id"] for r in curves["data"]["runs"]] == [run.pk for run in pair]
    frozen = reports.freeze(writer(project), report=report)
    assert frozen.frozen_runs == sorted(run.pk for run in pair)
    web.post(f"/p/churn/reports/{report.pk}/change/", {"do": "copy"})
    live = Report.objects.get(frozen_at=None)
    web.post(f"/p/churn/reports/{live.pk}/change/", {"do": "ask", "what": "runs", "experiment": "all", "q": "depth>8"})
    live.refresh_from_db()
    assert (live.blocks[-1]["experiment"], live.blocks[-1]["state"]) == (None, "q=depth%3E8")
    with pytest.raises(Invalid, match="not in this project"):
        reports.change(writer(project), report=live, content=[{"kind": "runs", "state": ""}])


def test_a_block_whose_folder_is_gone_says_so(web, project):
    block = {"id": "r1", "kind": "runs", "experiment": None, "state": "folder=999999"}
    report = reports.create(writer(project), project=project, title="Lost", content=[block])
    assert "folder of this block is gone" in web.get(f"/p/churn/reports/{report.pk}/").content.decode()


def test_the_file_holds_everything(web, pair):
    offered = web.get(f"{BASE}export/?runs={numbers(pair)}")
    assert f'href="{BASE}data.csv?runs=' in offered.content.decode()
    file = web.get(f"{BASE}export/?runs={numbers(pair)}&file=1")
    assert file["Content-Disposition"] == 'attachment; filename="runs-compare.html"'
    assert "Compare 3 runs · All runs" in file.content.decode()


def test_importance_is_studied_over_experiments(web, api, project, django_capture_on_commit_callbacks):
    for at in range(24):
        run = make_run(make_experiment(project, f"e{at % 3}"), f"r{at}", params={"depth": str(at % 6)})
        log(run, "roc_auc", [at % 6 / 10])
    with django_capture_on_commit_callbacks():
        assert web.post(f"{BASE}importance/", {"state": "all=1"})["Location"] == f"{BASE}?all=1"
    study = ImportanceStudy.objects.get()
    assert (study.experiment, len(study.run_ids), pipeline.execute(study.pk, worker="test")) == (None, 24, "succeeded")
    page = web.get(f"{BASE}importance/?all=1").content.decode()
    assert "depth matters most" in page
    assert "not what causes it" in page
    assert api.get(f"{API}/runs/importance/?all=1").json()["study"]["id"] == study.pk
    block = {"id": "i1", "kind": "chart", "chart": "importance", "experiment": None, "state": "", "study": study.pk}
    report = reports.create(writer(project), project=project, title="Why", content=[block])
    data = web.get(f"/p/churn/reports/{report.pk}/blocks/i1/").json()["data"]
    assert data["label"].startswith("Importance for ROC AUC over 24 runs")
    assert "over 24 runs" in web.get(f"/p/churn/reports/{report.pk}/?edit=1").content.decode()


def test_the_api_answers_the_same(api, pair):
    asked = {"runs": numbers(pair), "m": "roc_auc"}
    curves = api.get(f"{API}/runs/compare/", asked).json()
    assert [r["id"] for r in curves["runs"]] == [run.pk for run in pair]
    rows = api.get(f"{API}/runs/compare/", {**asked, "part": "differences"}).json()["rows"]
    assert [r["values"] for r in rows if r["name"] == "roc_auc"] == [[0.6, 0.7, 0.8]]
    assert api.get(f"{API}/runs/importance/", asked).json()["refusal"].startswith("3 of the runs")
    assert api.get(f"{API}/runs/compare/", {"folder": "999999"}).status_code == 404
    assert api.get(f"{API}/runs/compare/", {"q": "depth >"}).json()["code"] == "bad_filter"
    for field, value in {"x": "banana", "m": "nosuch", "sort": "nosuch", "smooth": "150", "dpage": "x"}.items():
        refused = api.get(f"{API}/runs/compare/", {"q": "depth > 0", field: value})
        assert (refused.status_code, refused.json()["field"]) == (400, field)
    wrong = api.get(f"{API}/runs/compare/", {"base": "best"})
    assert (wrong.status_code, wrong.json()["field"], wrong.json()["got"]) == (400, "base", "best")
