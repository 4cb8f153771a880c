"""REST routes of experiments and runs."""

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import MetricChunk, Run
from experiments.services import runs
from projects.models import Event
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
BASE = "/api/v1/projects/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.fixture
def api(project):
    return door(project, make_user("ana", role="scientist", project=project), ["read", "write"])


class Door:
    def __init__(self, token):
        self.client, self.headers = Client(), {"Authorization": f"Bearer {token}"}

    def call(self, method, path, body=None, **headers):
        data = body if isinstance(body, (bytes, str)) or body is None else json.dumps(body)
        kind = headers.pop("content_type", "application/json")
        answer = self.client.generic(
            method, BASE + path, data or b"", content_type=kind, headers={**self.headers, **headers}
        )
        answer.body = (
            json.loads(answer.content) if answer.get("Content-Type", "").endswith("json") and answer.content else None
        )
        return answer

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None, **headers):
        return self.call("POST", path, body, **headers)


def door(project, user, scopes):
    return Door(make_token(user, project, scopes))


def test_a_run_lives_its_life(api):
    made = api.post(
        "/runs/", {"experiment": "churn-gbm", "name": "first", "params": {"depth": 8}, "tags": {"team": "a"}}
    )
    assert (made.status_code, made.body["state"], made.body["params"]) == (201, "running", {"depth": "8"})
    run = made.body["id"]
    batch = {
        "metrics": [
            {"key": "auc", "value": 0.5, "timestamp": 1, "step": 0},
            {"key": "auc", "value": "NaN", "timestamp": 2, "step": 1},
        ],
        "params": {"rate": 0.1, "early": True},
        "tags": {"team": "b"},
    }
    assert api.post(f"/runs/{run}/log-batch/", batch).status_code == 200
    assert api.post(f"/runs/{run}/log-batch/", batch).status_code == 200
    ended = api.post(f"/runs/{run}/finish/", {"state": "finished"})
    assert (ended.status_code, ended.body["metrics"]) == (200, {"auc": {"value": "NaN", "step": 1, "timestamp": 2}})
    assert ended.body["params"] == {"depth": "8", "rate": "0.1", "early": "true"}
    assert ended.body["tags"] == {"team": "b"}
    series = api.get(f"/runs/{run}/series/?key=auc&key=none").body
    assert series == [{"key": "auc", "total": 2, "steps": [0, 1], "timestamps": [1, 2], "values": [0.5, "NaN"]}]
    verbs = ["experiment.created", "run.created", "run.started", "run.finished"]
    assert list(Event.objects.order_by("seq").values_list("verb", flat=True)) == verbs
    assert Event.objects.get(verb="run.finished").data["digest"] == ended.body["digest"] == Run.objects.get().digest


def test_the_digest_is_of_metrics_and_params(experiment):
    made = []
    for value in (0.5, 0.5, 0.6):
        run = make_run(experiment, params={"depth": "8"})
        log(run, "auc", [value])
        made.append(runs.finish(writer(experiment.project), run=run, state="finished").digest)
    assert made[0] == made[1] != made[2]


def test_an_end_is_final(api, experiment):
    run = make_run(experiment)
    assert api.post(f"/runs/{run.pk}/start/").body["state"] == "running"
    assert api.post(f"/runs/{run.pk}/start/").status_code == 409
    assert (
        api.post(f"/runs/{run.pk}/finish/", {"state": "failed", "failure": "no memory"}).body["failure"] == "no memory"
    )
    refused = api.post(f"/runs/{run.pk}/finish/", {"state": "finished"})
    assert (refused.status_code, refused.body["code"], refused.body["got"]) == (409, "run_state", "failed")


def test_a_deleted_run_takes_no_writes_until_restored(api, experiment):
    run = make_run(experiment)
    assert api.call("DELETE", f"/runs/{run.pk}/").status_code == 204
    assert api.get("/runs/?experiment=churn-gbm").body["results"] == []
    assert api.get("/runs/?experiment=churn-gbm&deleted=true").body["total"] == 1
    batch = {"metrics": [{"key": "a", "value": 1}]}
    assert api.post(f"/runs/{run.pk}/log-batch/", batch).body["code"] == "run_deleted"
    assert api.post(f"/runs/{run.pk}/restore/").body["lifecycle"] == "active"
    assert api.post(f"/runs/{run.pk}/log-batch/", batch).status_code == 200


def test_notes_names_and_tags_can_change(api, experiment):
    run = make_run(experiment)
    changed = api.call("PATCH", f"/runs/{run.pk}/", {"name": "better", "notes": "Deeper trees."})
    assert (changed.body["name"], changed.body["notes"]) == ("better", "Deeper trees.")
    assert api.post(f"/runs/{run.pk}/tags/", {"tags": {"a/b": "1"}}).body["tags"] == {"a/b": "1"}
    assert api.call("DELETE", f"/runs/{run.pk}/tags/a/b/").status_code == 204
    assert api.call("DELETE", f"/runs/{run.pk}/tags/a/b/").status_code == 404


def test_search_filters_orders_and_pages(api, experiment):
    for i in range(5):
        log(make_run(experiment, f"r{i}", params={"depth": str(i)}), "auc", [0.5 + i / 10])
    first = api.get("/runs/?experiment=churn-gbm&q=auc>0.5&sort=-auc&limit=3").body
    assert [r["name"] for r in first["results"]] == ["r4", "r3", "r2"]
    assert (first["total"], first["total_is_exact"], first["previous"]) == (4, True, None)
    second = api.client.get(first["next"], headers=api.headers).json()
    assert ([r["name"] for r in second["results"]], second["next"]) == (["r1"], None)
    back = api.client.get(second["previous"], headers=api.headers).json()
    assert [r["name"] for r in back["results"]] == ["r4", "r3", "r2"]


def test_a_wrong_filter_says_where(api, experiment):
    answer = api.get("/runs/?experiment=churn-gbm&q=state:gone")
    assert (answer.status_code, answer.body["code"], answer.body["got"]) == (
        400,
        "bad_filter",
        {"start": 6, "stop": 10},
    )


@pytest.mark.parametrize("count", [1, 3])
def test_search_costs_the_same_queries_for_any_number_of_runs(api, experiment, count):
    for i in range(count):
        log(make_run(experiment, params={"depth": str(i)}), "auc", [0.5])
    api.get("/runs/?experiment=churn-gbm&sort=-auc")
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert len(api.get("/runs/?experiment=churn-gbm&sort=-auc").body["results"]) == count
    assert len(seen) == 19  # four kinds of rows behind one another, and for each whether its index ended


@pytest.mark.parametrize("count", [1, 3])
def test_experiments_cost_the_same_queries_for_any_number(api, project, count):
    for i in range(count):
        make_run(make_experiment(project, f"e{i}"))
    with CaptureQueriesContext(connection) as seen:
        found = api.get("/experiments/").body["results"]
    assert [e["run_count"] for e in found] == [1] * count
    assert len(seen) == 4


def test_logging_costs_few_queries(api, experiment):
    run = make_run(experiment)
    batch = {"metrics": [{"key": f"m{i}", "value": i} for i in range(10)]}
    assert api.post(f"/runs/{run.pk}/log-batch/", batch).status_code == 200
    with CaptureQueriesContext(connection) as seen:
        assert api.post(f"/runs/{run.pk}/log-batch/", batch).status_code == 200
    asked = [q["sql"][:200] for q in seen if "SAVEPOINT" not in q["sql"]]
    assert len(asked) == 5, asked


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"[]", 400, None),
        (b'"x"', 400, None),
        (b"{", 400, None),
        (b'{"metrics": NaN}', 400, None),
        (b"[" * 100_000, 400, None),
        (b"\xff\xfe", 400, None),
        ({"other": 1}, 400, "other"),
        ({"metrics": {}}, 400, "metrics"),
        ({"metrics": [3]}, 400, "metrics[0]"),
        ({"metrics": [{"value": 1}]}, 400, "metrics[0].key"),
        ({"metrics": [{"key": "a"}]}, 400, "metrics[0].value"),
        ({"metrics": [{"key": "a", "value": 1, "colour": 2}]}, 400, "metrics[0]"),
        ({"metrics": [{"key": "a", "value": None}]}, 400, "metrics[0].value"),
        ({"metrics": [{"key": "a", "value": "high"}]}, 400, "metrics[0].value"),
        ({"metrics": [{"key": "a", "value": [1]}]}, 400, "metrics[0].value"),
        ({"metrics": [{"key": 3, "value": 1}]}, 400, "metrics[0].key"),
        ({"metrics": [{"key": {}, "value": 1}]}, 400, "metrics[0].key"),
        ({"metrics": [{"key": "a", "value": 1, "step": "x"}]}, 400, "metrics[0].step"),
        ({"metrics": [{"key": "a", "value": 1, "timestamp": 1.5}]}, 400, "metrics[0].timestamp"),
        ({"metrics": [{"key": "a", "value": 1, "timestamp": True}]}, 400, "metrics[0].timestamp"),
        ({"params": []}, 400, "params"),
        ({"params": {"a": None}}, 400, "params.a"),
        ({"params": {"a": "x\0"}}, 400, "params.a"),
        ({"tags": {"": "x"}}, 400, "tags"),
    ],
)
def test_a_wrong_batch_is_refused_whole(api, experiment, body, status, field):
    run = make_run(experiment)
    answer = api.post(f"/runs/{run.pk}/log-batch/", body)
    assert (answer.status_code, answer.body.get("field")) == (status, field)
    assert answer["Content-Type"] == "application/problem+json"
    assert MetricChunk.objects.count() == 0


def test_a_batch_needs_json(api, experiment):
    answer = api.post(
        f"/runs/{make_run(experiment).pk}/log-batch/", b"a=1", content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 415


def test_the_short_way_has_the_same_locks(project, experiment):
    run = make_run(experiment)
    viewer = door(project, make_user("vic", role="viewer", project=project), ["read", "write"])
    reader = door(project, make_user("sue", role="scientist", project=project), ["read"])
    outsider = door(None, make_user("out"), ["read", "write"])
    batch = {"metrics": [{"key": "a", "value": 1}]}
    statuses = [d.post(f"/runs/{run.pk}/log-batch/", batch).status_code for d in (viewer, reader, outsider)]
    assert statuses == [403, 403, 404]
    anonymous = Client().post(f"{BASE}/runs/{run.pk}/log-batch/", batch, content_type="application/json")
    assert (anonymous.status_code, anonymous["WWW-Authenticate"]) == (401, 'Bearer realm="mlportal"')
    assert (
        door(project, make_user("tom", role="scientist", project=project), ["write"])
        .get(f"/runs/{run.pk}/log-batch/")
        .status_code
        == 405
    )


def test_a_run_of_another_project_is_not_here(api, project):
    other = make_project("fraud")
    run = make_run(make_experiment(other))
    for path in (f"/runs/{run.pk}/", f"/runs/{run.pk}/series/?key=a", f"/runs/{run.pk}/artifacts/"):
        assert api.get(path).status_code == 404


def test_the_record_of_a_job_is_the_jobs(api, experiment):
    run = make_run(experiment, source="job")
    batch = {"metrics": [{"key": "auc", "value": 1}]}
    assert api.post(f"/runs/{run.pk}/log-batch/", batch).body["code"] == "run_of_job"
    assert api.post(f"/runs/{run.pk}/log-batch/", {"tags": {"a": "b"}}).status_code == 200
    log(run, "auc", [0.9])
    runs.finish(writer(experiment.project), run=run, state="finished")
    with pytest.raises(Exception, match="its record is sealed"):
        log(run, "auc", [0.99])


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/runs/", {}, "experiment"),
        ("/runs/", {"experiment": 3}, "experiment"),
        ("/runs/", {"experiment": "x" * 501}, "experiment"),
        ("/runs/", {"experiment": "e", "params": {"a": []}}, "params.a"),
        ("/runs/", {"experiment": "e", "params": [1]}, "params"),
        ("/runs/", {"experiment": "e", "parent": "x"}, "parent"),
        ("/runs/", {"experiment": "e", "colour": 1}, "colour"),
        ("/experiments/", {"name": "x" * 501}, "name"),
        ("/experiments/", {"name": None}, "name"),
    ],
)
def test_wrong_fields_are_named(api, path, body, field):
    answer = api.post(path, body)
    assert (answer.status_code, answer.body["field"]) == (400, field)


def test_creating_twice_with_one_key_makes_one_run(api):
    body = {"experiment": "e", "name": "once"}
    first = api.post("/runs/", body, **{"Idempotency-Key": "k-1"})
    again = api.post("/runs/", body, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.body["id"], Run.objects.count()) == (201, first.body["id"], 1)


def test_an_experiment_can_be_described(api, experiment):
    changed = api.call("PATCH", "/experiments/churn-gbm/", {"description": "Boosted trees.", "primary_metric": "auc"})
    assert (changed.body["description"], changed.body["primary_metric"]) == ("Boosted trees.", "auc")
    assert api.get("/experiments/CHURN-GBM/").status_code == 404
    assert api.get(f"/experiments/{experiment.pk}/").body["description"] == "Boosted trees."


def test_the_table_is_the_same_over_the_api(api, experiment):
    for i, values in enumerate([[0.5, 0.9, 0.7], [0.6, 0.2, 0.8]]):
        run = make_run(experiment, f"r{i}", params={"depth": str(i)}, tags={"team": "a"})
        log(run, "auc", values)
        log(run, "loss", [1.0])
        runs.finish(writer(experiment.project), run=run, state="finished")
    cols = "m~auc,m~auc@max,m~auc@step:1,m~auc~,p~depth,t~team,c~state,m~none"
    found = api.get(f"/runs/?experiment=churn-gbm&cols={cols}&agg=min&sort=metrics.auc DESC").body["results"]
    assert [r["columns"] for r in found] == [
        {"m~auc": 0.5, "m~auc@max": 0.9, "m~auc@step:1": 0.9, "m~auc~": [0.5, 0.9, 0.7], "p~depth": "0",
         "t~team": "a", "c~state": "finished", "m~none": None},
        {"m~auc": 0.2, "m~auc@max": 0.8, "m~auc@step:1": 0.2, "m~auc~": [0.6, 0.2, 0.8], "p~depth": "1",
         "t~team": "a", "c~state": "finished", "m~none": None},
    ]  # fmt: skip
    assert list(found[0]["metrics"]) == ["auc"]


def test_groups_come_in_pages_over_the_api(api, experiment):
    for depth, auc in [("1", 0.5), ("1", 0.7), ("2", 0.9), ("3", 0.1)]:
        run = make_run(experiment, params={"depth": depth})
        log(run, "auc", [auc])
        runs.finish(writer(experiment.project), run=run, state="finished")
    first = api.get("/runs/?experiment=churn-gbm&group=p~depth&cols=m~auc&sort=group ASC&limit=2").body
    assert (first["total"], [g["group"] for g in first["groups"]]) == (3, [{"p~depth": "1"}, {"p~depth": "2"}])
    (metric,) = first["groups"][0]["metrics"]
    assert (metric["count"], metric["best"], metric["mean"]) == (2, 0.7, pytest.approx(0.6))
    assert metric["half_width"] == pytest.approx(12.706204736 * metric["deviation"] / 2**0.5)
    second = api.client.get(first["next"], headers=api.headers).json()
    assert ([g["group"] for g in second["groups"]], second["next"]) == ([{"p~depth": "3"}], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cols=auc", "cols"), ("agg=mean", "agg"), ("group=depth", "group"), ("group=p~a&cursor=x", "cursor"),
        ("group=p~a&cols=m~a@step:x", "cols"), ("sort=metrics.auc@step:9999999999999999999", "sort"),
        ("sort=nothing", "sort"), ("group=p~a,p~b,p~c", "group"), ("group=p~a&sort=metrics.auc DESC", "sort"),
        ("limit=0", "limit"),
    ],
)  # fmt: skip
def test_what_the_table_cannot_do_is_refused_by_name(api, experiment, query, field):
    answer = api.get(f"/runs/?experiment=churn-gbm&{query}")
    assert (answer.status_code, answer.body["field"]) == (400, field)
