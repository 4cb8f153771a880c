"""The difference table of more than 16 runs: pages, what differs over all of them, and what it costs."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import Artifact, Run
from experiments.queries import difference_table
from experiments.services import artifacts
from tests.factories.datasets import upload
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
BASE = "/p/churn/experiments/churn-gbm/compare/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    return client


@pytest.fixture
def made(project):
    """40 runs that are the same but for what the last one has."""
    found = [make_run(make_experiment(project), f"r{at}", params={"depth": "4", "kind": "a"}) for at in range(39)]
    found.append(make_run(found[0].experiment, "odd", params={"depth": "5", "kind": "a"}, tags={"stage": "late"}))
    for at, run in enumerate(found):
        log(run, "roc_auc", [0.5 + at / 1000])
        log(run, "loss", [0.25])
    log(found[39], "extra", [1.0])
    for run, version in ((found[0], "2.0"), (found[39], "2.1")):
        packages = json.dumps({"libraries": {"numpy": version, "scipy": "1.0"}}).encode()
        artifacts.store(writer(project), owner=run, path="environment.json", stream=[packages],
                        media_type="application/json")  # fmt: skip
    file = Artifact.objects.get(run=found[0])
    for run in found[1:39]:
        file.pk, file.run = None, run
        file.save(force_insert=True)
    return found


def table(answer):
    """Heads and the cells of each row."""
    page = answer.content.decode()
    part = page[page.index('class="tbl diff"') :]
    heads = [int(n) for n in re.findall(r'<th scope="col" class="n[^"]*">.*?/runs/(\d+)/', part, re.DOTALL)]
    rows = {}
    for line in part.split("<tr>")[1:]:
        name = re.search(r'<th scope="row"[^>]*>([^<]*)', line)
        if name:
            cells = re.findall(r"<td class=\"([^\"]*)\">([^<]*)", line)
            rows[name.group(1).strip()] = [(text.strip(), "best" in classes) for classes, text in cells]
    return heads, rows


def asked(made, **more):
    return {"runs": ",".join(str(run.pk) for run in made), **more}


def test_the_baseline_leads_every_page_and_all_runs_come(web, made):
    numbers, seen = [run.pk for run in made], []
    for page in ("1", "2", "3"):
        heads, _ = table(web.get(BASE, asked(made, dpage=page, base=str(numbers[7]))))
        assert heads[0] == numbers[7]
        seen += heads[1:]
    assert sorted(seen) == sorted(set(numbers) - {numbers[7]})
    assert table(web.get(BASE, asked(made, dpage="99")))[0] == table(web.get(BASE, asked(made, dpage="3")))[0]
    assert table(web.get(BASE, asked(made, dpage="x")))[0] == table(web.get(BASE, asked(made)))[0]


def test_what_differs_is_judged_over_all_runs_on_every_page(web, made):
    first, last = (table(web.get(BASE, asked(made, dpage=page)))[1] for page in ("1", "3"))
    assert list(first) == list(last) == ["ROC AUC ↑", "extra", "depth", "stage", "numpy"]
    assert {text for text, _ in first["depth"]} == {"4"}  # the one that differs is on another page
    assert last["depth"][-1][0] == "5"
    assert ({text for text, _ in first["extra"]}, last["extra"][-1][0]) == ({"–"}, "1.0000")
    assert (any(best for _, best in first["ROC AUC ↑"]), last["ROC AUC ↑"][-1]) == (False, ("0.5390", True))
    shown = web.get(BASE, asked(made)).content.decode()
    assert "1 of 2 parameters differ over 40 runs" in shown
    assert list(table(web.get(BASE, asked(made, diff="0")))[1]) == [
        "ROC AUC ↑", "loss ↓", "extra", "depth", "kind", "dataset", "state", "stage", "numpy", "scipy"
    ]  # fmt: skip


def test_code_and_data_version_are_rows(web, project):
    place = make_experiment(project)
    data = [upload(project, content) for content in (b"x,y\n1,2\n", b"x,y\n1,3\n")]
    both = []
    for version, commit in zip(data, ("9f2c1d4", "01ab2c3"), strict=True):
        both.append(make_run(place, commit, tags={"mlflow.source.git.commit": commit}))
        Run.objects.filter(pk=both[-1].pk).update(dataset_version=version)
    rows = table(web.get(BASE, asked(both)))[1]
    assert [text for text, _ in rows["code version"]] == ["9f2c1d4", "01ab2c3"]
    assert [text for text, _ in rows["dataset"]] == ["churn v1", "churn v2"]


def test_long_values_show_where_they_differ_and_open_to_the_whole(web, project):
    place = make_experiment(project)
    values = ["column," * 100 + last for last in ("first", "second")]
    both = [make_run(place, params={"columns": value}) for value in values]
    for page in (web.get(BASE, asked(both)), web.get(f"/p/churn/runs/{both[1].pk}/?baseline={both[0].pk}")):
        shown = re.findall(r"<summary>([^<]*)</summary><div class=\"whole\"[^>]*>([^<]*)", page.content.decode())
        assert [whole for _, whole in shown] == values
        assert [part.endswith(last) for (part, _), last in zip(shown, ("first", "second"), strict=True)] == [True, True]


def test_rows_are_found_by_name_and_bounded(web, made, monkeypatch):
    assert list(table(web.get(BASE, asked(made, dfind="AUC")))[1]) == ["ROC AUC ↑"]
    assert "No row with nothing in its name differs." in web.get(BASE, asked(made, dfind="nothing")).content.decode()
    monkeypatch.setattr(difference_table, "MOST_ROWS", 2)
    answer = web.get(BASE, asked(made))
    assert list(table(answer)[1]) == ["ROC AUC ↑", "extra"]
    assert "The first 2 of 5 rows" in answer.content.decode()


def test_a_run_more_costs_no_query_more(web, made):
    counts = []
    for some in (made[20:], made):
        web.get(BASE, asked(some))
        with CaptureQueriesContext(connection) as seen:
            web.get(BASE, asked(some))
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_the_api_pages_too(project, made):
    secret = make_token(make_user("bot", role="viewer", project=project), project, ["read"])
    api = Client(headers={"Authorization": f"Bearer {secret}"})
    place = "/api/v1/projects/churn/experiments/churn-gbm/compare/"
    answer = api.get(place, asked(made, part="differences", dpage="3")).json()
    assert (answer["page"], answer["pages"], answer["compared"], len(answer["runs"])) == (3, 3, 40, 10)
    differs = {row["name"]: row["differs"] for row in answer["rows"]}
    assert (differs["depth"], differs["kind"], differs["loss"], differs["numpy"]) == (True, False, False, True)
