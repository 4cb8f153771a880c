"""Registered models through the door."""

import pytest

from deployments.models import Alias, ModelVersion, RegisteredModel, RegisteredModelTag
from projects.models import Event
from tests.deployments.mlflow.calls import Caller
from tests.factories.deployments import make_live, make_request, make_team, make_version

ODD_NAMES = [
    "a b",
    "Ünïcode 模型",
    "dots.and-more_1",
    " edge ",
    "per%cent",
    "q?x#y",
    "quote\"'",
    "🙂",
    "register",
    "x" * 256,
]


def verbs() -> list[str]:
    return list(Event.objects.order_by("seq").values_list("verb", flat=True))


@pytest.fixture
def caller(team) -> Caller:
    return Caller(team)


def test_create_and_get(caller):
    tags = [{"key": "a", "value": "1"}, {"key": "b/c", "value": ""}]
    made = caller.model("m", description="What it is for.", tags=tags)
    assert made["creation_timestamp"] == made["last_updated_timestamp"] > 1_700_000_000_000
    assert made == {
        "name": "m", "description": "What it is for.", "tags": tags,
        "creation_timestamp": made["creation_timestamp"], "last_updated_timestamp": made["last_updated_timestamp"],
    }  # fmt: skip
    assert caller.ok("GET", "registered-models/get", name="m")["registered_model"] == made
    assert verbs() == ["model.created"]


def test_create_a_taken_name_is_400_and_names_differ_by_case(caller):
    caller.model("m")
    assert caller.refused("POST", "registered-models/create", {"name": "m"}) == (400, "RESOURCE_ALREADY_EXISTS")
    assert caller.model("M")["name"] == "M"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_work_in_the_door_on_pages_and_in_the_api(caller, team, name):
    caller.model(name)
    caller.version(name)
    assert caller.ok("GET", "model-versions/get", name=name, version="1")["model_version"]["name"] == name
    caller.client.force_login(team.people["scientist"])
    listing = caller.client.get("/p/churn/models/")
    assert listing.status_code == 200
    from django.urls import reverse

    for view, words in (("model-detail", ["churn", name]), ("version-detail", ["churn", name, 1])):
        address = reverse(f"deployments:{view}", args=words)
        if view == "model-detail":
            assert f'href="{address}"'.replace("'", "&#x27;") in listing.content.decode().replace("%27", "&#x27;")
        assert caller.client.get(address).status_code == 200
    api = reverse("api-version", args=["churn", name, 1])
    assert caller.client.get(api, headers=caller.headers).json()["model"] == name


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", ".", "..", "..a", "a\0", "x" * 257, 7, None, ["m"]])
def test_bad_names_are_400(caller, name):
    assert caller.refused("POST", "registered-models/create", {"name": name}) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "tags",
    [[{"key": "", "value": "v"}], [{"key": "x" * 251, "value": ""}], [{"key": "a//b", "value": ""}],
     [{"key": "k", "value": "v" * 100_001}], [{"key": "k", "value": 3}], "tags", [3]],
)  # fmt: skip
def test_bad_tags_are_400_and_nothing_is_made(caller, tags):
    body = {"name": "m", "tags": tags}
    assert caller.refused("POST", "registered-models/create", body) == (400, "INVALID_PARAMETER_VALUE")
    assert not RegisteredModel.objects.exists()


def test_update_changes_the_text(caller):
    made = caller.model("m")
    body = {"name": "m", "description": "Emoji with joiner 👩‍💻."}
    new = caller.ok("PATCH", "registered-models/update", body)["registered_model"]
    assert (new["description"], new["last_updated_timestamp"] >= made["last_updated_timestamp"]) == (
        body["description"], True,
    )  # fmt: skip
    body = {"name": "n", "description": ""}
    assert caller.refused("PATCH", "registered-models/update", body) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_rename_takes_versions_tags_and_aliases_along(caller):
    caller.model("old", tags=[{"key": "k", "value": "v"}])
    caller.version("old")
    caller.ok("POST", "registered-models/alias", {"name": "old", "alias": "best", "version": "1"})
    new = caller.ok("POST", "registered-models/rename", {"name": "old", "new_name": "new"})["registered_model"]
    assert (new["name"], new["tags"], new["aliases"]) == (
        "new", [{"key": "k", "value": "v"}], [{"alias": "best", "version": "1"}],
    )  # fmt: skip
    assert [item["name"] for item in new["latest_versions"]] == ["new"]
    assert caller.refused("GET", "registered-models/get", name="old")[0] == 404
    caller.model("third")
    body = {"name": "third", "new_name": "new"}
    assert caller.refused("POST", "registered-models/rename", body) == (400, "RESOURCE_ALREADY_EXISTS")
    assert caller.refused("POST", "registered-models/rename", {"name": "third", "new_name": " "})[0] == 400


def test_delete_frees_the_name_and_numbering_starts_again(caller):
    caller.model("m", tags=[{"key": "k", "value": "v"}])
    caller.version("m")
    assert caller.version("m")["version"] == "2"
    caller.ok("POST", "registered-models/alias", {"name": "m", "alias": "best", "version": "1"})
    assert caller.ok("DELETE", "registered-models/delete", {"name": "m"}) == {}
    assert [kind.objects.count() for kind in (RegisteredModelTag, Alias, ModelVersion)] == [0, 0, 0]
    assert caller.refused("DELETE", "registered-models/delete", {"name": "m"}) == (404, "RESOURCE_DOES_NOT_EXIST")
    caller.model("m")
    assert caller.version("m")["version"] == "1"
    assert verbs()[-3:] == ["model.deleted", "model.created", "version.created"]


def test_tags_are_set_again_and_removed_even_when_absent(caller):
    caller.model("m")
    for value in ("1", "2"):
        caller.ok("POST", "registered-models/set-tag", {"name": "m", "key": "k", "value": value})
    assert caller.ok("GET", "registered-models/get", name="m")["registered_model"]["tags"] == [
        {"key": "k", "value": "2"}
    ]
    for _ in range(2):
        assert caller.ok("DELETE", "registered-models/delete-tag", {"name": "m", "key": "k"}) == {}
    assert "tags" not in caller.ok("GET", "registered-models/get", name="m")["registered_model"]
    assert verbs() == ["model.created", "model.tag_set", "model.tag_set", "model.tag_removed"]
    body = {"name": "none", "key": "k", "value": "v"}
    assert caller.refused("POST", "registered-models/set-tag", body) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_latest_versions_are_the_newest_of_each_stage(caller):
    caller.model("m")
    assert caller.ok("POST", "registered-models/get-latest-versions", {"name": "m"}) == {}
    for stage in ("None", "Staging", "Staging", "Production"):
        made = caller.version("m")
        body = {"name": "m", "version": made["version"], "stage": stage}
        caller.ok("POST", "model-versions/transition-stage", body)

    def latest(**query):
        rows = caller.ok("GET", "registered-models/get-latest-versions", name="m", **query)["model_versions"]
        return [(row["version"], row["current_stage"]) for row in rows]

    assert latest() == [("1", "None"), ("3", "Staging"), ("4", "Production")]
    assert latest(stages=["staging", "NONE"]) == [("1", "None"), ("3", "Staging")]
    body = {"name": "m", "stages": ["Live"]}
    assert caller.refused("POST", "registered-models/get-latest-versions", body)[0] == 400
    shown = caller.ok("GET", "registered-models/get", name="m")["registered_model"]["latest_versions"]
    assert [item["version"] for item in shown] == ["1", "3", "4"]


@pytest.mark.parametrize("prepare", [make_live, make_request])
def test_a_model_that_promotions_or_endpoints_refer_to_stays_and_keeps_its_name(team, caller, prepare):
    prepare(team)
    status, answer = caller.send("DELETE", "registered-models/delete", {"name": "churn"})
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    assert "cannot be deleted: " in answer["message"]
    status, answer = caller.send("POST", "registered-models/rename", {"name": "churn", "new_name": "other"})
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    status, answer = caller.send("DELETE", "model-versions/delete", {"name": "churn", "version": "1"})
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    assert ModelVersion.objects.count() == 1


def test_a_portal_model_that_nothing_refers_to_can_be_renamed(team, caller):
    make_version(team)
    caller.ok("POST", "registered-models/rename", {"name": "churn", "new_name": "leavers"})
    assert ModelVersion.objects.get().model.name == "leavers"


def test_rights(team):
    Caller(team).model("m")
    calls = [
        ("POST", "registered-models/create", {"name": "n"}),
        ("PATCH", "registered-models/update", {"name": "m"}),
        ("DELETE", "registered-models/delete", {"name": "m"}),
        ("POST", "model-versions/create", {"name": "m", "source": "s3://b/m"}),
        ("POST", "model-versions/transition-stage", {"name": "m", "version": "1", "stage": "None"}),
    ]
    for weak in (Caller(team, "viewer"), Caller(team, scopes=("read", "write"))):
        assert weak.ok("GET", "registered-models/get", name="m")
        for call in calls:
            assert weak.refused(*call) == (403, "PERMISSION_DENIED")


def test_another_project_sees_nothing(team, caller):
    caller.model("m")
    caller.version("m")
    other = Caller(make_team("other"))
    absent = (404, "RESOURCE_DOES_NOT_EXIST")
    key = {"name": "m", "version": "1"}
    assert other.refused("GET", "registered-models/get", name="m") == absent
    assert other.refused("GET", "model-versions/get", **key) == absent
    assert other.refused("GET", "model-versions/get-download-uri", **key) == absent
    for method, path, body in [
        ("DELETE", "registered-models/delete", {"name": "m"}),
        ("POST", "registered-models/rename", {"name": "m", "new_name": "n"}),
        ("POST", "registered-models/set-tag", {"name": "m", "key": "k", "value": "v"}),
        ("POST", "registered-models/alias", {**key, "alias": "a"}),
        ("POST", "model-versions/create", {"name": "m", "source": "s3://b/m"}),
        ("PATCH", "model-versions/update", {**key, "description": "x"}),
        ("DELETE", "model-versions/delete", key),
        ("POST", "model-versions/set-tag", {**key, "key": "k", "value": "v"}),
        ("POST", "model-versions/transition-stage", {**key, "stage": "Archived"}),
    ]:
        assert other.refused(method, path, body) == absent
    assert other.model("m")["name"] == "m"
    assert ModelVersion.objects.count() == 1
