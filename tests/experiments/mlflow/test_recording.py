"""What a training loop calls: log-metric, log-parameter, set-tag, delete-tag, log-batch."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import metricstore
from experiments.models import LoggedModel, LoggedModelMetric, Run
from experiments.services import runs
from tests.experiments.mlflow.calls import scientist
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
STAMP = 1_760_000_000_000


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return scientist(project)


@pytest.fixture
def run(project):
    return make_run(make_experiment(project), source=Run.Source.MLFLOW)


def points(run, key):
    found = metricstore.series(run.pk, key)
    return list(zip(found.steps.tolist(), found.stamps.tolist(), found.values.tolist(), strict=True))


def document(run, name):
    return json.loads(Run.objects.values_list(name, flat=True).get(pk=run.pk))


def test_a_metric_is_kept_with_its_step_and_time(ana, run):
    body = {"run_id": run.uuid, "key": "loss", "value": 0.5, "timestamp": STAMP, "step": 3}
    assert ana.post("runs/log-metric", body) == (200, {})
    assert ana.post("runs/log-metric", body) == (200, {})
    assert points(run, "loss") == [(3, STAMP, 0.5)]


def test_the_step_is_zero_and_the_old_name_of_the_run_id_is_taken(ana, run):
    assert ana.post("runs/log-metric", {"run_uuid": run.uuid, "key": "a/b c", "value": 1, "timestamp": 0})[0] == 200
    assert points(run, "a/b c") == [(0, 0, 1.0)]


@pytest.mark.parametrize(("word", "kept"), [("Infinity", math.inf), ("-Infinity", -math.inf), ("1e-3", 0.001)])
def test_numbers_may_come_as_words(ana, run, word, kept):
    body = {"run_id": run.uuid, "key": "loss", "value": word, "timestamp": str(STAMP), "step": "-7"}
    assert ana.post("runs/log-metric", body)[0] == 200
    assert points(run, "loss") == [(-7, STAMP, kept)]


def test_nan_is_a_word_and_never_a_bare_token(ana, run):
    body = {"run_id": run.uuid, "key": "loss", "value": "NaN", "timestamp": STAMP}
    assert ana.post("runs/log-metric", body)[0] == 200
    assert math.isnan(points(run, "loss")[0][2])
    bare = json.dumps(body | {"value": math.nan, "key": "bare"}).encode()
    assert ana.post("runs/log-metric", bare)[1]["error_code"] == "INVALID_PARAMETER_VALUE"
    assert points(run, "bare") == []


def test_what_is_no_run_id_is_absent_but_where_batches_are_taken(ana, run):
    body = {"run_id": "../x", "key": "loss", "value": 0.5, "timestamp": STAMP}
    status, answer = ana.post("runs/log-metric", body)
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    status, answer = ana.post("runs/log-batch", {"run_id": "../x"})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("left_out", ["run_id", "key", "value", "timestamp"])
def test_a_metric_needs_its_fields(ana, run, left_out):
    body = {"run_id": run.uuid, "key": "loss", "value": 0.5, "timestamp": STAMP}
    del body[left_out]
    status, answer = ana.post("runs/log-metric", body)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert answer["message"] == f"Missing value for required parameter '{left_out}'."


@pytest.mark.parametrize(
    "wrong",
    [
        {"timestamp": -1}, {"timestamp": 1.5}, {"step": 2**63}, {"step": True}, {"value": True}, {"value": "much"},
        {"value": [1]}, {"key": "../up"}, {"key": "/etc"}, {"key": "a//b"}, {"key": "x" * 251}, {"key": "snow☃"},
        {"key": 5}, {"key": "nul\0"}, {"run_id": 7},
    ],
)  # fmt: skip
def test_a_wrong_metric_is_refused(ana, run, wrong):
    body = {"run_id": run.uuid, "key": "loss", "value": 0.5, "timestamp": STAMP} | wrong
    status, answer = ana.post("runs/log-metric", body)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer


def test_a_parameter_is_written_once_and_long_values_are_cut(ana, run):
    assert ana.post("runs/log-parameter", {"run_id": run.uuid, "key": "lr", "value": "0.1"}) == (200, {})
    assert ana.post("runs/log-parameter", {"run_id": run.uuid, "key": "lr", "value": "0.1"}) == (200, {})
    status, answer = ana.post("runs/log-parameter", {"run_id": run.uuid, "key": "lr", "value": "0.2"})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert ana.post("runs/log-parameter", {"run_id": run.uuid, "key": "long", "value": "x" * 7000})[0] == 200
    assert ana.post("runs/log-parameter", {"run_id": run.uuid, "key": "empty"})[0] == 200
    assert document(run, "params") == {"lr": "0.1", "long": "x" * 6000, "empty": ""}


def test_a_tag_can_be_set_again_and_deleted(ana, run):
    for value in ("old", "y" * 9000):
        assert ana.post("runs/set-tag", {"run_id": run.uuid, "key": "team", "value": value}) == (200, {})
    assert document(run, "tags") == {"team": "y" * 8000}
    assert ana.post("runs/delete-tag", {"run_id": run.uuid, "key": "team"}) == (200, {})
    status, answer = ana.post("runs/delete-tag", {"run_id": run.uuid, "key": "team"})
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert document(run, "tags") == {}


def test_tags_of_the_client_name_describe_and_nest_the_run(ana, run):
    parent = make_run(run.experiment, "parent")
    tags = {"mlflow.runName": "clever-owl-7", "mlflow.note.content": "# why", "mlflow.parentRunId": parent.uuid}
    for key, value in tags.items():
        assert ana.post("runs/set-tag", {"run_id": run.uuid, "key": key, "value": value})[0] == 200
    run.refresh_from_db()
    assert (run.name, run.notes, run.parent) == ("clever-owl-7", "# why", parent)
    for key in tags:
        assert ana.post("runs/delete-tag", {"run_id": run.uuid, "key": key})[0] == 200
    run.refresh_from_db()
    assert (run.name, run.notes, run.parent) == ("clever-owl-7", "", None)


def test_a_parent_of_another_project_is_only_a_tag(ana, run):
    stranger = make_run(make_experiment(make_project("other")), "stranger")
    tag = {"run_id": run.uuid, "key": "mlflow.parentRunId", "value": stranger.uuid}
    assert ana.post("runs/set-tag", tag)[0] == 200
    run.refresh_from_db()
    assert run.parent is None


def test_a_batch_is_kept_whole(ana, run):
    batch = {
        "run_id": run.uuid,
        "metrics": [{"key": "loss", "value": v, "timestamp": STAMP, "step": s} for s, v in ((1, 0.5), (2, 0.4))] * 2,
        "params": [{"key": "lr", "value": "0.1"}],
        "tags": [{"key": "team", "value": "a"}, {"key": "team", "value": "b"}],
    }
    assert ana.post("runs/log-batch", batch) == (200, {})
    assert points(run, "loss") == [(1, STAMP, 0.5), (2, STAMP, 0.4)]
    assert (document(run, "params"), document(run, "tags")) == ({"lr": "0.1"}, {"team": "b"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"params": [{"key": "lr", "value": "9"}]},
        {"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]},
        {"params": [{"key": f"p{i}", "value": ""} for i in range(101)]},
        {"tags": [{"key": f"t{i}", "value": ""} for i in range(101)]},
        {"tags": [{"value": "no key"}]},
        {"tags": [{"key": "nul", "value": "\0"}]},
        {"tags": [{"key": "number", "value": 7}]},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1}] * 1001},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1}] * 1000},
        {"metrics": [{"key": "m", "value": 1}]},
        {"metrics": [[]]},
        {"metrics": {"key": "m"}},
        {"metrics": 0},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "model_id": "m-none"}]},
    ],
)
def test_nothing_of_a_refused_batch_is_kept(ana, run, wrong):
    runs.log_batch(writer(run.project), run=run, params={"lr": "0.1"})
    fine = {
        "metrics": [{"key": "fine", "value": 1, "timestamp": 1}],
        "params": [{"key": "fine", "value": ""}],
        "tags": [{"key": "fine", "value": ""}],
    }
    status, answer = ana.post("runs/log-batch", {"run_id": run.uuid} | fine | wrong)
    assert status in (400, 404), answer
    assert (document(run, "params"), document(run, "tags"), points(run, "fine")) == ({"lr": "0.1"}, {}, [])


def test_the_largest_batch_is_taken(ana, run):
    batch = {
        "run_id": run.uuid,
        "metrics": [{"key": f"m{i}", "value": i, "timestamp": STAMP, "step": 1} for i in range(800)],
        "params": [{"key": f"p{i}", "value": "x" * 6001} for i in range(100)],
        "tags": [{"key": f"t{i}", "value": "x" * 8001} for i in range(100)],
    }
    assert ana.post("runs/log-batch", batch) == (200, {})
    assert len(metricstore.latest([run.pk])[run.pk]) == 800


def test_metrics_of_a_logged_model_stand_by_it_too(ana, project, run):
    model = LoggedModel.objects.create(
        project=project, experiment=run.experiment, name="m", created_ms=STAMP, updated_ms=STAMP
    )
    metric = {"key": "auc", "value": 0.9, "timestamp": STAMP, "model_id": model.uuid, "dataset_name": "train"}
    assert ana.post("runs/log-metric", metric | {"run_id": run.uuid}) == (200, {})
    batch = {"run_id": run.uuid, "metrics": [metric, metric | {"key": "mae", "value": "NaN"}]}
    assert ana.post("runs/log-batch", batch) == (200, {})
    rows = LoggedModelMetric.objects.order_by("key").values_list("key", "value", "is_nan", "dataset_name", "run")
    assert list(rows) == [("auc", 0.9, False, "train", run.pk), ("mae", 0.0, True, "train", run.pk)]
    assert points(run, "auc") == [(0, STAMP, 0.9)]


CALLS = {
    "runs/log-metric": {"key": "loss", "value": 1, "timestamp": 1},
    "runs/log-parameter": {"key": "lr", "value": "1"},
    "runs/set-tag": {"key": "team", "value": "a"},
    "runs/delete-tag": {"key": "kept"},
    "runs/log-batch": {},
}


@pytest.mark.parametrize("path", CALLS)
def test_a_deleted_run_takes_nothing(ana, project, run, path):
    runs.log_batch(writer(project), run=run, tags={"kept": ""})
    runs.delete(writer(project), run=run)
    status, answer = ana.post(path, {"run_id": run.uuid} | CALLS[path])
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "must be in the 'active' state" in answer["message"]
    assert document(run, "tags") == {"kept": ""}


@pytest.mark.parametrize("path", CALLS)
def test_a_run_of_another_project_is_absent(ana, path):
    stranger = make_run(make_experiment(make_project("other")))
    status, answer = ana.post(path, {"run_id": stranger.uuid} | CALLS[path])
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("path", sorted(CALLS.keys() - {"runs/log-batch"}))
def test_the_record_of_a_job_stays_the_jobs(ana, project, path):
    run = make_run(make_experiment(project), source=Run.Source.JOB)
    runs.log_batch(writer(project), run=run, tags={"kept": ""})
    status, answer = ana.post(path, {"run_id": run.uuid} | CALLS[path])
    expected = {"runs/set-tag": 200, "runs/delete-tag": 200}.get(path, 403)
    assert status == expected, answer


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("body", [b"", b"[]", b"42", b'"x"', b"{", b"[" * 100_000, b'{"run_id": NaN}', b"\xff"])
def test_a_body_that_is_no_object_is_refused(ana, path, body):
    status, answer = ana.post(path, body)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ITEMS = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(["key", "value", "timestamp", "step", "model_id"], VALUES)),
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(["key", "value", "timestamp", "step", "model_id", "dataset_name"], VALUES)
    | dict.fromkeys(["metrics", "params", "tags"], VALUES | ITEMS),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(CALLS)), body=BODIES)
def test_no_body_breaks_the_door(ana, run, path, body):
    raw = json.dumps({"run_id": run.uuid} | CALLS[path] | body).encode()
    status, answer = ana.post(path, raw)
    assert status in (200, 400, 404), (answer, body)
    assert status == 200 or answer["message"]
