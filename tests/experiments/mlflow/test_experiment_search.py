"""experiments/search: filter, order, pages, views."""

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.mlflow import wire
from experiments.models import Experiment, ExperimentTag
from tests.experiments.mlflow.calls import scientist
from tests.factories.experiments import make_experiment
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NOW = 1_790_000_000_000


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def caller(project):
    return scientist(project)


@pytest.fixture
def shelf(project):
    """Experiments of every kind; the default one is among them, made when it is first asked for."""
    base = timezone.now().replace(microsecond=400)
    for i, (name, team) in enumerate([("Alpha", "a"), ("alpha_2", "b"), ("beta", None), ("Gamma", "a"), ("é", "")]):
        made = Experiment.objects.create(
            project=project, name=name, created_at=base + timedelta(milliseconds=i), updated_at=base,
            lifecycle="deleted" if name == "Gamma" else "active",
        )  # fmt: skip
        if team is not None:
            ExperimentTag.objects.create(experiment=made, key="team", value=team)
    make_experiment(make_project("theirs"), "Alpha")
    return (base - wire.EPOCH) // timedelta(milliseconds=1)


def names(body):
    return [one["name"] for one in body.get("experiments", [])]


def test_experiments_are_found(caller, shelf):
    ids = {e["name"]: e["experiment_id"] for e in caller.ok("experiments/search", max_results=10)["experiments"]}
    assert ids["Default"] == "0"
    for text, expected in [
        ("", {"Default", "Alpha", "alpha_2", "beta", "é"}), ("name = 'Alpha'", {"Alpha"}),
        ("name != 'Alpha'", {"Default", "alpha_2", "beta", "é"}), ("name LIKE 'alpha%'", {"alpha_2"}),
        ("name ILIKE 'alpha%'", {"Alpha", "alpha_2"}), ("tags.team = 'a'", {"Alpha"}),
        ("tags.team IS NULL", {"Default", "beta"}), ("tags.team != 'a' AND name LIKE '%a%'", {"alpha_2"}),
        (f"experiment_id = '{ids['beta']}'", {"beta"}), ("experiment_id IN ('0', '999999')", {"Default"}),
        ("experiment_id = '0'", {"Default"}), (f"experiment_id = '{'9' * 30}'", set()),
        (f"experiment_id NOT IN ('0', '{ids['beta']}')", {"Alpha", "alpha_2", "é"}),
        ("experiment_id != '0' AND name LIKE 'D%'", set()), (f"creation_time = {shelf + 1}", {"alpha_2"}),
        (f"creation_time <= {shelf + 1}", {"Alpha", "alpha_2"}), (f"creation_time < {shelf + 1}", {"Alpha"}),
        (f"creation_time > {shelf + 1} AND creation_time < {shelf + 9}", {"beta", "é"}),
        (f"creation_time >= {shelf + 1} AND creation_time != {shelf + 2} AND tags.team LIKE '%'", {"alpha_2", "é"}),
        (f"last_update_time > {2**63 - 1}", set()), (f"last_update_time > {-(2**63)} AND name = 'é'", {"é"}),
    ]:  # fmt: skip
        body = caller.ok("experiments/search", max_results=10, filter=text)
        assert (text, set(names(body))) == (text, expected)


def test_experiments_are_ordered_and_paged(caller, shelf):
    caller.ok("experiments/search", max_results=1)
    for order, expected in [
        ([], ["é", "beta", "alpha_2", "Alpha"]), (["name"], ["Alpha", "alpha_2", "beta", "é"]),
        (["name DESC"], ["é", "beta", "alpha_2", "Alpha"]), (["creation_time"], ["Alpha", "alpha_2", "beta", "é"]),
        (["last_update_time DESC", "name"], ["Alpha", "alpha_2", "beta", "é"]),
        (["experiment_id DESC"], ["é", "beta", "alpha_2", "Alpha"]),
    ]:  # fmt: skip
        found, token = [], ""
        while True:
            body = caller.ok("experiments/search", max_results=2, order_by=order, page_token=token)
            found += names(body)
            token = body.get("next_page_token")
            if not token:
                break
        assert (order, [name for name in found if name != "Default"]) == (order, expected)
        assert len(found) == 5


def test_experiments_by_query_and_view(caller, shelf):
    assert names(caller.seen("experiments/search", max_results=5, view_type="DELETED_ONLY")) == ["Gamma"]
    found = caller.seen("experiments/search", max_results=5, order_by=["name", "creation_time"], filter="name != 'é'")
    assert names(found) == ["Alpha", "Default", "alpha_2", "beta"]
    assert len(names(caller.seen("experiments/search", max_results=50, view_type="ALL"))) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_results": None}, {"max_results": 0}, {"max_results": 50_001}, {"filter": "metrics.a > 1"},
        {"filter": "experiment_id = 'x'"}, {"filter": "experiment_id LIKE '1'"}, {"filter": "creation_time > '1'"},
        {"filter": "name = '\0'"}, {"order_by": ["tags.a"]}, {"order_by": ["status"]}, {"view_type": "NONE"},
        {"page_token": "eyJvZmZzZXQiOiA1fQ=="},
    ],
)  # fmt: skip
def test_what_cannot_be_read_of_experiments_is_400(caller, wrong):
    status, body = caller.post("experiments/search", {"max_results": 5, **wrong})
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
