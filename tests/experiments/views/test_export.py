"""Runs as a file: all of them, everything they recorded, in bounded memory."""

import csv
import io
import json
import math

import pyarrow.parquet as pq
import pytest
from django.test import Client

from experiments.queries import exports
from experiments.services import runs
from projects.models import Event
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
PLACE = "/p/churn/experiments/churn-gbm"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def place(project):
    return make_experiment(project)


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="viewer", project=project))
    return client


@pytest.fixture
def made(place):
    found = [make_run(place, f"r{n}", params={"depth": str(n)}, tags={"team": "=1+1"}) for n in range(3)]
    for n, run in enumerate(found):
        log(run, "auc", [0.5, 0.25 * n, 0.125])
        runs.finish(writer(place.project), run=run, state="finished")
    return found


def body(web, form, query=""):
    answer = web.get(f"{PLACE}/export.{form}?{query}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def table(web, query=""):
    return list(csv.DictReader(io.StringIO(body(web, "csv", query).decode())))


def test_csv_has_all_that_was_recorded_and_no_formula(web, made, place):
    make_run(place, "=HYPERLINK(1)", params={"lr": "-0.5", "note": "-x"})
    lines = table(web, "sort=-depth")
    assert list(lines[0])[:3] == ["run", "name", "experiment"]
    by_name = {line["name"]: line for line in lines}
    assert set(by_name) == {"r0", "r1", "r2", "'=HYPERLINK(1)"}
    assert (by_name["r2"]["metrics.auc"], by_name["r2"]["params.depth"], by_name["r2"]["tags.team"]) == (
        "0.125", "2", "'=1+1",
    )  # fmt: skip
    assert (by_name["'=HYPERLINK(1)"]["params.lr"], by_name["'=HYPERLINK(1)"]["params.note"]) == ("-0.5", "'-x")


def test_a_filter_exports_what_it_keeps_with_its_names_only(web, made, place):
    make_run(place, "other", params={"lonely": "1"})
    lines = table(web, "q=depth>=1&sort=params.depth ASC")
    assert [line["name"] for line in lines] == ["r1", "r2"]
    assert "params.lonely" not in lines[0]


def test_chosen_runs_alone_are_exported(web, made):
    assert [line["name"] for line in table(web, f"sel={made[2].pk},{made[0].pk},999999")] == ["r2", "r0"]


@pytest.mark.parametrize(("agg", "value"), [("last", 0.125), ("best", 0.5), ("max", 0.5), ("min", 0.125)])
def test_metrics_are_given_by_the_aggregate(web, made, agg, value):
    lines = json.loads(body(web, "json", f"q=depth:2&agg={agg}"))
    assert [line["metrics"] for line in lines] == [{"auc": value}]


def test_json_keeps_what_is_no_number(web, place):
    log(make_run(place, "odd"), "loss", [math.nan])
    [line] = json.loads(body(web, "json"))
    assert line["metrics"] == {"loss": "nan"}
    assert json.loads(body(web, "json", "q=name:none")) == []


def test_parquet_has_types_and_as_many_rows(web, made):
    found = pq.read_table(io.BytesIO(body(web, "parquet", "sort=params.depth ASC")))
    assert found.column("name").to_pylist() == ["r0", "r1", "r2"]
    assert found.schema.field("metrics.auc").type == "double"
    assert found.column("params.depth").to_pylist() == ["0", "1", "2"]
    assert pq.read_table(io.BytesIO(body(web, "parquet", "q=name:none"))).num_rows == 0


def test_more_runs_than_are_read_at_once_come_once_each(web, place, made, monkeypatch):
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(exports, "IDS_AT_ONCE", 2)
    for form in ("csv", "json", "parquet"):
        assert body(web, form)
    assert sorted(line["name"] for line in table(web)) == ["r0", "r1", "r2"]


def test_the_count_comes_first(web, made, place):
    runs.delete(writer(place.project), run=made[0])
    assert "Export 2 runs" in web.get(f"{PLACE}/export/").content.decode()
    assert "Export 1 run<" in web.get(f"{PLACE}/export/?deleted=1").content.decode()
    assert "Export 1 run<" in web.get(f"{PLACE}/export/?q=depth:2").content.decode()


def test_an_export_is_recorded(web, made):
    body(web, "csv", "q=depth>=1")
    told = Event.objects.get(verb="runs.exported")
    assert (told.actor_name, told.data) == ("ana", {"form": "csv", "runs": 2, "agg": "last"})


def test_a_wrong_filter_is_named_and_no_other_form_is_known(web, made):
    assert web.get(f"{PLACE}/export.csv?q=auc>").status_code == 400
    assert web.get(f"{PLACE}/export/?q=auc>").status_code == 400
    assert web.get(f"{PLACE}/export.xlsx").status_code == 404


def test_an_outsider_exports_nothing(made):
    client = Client()
    client.force_login(make_user("out"))
    assert client.get(f"{PLACE}/export.csv").status_code == 404
