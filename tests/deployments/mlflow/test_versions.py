"""Versions through the door: numbers, labels, files, aliases, stages."""

import json
import threading

import pytest
from django.db import connections

from deployments import gates
from deployments.models import Alias, Environment, ModelVersion, Policy
from deployments.services import policies, promotions, registered
from experiments.models import LoggedModelTag
from projects.models import Event
from tests.deployments.mlflow.calls import MLMODEL, PICKLED, Caller, client_run, logged_model
from tests.factories.deployments import make_live, make_request, make_version


@pytest.fixture
def caller(team) -> Caller:
    return Caller(team)


def test_create_and_get(caller):
    caller.model("m")
    made = caller.version(
        "m", "s3://bucket/model", description="First.", run_link="https://ci/1", tags=[{"key": "k", "value": "v"}]
    )
    assert made == {
        "name": "m", "version": "1", "current_stage": "None", "description": "First.", "source": "s3://bucket/model",
        "run_id": "", "status": "READY", "run_link": "https://ci/1", "tags": [{"key": "k", "value": "v"}],
        "creation_timestamp": made["creation_timestamp"], "last_updated_timestamp": made["creation_timestamp"],
    }  # fmt: skip
    assert caller.ok("GET", "model-versions/get", name="m", version="1")["model_version"] == made
    uri = caller.ok("GET", "model-versions/get-download-uri", name="m", version="1")
    assert uri == {"artifact_uri": "s3://bucket/model"}
    event = Event.objects.get(verb="version.created")
    assert (event.data["model"], event.data["number"], event.data["files"]) == ("m", 1, 0)
    assert caller.refused("POST", "model-versions/create", {"name": "n", "source": "s3://b/m"})[0] == 404
    assert caller.refused("POST", "model-versions/create", {"name": "m"})[0] == 400


@pytest.mark.parametrize(
    ("number", "status"),
    [("2", 404), (7, 404), ("9" * 18, 404), ("9" * 19, 400), ("-1", 404), ("x", 400), ("", 400), ("1.5", 400)],
)
def test_get_what_is_not_there(caller, number, status):
    caller.model("m")
    caller.version("m")
    assert caller.refused("GET", "model-versions/get", name="m", version=number)[0] == status


def test_numbers_are_never_used_again(caller):
    caller.model("m")
    for _ in range(3):
        caller.version("m")
    for number in ("3", "1"):
        assert caller.ok("DELETE", "model-versions/delete", {"name": "m", "version": number}) == {}
    assert caller.version("m")["version"] == "4"
    assert caller.refused("DELETE", "model-versions/delete", {"name": "m", "version": "3"})[0] == 404


@pytest.mark.slow
def test_numbers_under_a_race_are_one_to_n(serial_team):
    caller = Caller(serial_team)
    caller.model("m")
    answers: list[str] = []

    def work() -> None:
        try:
            mine = Caller(serial_team)
            answers.extend(mine.version("m")["version"] for _ in range(5))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(map(int, answers)) == list(range(1, 31))


def test_update_tags_and_times(caller):
    created = caller.model("m")["last_updated_timestamp"]
    caller.version("m")
    new = caller.ok("PATCH", "model-versions/update", {"name": "m", "version": "1", "description": "Text"})
    assert new["model_version"]["description"] == "Text"
    for value in ("1", "2"):
        caller.ok("POST", "model-versions/set-tag", {"name": "m", "version": "1", "key": "k", "value": value})
    shown = caller.ok("GET", "model-versions/get", name="m", version="1")["model_version"]
    assert shown["tags"] == [{"key": "k", "value": "2"}]
    for _ in range(2):
        assert caller.ok("DELETE", "model-versions/delete-tag", {"name": "m", "version": "1", "key": "k"}) == {}
    assert caller.ok("GET", "registered-models/get", name="m")["registered_model"]["last_updated_timestamp"] >= created
    body = {"name": "m", "version": "2", "key": "k", "value": "v"}
    assert caller.refused("POST", "model-versions/set-tag", body) == (404, "RESOURCE_DOES_NOT_EXIST")
    body = {"name": "m", "version": "1", "key": "k" * 251, "value": "v"}
    assert caller.refused("POST", "model-versions/set-tag", body) == (400, "INVALID_PARAMETER_VALUE")


def test_files_of_a_run_are_listed_hashed_and_signed(team, caller):
    run = client_run(team)
    caller.model("m")
    root = f"mlflow-artifacts:/{run.experiment_id}/{run.uuid}/artifacts"
    made = caller.version("m", f"{root}/model", run_id=run.uuid)
    assert (made["source"], made["run_id"]) == (f"{root}/model", run.uuid)
    version = ModelVersion.objects.get()
    assert [row["path"] for row in version.manifest] == sorted(PICKLED)
    assert version.size_bytes == sum(map(len, PICKLED.values()))
    assert gates.damage(version) == ()
    assert version.flavors == {"python_function": "mlflow.sklearn", "sklearn": "1.9.1"}
    assert (version.algorithm, version.environment) == ("sklearn", {"python": "3.11.9"})
    assert version.signature["inputs"] == [
        {"name": "age", "kind": "numeric", "nullable": False}, {"name": "plan", "kind": "categorical", "nullable": True}
    ]  # fmt: skip
    assert version.run == run


def test_files_of_a_logged_model_and_its_tag(team, caller):
    logged = logged_model(team, run=client_run(team, {}))
    caller.model("m")
    made = caller.version("m", f"models:/{logged.uuid}", model_id=logged.uuid)
    assert (made["model_id"], made["run_id"]) == (logged.uuid, logged.source_run.uuid)
    caller.version("m", f"models:/{logged.uuid}", model_id=logged.uuid)
    uri = caller.ok("GET", "model-versions/get-download-uri", name="m", version="1")["artifact_uri"]
    assert uri == f"mlflow-artifacts:/{logged.experiment_id}/models/{logged.uuid}/artifacts"
    tag = LoggedModelTag.objects.get(logged_model=logged, key="mlflow.modelVersions")
    assert json.loads(tag.value) == [{"name": "m", "version": "1"}, {"name": "m", "version": "2"}]
    assert [row["path"] for row in ModelVersion.objects.first().manifest] == sorted(PICKLED)


def test_a_copy_shares_files_and_signature(team, caller):
    logged = logged_model(team)
    caller.model("m")
    caller.model("n")
    caller.version("m", f"models:/{logged.uuid}", model_id=logged.uuid)
    made = caller.version("n", "models:/m/1")
    assert (made["source"], made["model_id"]) == ("models:/m/1", logged.uuid)
    first, copy = ModelVersion.objects.order_by("pk")
    assert (copy.manifest, copy.manifest_signature, copy.location) == (
        first.manifest, first.manifest_signature, first.location,
    )  # fmt: skip
    assert gates.damage(copy) == ()
    caller.ok("POST", "registered-models/alias", {"name": "m", "alias": "best", "version": "1"})
    for source in ("models:/m@best", "models:/m/latest", "models:/m/None"):
        assert caller.version("n", source)["source"] == "models:/m/1"


def test_versions_of_the_portal_can_be_downloaded_by_clients(team, caller):
    version = make_version(team)
    made = caller.ok("GET", "model-versions/get", name="churn", version="1")["model_version"]
    uri = caller.ok("GET", "model-versions/get-download-uri", name="churn", version="1")["artifact_uri"]
    assert uri == made["source"] == f"mlflow-artifacts:/{version.run.experiment_id}/{version.run.uuid}/artifacts"
    assert made["run_id"] == version.run.uuid


@pytest.mark.parametrize(
    "content",
    [
        b"a: &a [x]\nb: [*a, *a]\nflavors: {sklearn: {sklearn_version: 1}}",
        b"flavors: !!python/object/apply:os.system ['true']",
        b"flavors: [",
        b"[1, 2]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"flavors: " + b"x" * 2**20,
    ],
)
def test_an_mlmodel_that_cannot_be_read_safely_is_only_a_file(team, caller, content):
    run = client_run(team, {"MLmodel": content})
    caller.model("m")
    caller.version("m", f"runs:/{run.uuid}/model", run_id=run.uuid)
    version = ModelVersion.objects.get()
    assert (version.flavors, version.signature["inputs"]) == ({}, [])
    assert len(version.manifest) == 1


def test_alias_is_set_moved_read_and_removed(caller):
    caller.model("m")
    caller.version("m")
    caller.version("m")
    for number in ("1", "2"):
        caller.ok("POST", "registered-models/alias", {"name": "m", "alias": "Best_one-2", "version": number})
    found = caller.ok("GET", "registered-models/alias", name="m", alias="Best_one-2")["model_version"]
    assert (found["version"], found["aliases"]) == ("2", ["Best_one-2"])
    assert caller.ok("GET", "registered-models/alias", name="m", alias="latest")["model_version"]["version"] == "2"
    assert caller.ok("GET", "registered-models/get", name="m")["registered_model"]["aliases"] == [
        {"alias": "Best_one-2", "version": "2"}
    ]
    for _ in range(2):
        assert caller.ok("DELETE", "registered-models/alias", {"name": "m", "alias": "Best_one-2"}) == {}
    assert caller.refused("GET", "registered-models/alias", name="m", alias="Best_one-2") == (
        400, "INVALID_PARAMETER_VALUE",
    )  # fmt: skip
    body = {"name": "m", "alias": "x", "version": "9"}
    assert caller.refused("POST", "registered-models/alias", body) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert Alias.objects.count() == 2


@pytest.mark.parametrize("alias", ["", "latest", "LATEST", "v1", "V20", "a b", "a.b", "a/b", "x" * 256, "a\0", 3])
def test_bad_aliases_are_400(caller, alias):
    caller.model("m")
    caller.version("m")
    body = {"name": "m", "alias": alias, "version": "1"}
    assert caller.refused("POST", "registered-models/alias", body) == (400, "INVALID_PARAMETER_VALUE")


def test_deleting_a_version_ends_its_aliases(caller):
    caller.model("m")
    caller.version("m")
    caller.ok("POST", "registered-models/alias", {"name": "m", "alias": "best", "version": "1"})
    caller.ok("DELETE", "model-versions/delete", {"name": "m", "version": "1"})
    assert caller.refused("GET", "registered-models/alias", name="m", alias="best")[0] == 400
    assert caller.refused("GET", "registered-models/alias", name="m", alias="latest")[0] == 400


@pytest.mark.parametrize("alias", ["production", "Staging", "PRODUCTION"])
def test_an_alias_named_like_an_environment_is_403_and_says_where_to_ask(caller, settings, alias):
    caller.model("a b")
    caller.version("a b")
    body = {"name": "a b", "alias": alias, "version": "1"}
    for method in ("POST", "DELETE"):
        status, answer = caller.send(method, "registered-models/alias", body)
        assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    status, answer = caller.send("POST", "registered-models/alias", body)
    assert f"{settings.BASE_URL}/p/churn/models/a%20b/v/1/#ask-h" in answer["message"]


def test_the_alias_of_an_environment_reads_what_promotions_put_there(team, caller):
    make_live(team)
    make_version(team)
    found = caller.ok("GET", "registered-models/alias", name="churn", alias="production")["model_version"]
    assert found["version"] == "1"
    assert caller.refused("GET", "registered-models/alias", name="churn", alias="staging")[0] == 400


def move(caller: Caller, number: str, stage: str, **more: object) -> tuple[int, dict]:
    body = {"name": "m", "version": number, "stage": stage, **more}
    return caller.send("POST", "model-versions/transition-stage", body)


def test_a_stage_is_a_label_in_any_case_that_moves_nothing(caller):
    caller.model("m")
    caller.version("m")
    for given, kept in [
        ("staging", "Staging"),
        ("PRODUCTION", "Production"),
        ("archived", "Archived"),
        ("none", "None"),
    ]:
        status, answer = move(caller, "1", given)
        assert (status, answer["model_version"]["current_stage"]) == (200, kept)
    assert move(caller, "1", "Live")[0] == 400
    assert move(caller, "2", "Staging")[0] == 404
    assert Event.objects.filter(verb="version.stage_set").count() == 4


def test_archiving_the_versions_that_are_there(caller):
    caller.model("m")
    for _ in range(3):
        caller.version("m")
    move(caller, "1", "Production")
    move(caller, "2", "Production")
    assert move(caller, "3", "Production", archive_existing_versions=True)[0] == 200
    stages = list(ModelVersion.objects.order_by("number").values_list("stage", flat=True))
    assert stages == ["Archived", "Archived", "Production"]
    for stage in ("None", "Archived"):
        assert move(caller, "1", stage, archive_existing_versions=True)[0] == 400


def refused_stage(caller: Caller, stage: str) -> str:
    status, answer = move(caller, "1", stage)
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    return answer["message"]


def test_an_environment_in_use_is_moved_by_promotions_only(team, caller, settings):
    make_live(team, version=make_version(team, model="other"))
    caller.model("m")
    caller.version("m")
    assert f"{settings.BASE_URL}/p/churn/models/m/v/1/#ask-h" in refused_stage(caller, "Production")
    for free in ("Staging", "Archived", "None"):
        assert move(caller, "1", free)[0] == 200


def test_a_waiting_request_is_named(team, caller, settings):
    request = make_request(team, version=make_version(team, model="m"))
    text = refused_stage(caller, "production")
    assert f"Promotion {request.pk} of m v1 to production waits for a decision" in text
    assert f"{settings.BASE_URL}/p/churn/promotions/{request.pk}/" in text


def test_rules_changed_by_a_person_put_an_environment_in_use(team, caller):
    caller.model("m")
    caller.version("m")
    place = next(item for item in policies.ensure(team.project) if item.name == "staging")
    assert move(caller, "1", "Staging")[0] == 200
    policies.change(team.admin, environment=place, min_approvals=2)
    assert Policy.objects.filter(environment=place, proposed_by__isnull=False).exists()
    refused_stage(caller, "Staging")
    assert move(caller, "1", "Production")[0] == 200
    assert Environment.objects.count() == 2


def test_renaming_while_a_version_is_registered_keeps_both(team, caller):
    caller.model("m")
    caller.version("m")
    registered.rename(team.scientist, model=ModelVersion.objects.get().model, name="n")
    assert caller.version("n")["version"] == "2"
    assert promotions.PromotionRequest.objects.count() == 0
    assert MLMODEL.startswith(b"artifact_path")
