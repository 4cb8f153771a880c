"""REST routes of training jobs: shapes, faults, rights, idempotency, query counts."""

from typing import Any

import pytest
from django.test import Client

from experiments.models import TrainingJob
from experiments.services import attempts
from mlportal.lib.lease import WorkState
from projects.models import Project
from tests.factories.jobs import QUICK, make_job, make_scientist, make_version
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
JOBS = "/api/v1/projects/churn/jobs/"


@pytest.fixture
def project() -> Project:
    return make_project()


class Api:
    """A caller with a token."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(path, body, content_type="application/json", headers=headers)


@pytest.fixture
def api(project: Project) -> Api:
    return Api(make_token(make_scientist(project), project, ["read", "train"]))


def body(**changes: Any) -> dict[str, Any]:
    return {"dataset": "iris", "experiment": "first", "spec": dict(QUICK)} | changes


def test_launch_answers_the_queued_job(project: Project, api: Api) -> None:
    make_version(project)
    answer = api.post(JOBS, body())
    job = TrainingJob.objects.get()
    assert answer.status_code == 201
    said = answer.json()
    assert (said["id"], said["run"], said["state"], said["dataset"], said["version"]) == (
        job.pk,
        job.run_id,
        "queued",
        "iris",
        1,
    )
    assert said["spec"]["hyper_parameters"]["max_iter"] == 1000
    assert said["page"] == f"/p/churn/jobs/{job.pk}/"


def test_same_key_launches_once(project: Project, api: Api) -> None:
    make_version(project)
    first, second = (api.post(JOBS, body(), **{"Idempotency-Key": "abc"}) for _ in range(2))
    assert first.json() == second.json()
    assert TrainingJob.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"dataset": "nothing"}, 404, "dataset"),
        ({"dataset": 5}, 400, "dataset"),
        ({"version": 9}, 404, "version"),
        ({"version": "1"}, 400, "version"),
        ({"version": 2**70}, 400, "version"),
        ({"baseline": 99}, 404, None),
        ({"experiment": ""}, 400, "experiment"),
        ({"experiment": "x" * 501}, 400, "experiment"),
        ({"spec": None}, 400, "spec"),
        ({"spec": [1]}, 400, "spec"),
        ({"spec": QUICK | {"test_share": 1.5}}, 400, "test_share"),
        ({"spec": QUICK | {"target": "age"}}, 400, "target"),
        ({"spec": QUICK | {"hyper_parameters": {"trees": 1}}}, 400, "hyper_parameters.trees"),
        ({"limits": {"memory_mb": 1}}, 400, "limits.memory_mb"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
def test_fault_names_the_field(
    project: Project, api: Api, changes: dict[str, Any], status: int, field: str | None
) -> None:
    make_version(project)
    answer = api.post(JOBS, body(**changes))
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert TrainingJob.objects.count() == 0


def test_all_faults_of_a_spec_come_at_once(project: Project, api: Api) -> None:
    make_version(project)
    spec = QUICK | {"seed": -1, "test_share": 0, "hyper_parameters": {"C": "x"}}
    found = api.post(JOBS, body(spec=spec)).json()["errors"]
    assert [fault["field"] for fault in found] == ["test_share", "seed", "hyper_parameters.C"]


def test_missing_spec_is_named(project: Project, api: Api) -> None:
    make_version(project)
    given = body()
    del given["spec"]
    assert api.post(JOBS, given).json()["field"] == "spec"


def test_read_cancel_retry(project: Project, api: Api) -> None:
    job = make_job(project)
    path = f"{JOBS}{job.pk}/"
    assert api.get(path).json()["attempts"] == []
    assert api.post(f"{path}cancel/").json()["state"] == "cancelled"
    again = api.post(f"{path}retry/")
    assert (again.status_code, again.json()["state"], again.json()["id"] != job.pk) == (201, "queued", True)


def test_cancel_of_an_ended_job_is_409(project: Project, api: Api) -> None:
    job = make_job(project)
    TrainingJob.objects.filter(pk=job.pk).update(state=WorkState.SUCCEEDED)
    answer = api.post(f"{JOBS}{job.pk}/cancel/")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")


def test_log_reads_on_from_a_cursor(project: Project, api: Api) -> None:
    job = make_job(project)
    path = f"{JOBS}{job.pk}/logs/"
    assert api.get(path).json() == {"attempt": None, "lines": [], "next": 0, "ended": False}
    held = attempts.begin(job.pk, worker="w/1")
    assert held
    lines = [(1000 + n, "info", f"line {n}") for n in range(5)]
    attempts.report(held, log=attempts.LogPart(first_line=0, lines=lines, warnings=0, errors=0))
    first = api.get(path, limit=2).json()
    assert ([line["text"] for line in first["lines"]], first["next"], first["ended"]) == (
        ["line 0", "line 1"],
        2,
        False,
    )
    attempts.settle(held, state=WorkState.FAILED, failure="No luck.")
    rest = api.get(path, after=first["next"]).json()
    assert ([line["number"] for line in rest["lines"]], rest["next"], rest["ended"]) == ([2, 3, 4], 5, True)


@pytest.mark.parametrize(
    "query", [{"after": "-1"}, {"after": "x"}, {"limit": "0"}, {"limit": "9999"}, {"attempt": "0"}]
)
def test_log_query_out_of_range(project: Project, api: Api, query: dict[str, str]) -> None:
    job = make_job(project)
    answer = api.get(f"{JOBS}{job.pk}/logs/", **query)
    assert (answer.status_code, answer.json()["field"]) == (400, next(iter(query)))


def test_list_filters_by_state(project: Project, api: Api) -> None:
    make_job(project)
    failed = make_job(project)
    TrainingJob.objects.filter(pk=failed.pk).update(state=WorkState.FAILED)
    assert [job["id"] for job in api.get(JOBS, state="failed").json()["results"]] == [failed.pk]
    assert api.get(JOBS, state="lost").json()["field"] == "state"


@pytest.mark.parametrize("count", [1, 3])
def test_list_costs_the_same_for_any_count(
    project: Project, api: Api, count: int, django_assert_num_queries: Any
) -> None:
    for _ in range(count):
        make_job(project)
    with django_assert_num_queries(LIST_QUERIES):
        assert len(api.get(JOBS).json()["results"]) == count


LIST_QUERIES = 3


def test_catalogue_lists_every_parameter(api: Api) -> None:
    found = {entry["name"]: entry for entry in api.get("/api/v1/projects/churn/algorithms/").json()}
    assert found["ridge"]["tasks"] == ["regression"]
    assert [rule["name"] for rule in found["k_neighbors"]["parameters"]["regression"]] == [
        "n_neighbors",
        "weights",
        "p",
    ]
    assert found["random_forest"]["parameters"]["classification"][0]["allowed"] == "1 to 2,000"


@pytest.mark.parametrize(
    ("scopes", "reading", "launching"), [(["read"], 200, 403), (["read", "train"], 200, 201), (["train"], 403, 403)]
)
def test_scopes(project: Project, scopes: list[str], reading: int, launching: int) -> None:
    make_version(project)
    api = Api(make_token(make_scientist(project), project, scopes))
    assert (api.get(JOBS).status_code, api.post(JOBS, body()).status_code) == (reading, launching)


def test_outsider_gets_404(project: Project) -> None:
    job = make_job(project)
    api = Api(make_token(make_user("eve"), None, ["read", "train"]))
    assert [api.get(path).status_code for path in (JOBS, f"{JOBS}{job.pk}/")] == [404, 404]


def test_number_beyond_the_database_is_404(project: Project, api: Api) -> None:
    assert [api.get(f"{JOBS}{10**30}/{part}").status_code for part in ("", "logs/")] == [404, 404]


def test_anonymous_gets_401(project: Project) -> None:
    assert Client().get(JOBS).status_code == 401
