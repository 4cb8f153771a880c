"""The search of logged models."""

import math

import pytest

from experiments.models import LoggedModel, LoggedModelMetric, LoggedModelParam, LoggedModelTag, Run
from tests.experiments.mlflow.calls import code, scientist
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return scientist(project)


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.fixture
def run(experiment):
    return make_run(experiment, source=Run.Source.MLFLOW)


@pytest.fixture
def zoo(experiment, run):
    """Five models: params, tags, and metrics on two datasets; `none` has nothing, `gone` is deleted."""
    rows = [("ant", "sklearn", 0.5, "ready"), ("bee", "torch", math.nan, "ready"), ("cat", "", 0.9, "pending"),
            ("none", "sklearn", None, "failed"), ("gone", "sklearn", 0.7, "ready")]  # fmt: skip
    for at, (name, kind, auc, status) in enumerate(rows):
        model = LoggedModel.objects.create(
            project=experiment.project, experiment=experiment, name=name, model_type=kind, status=status,
            created_ms=1000 + at, updated_ms=2000 - at, source_run=run if at < 2 else None,
            lifecycle="deleted" if name == "gone" else "active",
        )  # fmt: skip
        if auc is None:
            continue
        LoggedModelParam.objects.create(logged_model=model, key="depth", value=str(at))
        LoggedModelTag.objects.create(logged_model=model, key="team x", value="red" if at else "Blue")
        for stamp, value, data in ((1, 0.1, "old"), (2, auc, "train")):
            LoggedModelMetric.objects.create(
                logged_model=model, run=run, key="auc", value=0 if math.isnan(value) else value,
                is_nan=math.isnan(value), step=0, stamp_ms=stamp, dataset_name=data, dataset_digest=f"d{at}",
            )  # fmt: skip


def names(caller, experiment, **fields):
    body = caller.ok("logged-models/search", experiment_ids=[str(experiment.pk)], **fields)
    return [model["info"]["name"] for model in body.get("models", [])]


def test_active_models_come_newest_first(ana, experiment, zoo):
    assert names(ana, experiment) == ["none", "cat", "bee", "ant"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name = 'ant'", "ant"),
        ("name LIKE '%a%' AND status = 'READY'", "ant"),
        ("name ILIKE 'A%'", "ant"),
        ("name IN ('ant', 'cat', 'gone')", "cat ant"),
        ("attributes.model_type != 'torch'", "none ant"),
        ("model_type NOT IN ('torch')", "none ant"),
        ("status != 'READY'", "none cat"),
        ("creation_timestamp >= 1002", "none cat"),
        ("last_updated_timestamp > 1999", "ant"),
        ("params.depth = '1'", "bee"),
        ("params.depth IN ('0', '2')", "cat ant"),
        ("params.depth != '1'", "cat ant"),
        ("tags.`team x` = 'red'", "cat bee"),
        ("tags.`team x` ILIKE 'blue'", "ant"),
        ("metrics.auc > 0.4", "cat ant"),
        ("metrics.auc = 0.1", "cat bee ant"),
        ("metrics.auc < 0.1", ""),
        ("metrics.auc > 0.4 AND params.depth = '2'", "cat"),
    ],
)
def test_filters(ana, experiment, zoo, text, found):
    assert names(ana, experiment, filter=text) == found.split()


def test_the_source_run_is_a_name_too(ana, experiment, run, zoo):
    assert names(ana, experiment, filter=f"source_run_id = '{run.uuid}'") == ["bee", "ant"]
    model = LoggedModel.objects.get(name="cat")
    assert names(ana, experiment, filter=f"model_id = '{model.uuid}'") == ["cat"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"datasets": [{"dataset_name": "train"}]}, "cat bee ant"),
        ({"datasets": [{"dataset_name": "train", "dataset_digest": "d2"}]}, "cat"),
        ({"datasets": [{"dataset_name": "old"}], "filter": "metrics.auc > 0.4"}, ""),
        ({"datasets": [{"dataset_name": "old"}, {"dataset_name": "train"}], "filter": "metrics.auc > 0.4"}, "cat ant"),
        ({"datasets": [{"dataset_name": "none"}]}, ""),
    ],
)
def test_metrics_may_be_asked_on_some_data(ana, experiment, zoo, fields, found):
    assert names(ana, experiment, **fields) == found.split()


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ({"field_name": "name"}, "ant bee cat none"),
        ({"field_name": "name", "ascending": False}, "none cat bee ant"),
        ({"field_name": "creation_timestamp"}, "ant bee cat none"),
        ({"field_name": "last_updated_timestamp"}, "none cat bee ant"),
        ({"field_name": "metrics.auc"}, "ant cat bee none"),
        ({"field_name": "metrics.auc", "ascending": False}, "cat ant bee none"),
        ({"field_name": "metrics.auc", "ascending": False, "dataset_name": "old"}, "cat bee ant none"),
        ({"field_name": "metrics.auc", "dataset_name": "train", "dataset_digest": "d2"}, "cat none bee ant"),
        ({"field_name": "model_type"}, "none ant bee cat"),
    ],
)
def test_orders_put_the_missing_last(ana, experiment, zoo, item, found):
    assert names(ana, experiment, order_by=[item]) == found.split()


def test_pages_join_without_a_gap(ana, experiment, zoo):
    seen, token = [], ""
    while True:
        body = ana.ok(
            "logged-models/search", experiment_ids=[str(experiment.pk)], max_results=3, page_token=token,
            order_by=[{"field_name": "name"}],
        )  # fmt: skip
        seen += [model["info"]["name"] for model in body["models"]]
        token = body.get("next_page_token", "")
        if not token:
            break
    assert seen == ["ant", "bee", "cat", "none"]


def test_a_token_belongs_to_its_question(ana, experiment, zoo):
    body = {"experiment_ids": [str(experiment.pk)], "max_results": 1}
    token = ana.ok("logged-models/search", **body)["next_page_token"]
    assert code(ana.post("logged-models/search", body | {"page_token": token, "filter": "name = 'ant'"}))[0] == 400
    assert code(ana.post("logged-models/search", body | {"page_token": "nonsense"}))[0] == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"experiment_ids": []}, {"experiment_ids": None}, {"experiment_ids": ["x"]}, {"experiment_ids": [1]},
        {"max_results": -1}, {"max_results": 0}, {"max_results": 1001}, {"filter": "nothing = 'a'"},
        {"filter": "metrics.auc > 'x'"}, {"filter": "name > 'a'"}, {"filter": "name = 'a' OR name = 'b'"},
        {"datasets": [{}]}, {"datasets": [{"dataset_digest": "1"}]}, {"order_by": [{"field_name": "params.a"}]},
        {"order_by": [{"field_name": "nothing"}]}, {"order_by": [{}]}, {"order_by": ["name"]},
        {"order_by": [{"field_name": "name", "dataset_name": "train"}]},
        {"order_by": [{"field_name": "metrics.a", "dataset_digest": "1"}]},
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(ana, experiment, fields):
    answer = ana.post("logged-models/search", {"experiment_ids": [str(experiment.pk)]} | fields)
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_nothing_is_found_outside_the_project(ana, experiment, zoo):
    eve = scientist(make_project("elsewhere"), "eve")
    assert names(eve, experiment) == []
    assert ana.ok("logged-models/search", experiment_ids=["999999", "0"]) == {}
