"""Checks that must pass: a launch waits, is refused by name, or passes over them with a reason."""

import pytest

from experiments.models import TrainingJob
from mlportal.lib.errors import Conflict, Forbidden
from projects.models import Event
from projects.services import checks
from tests.factories.datasets import profiled
from tests.factories.projects import actor, make_project, make_user
from tests.projects.checking import AGE, PLAN, SPEC, api_of, checked, client_of, launch

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


def test_failed_gate_checks_refuse_a_launch_by_name(version, ana):
    checked(version, ana, AGE, PLAN)
    with pytest.raises(Conflict) as raised:
        launch(version, ana)
    assert raised.value.code == "checks_failed"
    assert raised.value.message == (
        "churn v1 fails 1 check that must pass: age is between 0 and 40 (31 to 45, 1 row at fault)."
    )
    assert not TrainingJob.objects.exists()


def test_failed_warnings_do_not(version, ana):
    checked(version, ana, PLAN)
    assert launch(version, ana).run is not None


def test_a_launch_waits_for_checks_that_must_pass(version, ana):
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    checks.run(actor(ana), version=version)
    with pytest.raises(Conflict, match="is being checked"):
        launch(version, ana)


def test_a_gate_that_could_not_be_measured_stays_shut(version, ana):
    checked(version, ana, {"kind": "sql", "name": "broken", "query": "SELECT nothing FROM data"})
    with pytest.raises(Conflict, match="fails 1 check that must pass: broken"):
        launch(version, ana)


def test_an_override_needs_the_right_and_is_recorded(project, version, ana):
    checked(version, ana, AGE)
    with pytest.raises(Forbidden):
        launch(version, ana, override_reason="I know better")
    chief = make_user("chief", role="admin", project=project)
    job = launch(version, chief, override_reason="One old customer, agreed with legal")
    told = Event.objects.get(verb="job.launched").data["checks_override"]
    assert told["reason"] == "One old customer, agreed with legal"
    assert told["checks"] == ["age is between 0 and 40 (31 to 45, 1 row at fault)"]
    assert "agreed with legal" in str(job.run.tags)


def test_the_api_answers_409_with_the_checks(project, version, ana):
    checked(version, ana, AGE)
    body = {"dataset": "churn", "experiment": "first", "spec": SPEC}
    api = api_of(ana, project, "read", "train", "write")
    answer = api.post("/api/v1/projects/churn/jobs/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "checks_failed")
    assert "age is between 0 and 40" in answer.json()["message"]


def test_the_launch_page_warns_and_offers_the_override_to_those_who_may(project, version, ana):
    checked(version, ana, AGE)
    page = client_of(ana).get("/p/churn/jobs/new/?dataset=churn").content.decode()
    assert "fails 1 check that must pass" in page
    assert 'name="override_reason"' not in page
    chief = client_of(make_user("chief", role="admin", project=project))
    page = chief.get("/p/churn/jobs/new/?dataset=churn").content.decode()
    assert 'name="override_reason"' in page
    values = {
        "dataset": "churn@1", "target": "churned", "task": "classification", "algorithm": "logistic_regression",
        "experiment": "first", "sent": "1", "test_share": "0.2", "seed": "0", "folds": "0",
    }  # fmt: skip
    refused = chief.post("/p/churn/jobs/new/", values)
    assert refused.status_code == 422
    assert chief.post("/p/churn/jobs/new/", values | {"override_reason": "agreed"}).status_code == 302
