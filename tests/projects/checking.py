"""Rules, and runs of them as a worker does them, for the tests of checks."""

from django.test import Client

from experiments.services import jobs
from projects.models import CheckRun, Event
from projects.pipeline import check_runs
from projects.services import checks
from tests.factories.projects import actor, make_token

ROOT = "/p/churn/datasets/churn/"
API = "/api/v1/projects/churn/datasets/churn/"
AGE = {"kind": "range", "columns": ["age"], "min": 0, "max": 40}
PLAN = {"kind": "values", "columns": ["plan"], "allowed": ["basic"], "severity": "warn"}
SPEND = {"kind": "sql", "name": "nobody pays over 100", "query": "SELECT * FROM data WHERE spend > 100"}
SPEC = {"task": "classification", "target": "churned", "algorithm": "logistic_regression"}


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def api_of(user, project, *scopes: str) -> Client:
    return Client(headers={"authorization": f"Bearer {make_token(user, project, list(scopes))}"})


def checked(version, ana, *rules) -> CheckRun:
    checks.save(actor(ana), dataset=version.dataset, rules=list(rules))
    run = checks.run(actor(ana), version=version)
    assert check_runs.run_checks(run.pk, worker="test") == "succeeded"
    run.refresh_from_db()
    version.refresh_from_db()
    return run


def verbs() -> list[str]:
    return list(Event.objects.filter(verb__startswith="checks.").order_by("seq").values_list("verb", flat=True))


def launch(version, user, **extra):
    return jobs.launch(
        actor(user), project=version.dataset.project, experiment="first", dataset_version=version, spec=SPEC, **extra
    )
