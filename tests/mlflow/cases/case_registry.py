"""The registry: models, versions, tags, aliases, stages, sources."""

import mlflow
import pytest
from wire import ABSENT, INVALID, TAKEN, Refuses, refused


@pytest.fixture
def model(client, name):
    client.create_registered_model(name)
    return name


@pytest.fixture
def source(client, run):
    return f"{client.get_run(run).info.artifact_uri}/model"


@pytest.fixture
def version(client, model, source, run):
    return client.create_model_version(model, source, run)


def case_create_and_get(client, name):
    made = client.create_registered_model(name, tags={"a": "1"}, description="What it does")
    found = client.get_registered_model(name)
    assert (found.name, found.description, found.tags) == (name, "What it does", {"a": "1"})
    assert made.creation_timestamp == found.creation_timestamp > 0
    assert found.last_updated_timestamp >= found.creation_timestamp
    assert (found.latest_versions, found.aliases) == ([], {})


def case_name_taken(client, wire, model):
    with Refuses(TAKEN):
        client.create_registered_model(model)
    refused(wire.post("registered-models/create", {"name": model}), 400, TAKEN)


@pytest.mark.parametrize(
    "text", ["with blank {}", "ünï 模型 {}", "dots.and-dashes_{}", "{}🦊", "it's {}", "100% {}", "a&b?c#{}", "@{}"]
)
def case_any_name(client, name, text):
    full = text.format(name)
    client.create_registered_model(full)
    assert client.get_registered_model(full).name == full


@pytest.mark.parametrize("bad", ["", "   ", "a/b", "a:b", "../a", "./a", ".", ".."])
def case_bad_names(wire, bad):
    refused(wire.post("registered-models/create", {"name": bad}), 400, INVALID)


def case_names_differ_by_case(client, model):
    client.create_registered_model(model.upper())
    assert client.get_registered_model(model.upper()).name == model.upper()


def case_get_unknown(client, name):
    with Refuses(ABSENT):
        client.get_registered_model(name)


def case_update(client, model):
    before = client.get_registered_model(model).last_updated_timestamp
    client.update_registered_model(model, "Another text")
    found = client.get_registered_model(model)
    assert found.description == "Another text"
    assert found.last_updated_timestamp >= before


def case_update_unknown(client, name):
    with Refuses(ABSENT):
        client.update_registered_model(name, "x")


def case_rename(client, model, source, run):
    client.create_model_version(model, source, run, tags={"t": "1"})
    client.set_registered_model_tag(model, "a", "b")
    client.set_registered_model_alias(model, "champion", "1")
    client.rename_registered_model(model, model + "-new")
    found = client.get_registered_model(model + "-new")
    assert (found.tags, found.aliases) == ({"a": "b"}, {"champion": "1"})
    assert client.get_model_version(model + "-new", "1").tags == {"t": "1"}
    with Refuses(ABSENT):
        client.get_registered_model(model)


def case_rename_to_a_taken_name(client, model):
    client.create_registered_model(model + "-other")
    with Refuses(TAKEN):
        client.rename_registered_model(model, model + "-other")


def case_rename_badly(wire, model):
    for bad in ("", "a/b"):
        refused(wire.post("registered-models/rename", {"name": model, "new_name": bad}), 400, INVALID)


def case_delete(client, model, source, run):
    client.create_model_version(model, source, run)
    client.delete_registered_model(model)
    with Refuses(ABSENT):
        client.get_registered_model(model)
    with Refuses(ABSENT):
        client.get_model_version(model, "1")
    client.create_registered_model(model)
    assert int(client.create_model_version(model, source, run).version) == 1


def case_delete_unknown(client, name):
    with Refuses(ABSENT):
        client.delete_registered_model(name)


def case_tags(client, model):
    client.set_registered_model_tag(model, "a", "1")
    client.set_registered_model_tag(model, "a", "2")
    client.set_registered_model_tag(model, "long", "x" * 20_000)
    assert client.get_registered_model(model).tags == {"a": "2", "long": "x" * 20_000}
    client.delete_registered_model_tag(model, "a")
    client.delete_registered_model_tag(model, "a")
    assert set(client.get_registered_model(model).tags) == {"long"}


@pytest.mark.parametrize(("key", "value"), [("k" * 251, "v"), ("k", "v" * 100_001), ("", "v"), ("a//b", "v")])
def case_bad_tags(wire, version, key, value):
    body = {"name": version.name, "key": key, "value": value}
    refused(wire.post("registered-models/set-tag", body), 400, INVALID)
    refused(wire.post("model-versions/set-tag", body | {"version": "1"}), 400, INVALID)


def case_tag_of_unknown(client, model, name):
    with Refuses(ABSENT):
        client.set_registered_model_tag(name + "-none", "a", "b")
    with Refuses(ABSENT):
        client.set_model_version_tag(model, "9", "a", "b")


# ---- versions


def case_version(client, version, model, source, run):
    found = client.get_model_version(model, "1")
    assert (found.name, int(found.version), found.source, found.run_id) == (model, 1, source, run)
    assert (found.status, found.current_stage, found.tags, found.aliases) == ("READY", "None", {}, [])
    assert 0 < found.creation_timestamp <= found.last_updated_timestamp


@pytest.mark.parametrize("given", ["http://h/x", "https://h/x"])
def case_sources_that_clients_must_not_be_sent_to(client, model, given):
    with Refuses(INVALID):
        client.create_model_version(model, given)


def case_version_with_everything(client, model, source, run):
    made = client.create_model_version(model, source, run, tags={"t": "1"}, run_link="http://x/y", description="Text")
    found = client.get_model_version(model, made.version)
    assert (found.tags, found.run_link, found.description) == ({"t": "1"}, "http://x/y", "Text")


def case_version_is_a_text_on_the_wire(wire, version):
    found = wire.get("model-versions/get", name=version.name, version="1").json()["model_version"]
    assert (found["version"], found["current_stage"], found["status"]) == ("1", "None", "READY")


def case_numbers_are_never_used_again(client, model, source, run):
    for expected in (1, 2):
        assert int(client.create_model_version(model, source, run).version) == expected
    client.delete_model_version(model, "1")
    assert int(client.create_model_version(model, source, run).version) == 3


def case_version_touches_its_model(client, model, source, run):
    before = client.get_registered_model(model).last_updated_timestamp
    client.create_model_version(model, source, run)
    assert client.get_registered_model(model).last_updated_timestamp >= before


def case_version_of_an_unknown_model(client, name, source, run):
    with Refuses(ABSENT):
        client.create_model_version(name + "-none", source, run)


def case_update_version(client, version):
    client.update_model_version(version.name, "1", "New text")
    assert client.get_model_version(version.name, "1").description == "New text"


@pytest.mark.parametrize(("number", "status"), [("9", 404), ("abc", 400), ("1.5", 400)])
def case_version_that_is_none(wire, version, number, status):
    assert wire.get("model-versions/get", name=version.name, version=number).status_code == status


def case_delete_version(client, version):
    client.set_registered_model_alias(version.name, "champion", "1")
    client.delete_model_version(version.name, "1")
    with Refuses(ABSENT):
        client.get_model_version(version.name, "1")
    assert client.get_registered_model(version.name).aliases == {}
    with Refuses(ABSENT):
        client.delete_model_version(version.name, "1")


def case_version_tags(client, version):
    client.set_model_version_tag(version.name, "1", "a", "1")
    client.set_model_version_tag(version.name, "1", "a", "2")
    assert client.get_model_version(version.name, "1").tags == {"a": "2"}
    client.delete_model_version_tag(version.name, "1", "a")
    client.delete_model_version_tag(version.name, "1", "a")
    assert client.get_model_version(version.name, "1").tags == {}


def case_download_uri(client, version, source):
    assert client.get_model_version_download_uri(version.name, "1") == source


def case_latest_versions(client, model, source, run):
    for _ in range(3):
        client.create_model_version(model, source, run)
    found = client.get_registered_model(model).latest_versions
    assert [int(one.version) for one in found] == [3]
    assert [int(one.version) for one in client.get_latest_versions(model)] == [3]
    assert [int(one.version) for one in client.get_latest_versions(model, ["None"])] == [3]
    assert client.get_latest_versions(model, ["Archived"]) == []


def case_latest_versions_by_both_methods(wire, version):
    for answer in (
        wire.get("registered-models/get-latest-versions", name=version.name),
        wire.post("registered-models/get-latest-versions", {"name": version.name}),
    ):
        assert [one["version"] for one in answer.json()["model_versions"]] == ["1"]


def case_latest_versions_of_a_bad_stage(client, version):
    with Refuses(INVALID):
        client.get_latest_versions(version.name, ["Nowhere"])


# ---- aliases


def case_alias_moves(client, model, source, run):
    for _ in range(2):
        client.create_model_version(model, source, run)
    client.set_registered_model_alias(model, "champion", "1")
    assert int(client.get_model_version_by_alias(model, "champion").version) == 1
    client.set_registered_model_alias(model, "champion", "2")
    client.set_registered_model_alias(model, "second-best_1", "2")
    assert sorted(client.get_model_version(model, "2").aliases) == ["champion", "second-best_1"]
    assert client.get_model_version(model, "1").aliases == []
    assert client.get_registered_model(model).aliases == {"champion": "2", "second-best_1": "2"}
    client.delete_registered_model_alias(model, "champion")
    client.delete_registered_model_alias(model, "champion")
    assert client.get_registered_model(model).aliases == {"second-best_1": "2"}


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V23", "a b", "a/b", "a" * 256, ""])
def case_bad_aliases(wire, version, alias):
    refused(wire.post("registered-models/alias", {"name": version.name, "alias": alias, "version": "1"}), 400, INVALID)


def case_alias_of_an_unknown_version(client, version):
    with Refuses(ABSENT):
        client.set_registered_model_alias(version.name, "champion", "9")


def case_unknown_alias(client, version):
    with Refuses(INVALID):
        client.get_model_version_by_alias(version.name, "nobody")


def case_alias_latest(client, model, source, run):
    for _ in range(2):
        client.create_model_version(model, source, run)
    assert int(client.get_model_version_by_alias(model, "latest").version) == 2


# ---- stages; the portal may forbid those that are environments


def case_archive_and_back(client, version):
    for word, stage in (("Archived", "Archived"), ("none", "None"), ("ARCHIVED", "Archived")):
        assert client.transition_model_version_stage(version.name, "1", word).current_stage == stage
        assert client.get_model_version(version.name, "1").current_stage == stage
    assert [int(one.version) for one in client.get_latest_versions(version.name, ["archived"])] == [1]


def case_staging_and_production(client, model, source, run):
    for _ in range(2):
        client.create_model_version(model, source, run)
    try:
        client.transition_model_version_stage(model, "1", "Production")
    except mlflow.MlflowException as refusal:
        assert refusal.error_code == "PERMISSION_DENIED"  # noqa: PT017 - governed, and it says what to do
        assert "http" in refusal.message or "/p/" in refusal.message  # noqa: PT017
        return
    client.transition_model_version_stage(model, "2", "production", archive_existing_versions=True)
    assert [client.get_model_version(model, v).current_stage for v in "12"] == ["Archived", "Production"]
    assert {one.current_stage: int(one.version) for one in client.get_latest_versions(model)} == {
        "Archived": 1,
        "Production": 2,
    }


def case_unknown_stage(client, version):
    with Refuses(INVALID):
        client.transition_model_version_stage(version.name, "1", "Nowhere")


@pytest.mark.beyond_mlflow
def case_archiving_into_no_stage(wire, version):
    body = {"name": version.name, "version": "1", "stage": "None", "archive_existing_versions": True}
    assert wire.post("model-versions/transition-stage", body).status_code in (200, 400)


# ---- sources


@pytest.mark.parametrize(
    "bad",
    [
        "/etc",
        "file:///etc",
        "../..",
        "mlflow-artifacts:/../../x",
        "{uri}/../../../x",
        "{uri}/%2e%2e/%2e%2e/x",
        "",
        "mlflow-artifacts:/0/other/artifacts",
        "runs:/other/model",
    ],
)
def case_bad_sources(wire, client, model, run, bad):
    uri = client.get_run(run).info.artifact_uri
    answer = wire.post("model-versions/create", {"name": model, "source": bad.format(uri=uri), "run_id": run})
    assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize("bad", ["/etc", "file:///etc", "mlflow-artifacts:/0/x/artifacts/model"])
def case_bad_sources_without_a_run(wire, model, bad):
    assert wire.post("model-versions/create", {"name": model, "source": bad}).status_code in (400, 404)


def case_source_elsewhere(client, model):
    assert client.create_model_version(model, "s3://bucket/model").source == "s3://bucket/model"


def case_source_of_a_run_address(client, model, run):
    made = client.create_model_version(model, f"runs:/{run}/model", run)
    assert (int(made.version), made.run_id) == (1, run)


@pytest.mark.mlflow3
def case_source_of_a_logged_model(client, model, experiment, run):
    logged = client.create_logged_model(experiment, name="m", source_run_id=run)
    client.create_model_version(model, f"models:/{logged.model_id}", run, model_id=logged.model_id)
    assert "mlflow.modelVersions" in client.get_logged_model(logged.model_id).tags


# ---- prompts are models with tags


@pytest.mark.mlflow3
def case_prompt(client, name):
    mlflow.genai.register_prompt(name, "Say {{word}}.", commit_message="first", tags={"a": "b"})
    mlflow.genai.register_prompt(name, "Say {{word}}!")
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").template == "Say {{word}}."
    assert mlflow.genai.load_prompt(f"prompts:/{name}/2").format(word="yes") == "Say yes!"
    mlflow.genai.set_prompt_alias(name, "best", 1)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@best").version == 1
    assert [one.name for one in mlflow.genai.search_prompts(f"name = '{name}'")] == [name]
    assert not client.search_registered_models(f"name = '{name}'")
