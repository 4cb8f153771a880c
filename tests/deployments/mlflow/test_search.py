"""Searches of models and versions."""

import uuid

import pytest

from deployments.models import ModelVersion, RegisteredModel
from tests.deployments.mlflow.calls import Caller, client_run
from tests.factories.deployments import make_team

PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}


@pytest.fixture
def caller(team) -> Caller:
    return Caller(team)


def models(caller: Caller, text: str = "", **more) -> list[str]:
    answer = caller.ok("GET", "registered-models/search", filter=text, **more)
    return [row["name"] for row in answer.get("registered_models", [])]


def versions(caller: Caller, text: str = "", **more) -> list[str]:
    answer = caller.ok("GET", "model-versions/search", filter=text, **more)
    return [f"{row['name']}{row['version']}" for row in answer.get("model_versions", [])]


@pytest.fixture
def some(caller) -> Caller:
    for name, team_name in (("b", "x"), ("A", "y"), ("a_c", "")):
        caller.model(name, tags=[{"key": "team", "value": team_name}] if team_name else [])
    return caller


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["A", "a_c", "b"]),
        ("name = 'a'", []),
        ("name = 'b'", ["b"]),
        ("name != 'b'", ["A", "a_c"]),
        ("name LIKE 'a%'", ["a_c"]),
        ("name ILIKE 'a%'", ["A", "a_c"]),
        ("name LIKE 'a__'", ["a_c"]),
        ("name IN ('b', 'A')", ["A", "b"]),
        ("name NOT IN ('b')", ["A", "a_c"]),
        ("tags.team = 'x'", ["b"]),
        ("tags.team != 'x'", ["A"]),
        ("tags.team ILIKE '%'  AND name = 'A'", ["A"]),
        ("tags.none = 'x'", []),
    ],
)
def test_filters_of_models(some, text, found):
    assert models(some, text) == found


@pytest.mark.parametrize(
    "text",
    ["name", "name > 'a'", "version_number = 1", "name = 'a' OR name = 'b'", "tags.a = 1", " ", "name = 'a' AND"],
)
def test_bad_filters_are_400(some, text):
    assert some.refused("GET", "registered-models/search", filter=text) == (400, "INVALID_PARAMETER_VALUE")


def test_orders_of_models(some):
    assert models(some, order_by=["name DESC"]) == ["b", "a_c", "A"]
    some.ok("PATCH", "registered-models/update", {"name": "b", "description": "later"})
    for word in ("timestamp DESC", "last_updated_timestamp DESC"):
        assert models(some, order_by=[word])[0] == "b"
    for bad in (["name", "name"], ["colour"], ["tags.team"]):
        assert some.refused("GET", "registered-models/search", order_by=bad)[0] == 400


def test_pages_of_models(some):
    seen, token = [], ""
    while True:
        answer = some.ok("GET", "registered-models/search", max_results=2, page_token=token)
        seen.append([row["name"] for row in answer["registered_models"]])
        token = answer.get("next_page_token", "")
        if not token:
            break
    assert seen == [["A", "a_c"], ["b"]]
    assert some.refused("GET", "registered-models/search", page_token="x")[0] == 400
    for size in (0, -1, 1001, "x"):
        assert some.refused("GET", "registered-models/search", max_results=size)[0] == 400


def test_prompts_are_hidden_unless_asked_for(caller):
    caller.model("model")
    caller.model("prompt", tags=[PROMPT])
    caller.version("prompt", "dummy-source", tags=[PROMPT, {"key": "mlflow.prompt.text", "value": "Hi {{name}}"}])
    caller.version("model")
    tag = "tags.`mlflow.prompt.is_prompt`"
    assert models(caller) == ["model"]
    assert models(caller, f"{tag} = 'true'") == ["prompt"]
    assert models(caller, f"{tag} != 'true'") == ["model"]
    assert models(caller, f"{tag} = 'false'") == ["model"]
    assert versions(caller) == ["model1"]
    assert versions(caller, f"{tag} = 'true' AND name = 'prompt'") == ["prompt1"]
    body = {"name": "prompt", "source": "s3://b/p", "tags": [PROMPT]}
    assert caller.refused("POST", "model-versions/create", body)[0] == 400
    body = {"name": "model", "source": "models:/prompt/1"}
    assert caller.refused("POST", "model-versions/create", body)[0] == 400


@pytest.fixture
def shelf(team, caller) -> Caller:
    run = client_run(team, folder="m")
    caller.run = run.uuid
    for name in ("m", "n"):
        caller.model(name)
    caller.version("m", "s3://bucket/One", tags=[{"key": "k", "value": "v"}])
    caller.version("m", f"runs:/{run.uuid}/m", run_id=run.uuid)
    caller.version("n", "s3://bucket/two")
    return caller


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["n1", "m2", "m1"]),
        ("name = 'm'", ["m2", "m1"]),
        ("name IN ('n')", ["n1"]),
        ("run_id = '{run}'", ["m2"]),
        ("run_id IN ('{run}', 'other')", ["m2"]),
        ("run_id != '{run}'", ["n1", "m1"]),
        ("source_path = 's3://bucket/One'", ["m1"]),
        ("source_path LIKE 's3://%o'", ["n1"]),
        ("version_number > 1", ["m2"]),
        ("version_number != 1", ["m2"]),
        ("tags.k = 'v'", ["m1"]),
        ("name = 'm' AND version_number <= 1", ["m1"]),
    ],
)
def test_filters_of_versions(shelf, text, found):
    assert versions(shelf, text.format(run=shelf.run)) == found


@pytest.mark.parametrize(
    "text",
    [
        "version_number = 'one'",
        "version_number = '1\"",
        "version_number = 1.5",
        "source_path IN ('a')",
        "stage = 'x'",
        "run_id > 'a'",
    ],
)
def test_bad_filters_of_versions_are_400(shelf, text):
    assert shelf.refused("GET", "model-versions/search", filter=text) == (400, "INVALID_PARAMETER_VALUE")


def test_orders_and_pages_of_versions(shelf):
    assert versions(shelf, order_by=["name ASC", "version_number DESC"]) == ["m2", "m1", "n1"]
    assert versions(shelf, order_by=["version_number ASC"]) == ["m1", "n1", "m2"]
    assert versions(shelf, order_by=["creation_timestamp ASC"]) == ["m1", "m2", "n1"]
    shelf.ok("PATCH", "model-versions/update", {"name": "m", "version": "1", "description": "x"})
    assert versions(shelf)[0] == "m1"
    answer = shelf.ok("GET", "model-versions/search", max_results=2)
    rest = shelf.ok("GET", "model-versions/search", max_results=2, page_token=answer["next_page_token"])
    assert (len(answer["model_versions"]), len(rest["model_versions"])) == (2, 1)
    assert "next_page_token" not in rest
    for size in (0, 200_001):
        assert shelf.refused("GET", "model-versions/search", max_results=size)[0] == 400


def test_many_runs_in_one_filter(shelf):
    listed = ", ".join(f"'{uuid.uuid4().hex}'" for _ in range(220))
    assert versions(shelf, f"run_id IN ({listed}, '{shelf.run}')") == ["m2"]


def test_other_projects_are_not_found(shelf):
    other = Caller(make_team("other"))
    assert (models(other), versions(other), versions(other, f"run_id = '{shelf.run}'")) == ([], [], [])


def test_queries_do_not_grow_with_the_rows(shelf, django_assert_num_queries):
    def counted(path: str) -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(
            connection,
        ) as found:
            shelf.ok("GET", path)
        return len(found)

    counted("registered-models/search")
    before = counted("registered-models/search"), counted("model-versions/search")
    for name in ("o", "p"):
        shelf.model(name)
        shelf.version(name)
        shelf.version(name)
    assert (counted("registered-models/search"), counted("model-versions/search")) == before
    assert (RegisteredModel.objects.count(), ModelVersion.objects.count()) == (4, 7)
