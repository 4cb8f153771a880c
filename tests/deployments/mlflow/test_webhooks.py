"""Webhooks of MLflow clients: channels that speak MLflow's words to a real little server."""

import base64
import hashlib
import hmac
import json

import pytest

from projects.models import Channel, Delivery, EventDelivery
from projects.services import deliveries
from tests.deployments.mlflow.calls import API, Caller
from tests.factories.deployments import make_team
from tests.projects.test_deliveries import Receiver

SCOPES = ("read", "register", "admin")
CREATED = {"entity": "MODEL_VERSION", "action": "CREATED"}
EVERY = [
    {"entity": "REGISTERED_MODEL", "action": "CREATED"}, CREATED, {"entity": "MODEL_VERSION_TAG", "action": "SET"},
    {"entity": "MODEL_VERSION_TAG", "action": "DELETED"}, {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
    {"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"},
]  # fmt: skip


@pytest.fixture
def caller(team) -> Caller:
    return Caller(team, "admin", SCOPES)


@pytest.fixture
def receiver(settings):
    made = Receiver(200)
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{made.port}"]
    yield made
    made.stop()


def hook(caller: Caller, url: str = "https://example.org/hook", **more) -> dict:
    body = {"name": "hook", "url": url, "events": [CREATED], **more}
    return caller.ok("POST", "webhooks", body)["webhook"]


def deliver() -> None:
    """Do what the workers do after a commit."""
    for pk in EventDelivery.objects.filter(task="projects.notify", done_at=None).values_list("pk", flat=True):
        deliveries.fan_out(pk)
    for pk in Delivery.objects.filter(state="pending").order_by("pk").values_list("pk", flat=True):
        deliveries.send(pk)


def test_create_get_list_change_and_delete(caller):
    made = hook(caller, description="Tells the team.", secret="s3cret")
    assert made == {
        "webhook_id": made["webhook_id"], "name": "hook", "description": "Tells the team.", "status": "ACTIVE",
        "url": "https://example.org/hook", "events": [CREATED], "creation_timestamp": made["creation_timestamp"],
        "last_updated_timestamp": made["last_updated_timestamp"],
    }  # fmt: skip
    place = f"webhooks/{made['webhook_id']}"
    assert caller.ok("GET", place)["webhook"] == made
    hook(caller, name="other")
    first = caller.ok("GET", "webhooks", max_results=1)
    assert [row["name"] for row in first["webhooks"]] == ["hook"]
    rest = caller.ok("GET", "webhooks", max_results=1, page_token=first["next_page_token"])
    assert [row["name"] for row in rest["webhooks"]] == ["other"]
    new = caller.ok("PATCH", place, {"status": "DISABLED", "events": EVERY, "name": "new", "secret": ""})["webhook"]
    assert (new["status"], new["events"], new["name"], new["url"]) == ("DISABLED", EVERY, "new", made["url"])
    assert caller.client.delete(API + place, headers=caller.headers).status_code == 200
    assert caller.refused("GET", place) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "-a"}, {"name": "a b"}, {"name": "x" * 64}, {"url": ""}, {"url": "ftp://example.org"},
        {"url": "http://127.0.0.1/x"}, {"url": "https://10.0.0.1/x"}, {"url": "https://localhost/x"},
        {"url": "https://[::1]/"}, {"url": "https://169.254.169.254/latest"}, {"events": []}, {"events": "x"},
        {"events": [{"entity": "MODEL_VERSION", "action": "EXPLODED"}]}, {"events": [{"entity": "PROMPT"}]},
        {"status": "ASLEEP"}, {"secret": 3}, {"secret": "x" * 1001},
    ],
)  # fmt: skip
def test_what_is_wrong_is_400(caller, change):
    body = {"name": "hook", "url": "https://example.org/", "events": [CREATED], **change}
    assert caller.refused("POST", "webhooks", body) == (400, "INVALID_PARAMETER_VALUE")
    assert not Channel.objects.exists()


def test_messages_carry_mlflows_words_and_signature(caller, receiver, django_capture_on_commit_callbacks):
    hook(caller, f"http://127.0.0.1:{receiver.port}/in", secret="s3cret", events=EVERY)
    caller.model("m", tags=[{"key": "a", "value": "b"}], description="d")
    caller.version("m", "s3://bucket/m", description="v")
    key = {"name": "m", "version": "1"}
    caller.ok("POST", "model-versions/set-tag", {**key, "key": "k", "value": "w"})
    caller.ok("DELETE", "model-versions/delete-tag", {**key, "key": "k"})
    caller.ok("POST", "registered-models/alias", {**key, "alias": "best"})
    caller.ok("DELETE", "registered-models/alias", {"name": "m", "alias": "best"})
    caller.ok("POST", "registered-models/set-tag", {"name": "m", "key": "untold", "value": "w"})
    deliver()
    told = [json.loads(body) for _, body in receiver.requests]
    assert [(item["entity"], item["action"], item["data"]) for item in told] == [
        ("registered_model", "created", {"name": "m", "tags": {"a": "b"}, "description": "d"}),
        (
            "model_version", "created",
            {"name": "m", "version": "1", "source": "s3://bucket/m", "run_id": "", "tags": {}, "description": "v"},
        ),
        ("model_version_tag", "set", {"name": "m", "version": "1", "key": "k", "value": "w"}),
        ("model_version_tag", "deleted", {"name": "m", "version": "1", "key": "k"}),
        ("model_version_alias", "created", {"name": "m", "alias": "best", "version": "1"}),
        ("model_version_alias", "deleted", {"name": "m", "alias": "best"}),
    ]  # fmt: skip
    headers, body = receiver.requests[0]
    text = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"s3cret", text, hashlib.sha256).digest()).decode()
    assert headers["x-mlflow-signature"] == f"v1,{expected}"


def test_a_test_says_what_came_back(caller, receiver):
    made = hook(caller, f"http://127.0.0.1:{receiver.port}/in")
    place = f"webhooks/{made['webhook_id']}/test"
    assert caller.ok("POST", place, {}) == {"result": {"success": True, "response_status": 200}}
    alias = {"event": {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}}
    caller.ok("POST", place, alias)
    told = [json.loads(body) for _, body in receiver.requests]
    assert [item["entity"] for item in told] == ["model_version", "model_version_alias"]
    assert "x-mlflow-signature" not in receiver.requests[0][0]
    receiver.script = [500]
    result = caller.ok("POST", place, {})["result"]
    assert (result["success"], result["response_status"], "500" in result["error_message"]) == (False, 500, True)


def test_a_webhook_that_is_off_hears_nothing(caller, receiver):
    hook(caller, f"http://127.0.0.1:{receiver.port}/in", events=EVERY, status="DISABLED")
    caller.model("m")
    deliver()
    assert receiver.requests == []


def test_rights_and_other_projects(team, caller):
    made = hook(caller)
    place = f"webhooks/{made['webhook_id']}"
    weak = Caller(team)
    assert weak.ok("GET", place)["webhook"]["name"] == "hook"
    assert weak.refused("POST", "webhooks", {"name": "x", "url": "https://example.org", "events": [CREATED]})[0] == 403
    assert weak.refused("DELETE", place, {})[0] == 403
    other = Caller(make_team("other"), "admin", SCOPES)
    for method, path in (("GET", place), ("DELETE", place), ("POST", f"{place}/test"), ("GET", "webhooks/x")):
        assert other.refused(method, path, {}) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert other.ok("GET", "webhooks") == {}
    page = caller.client
    page.force_login(team.people["admin"])
    assert "of an MLflow client" in page.get("/p/churn/settings/channels/").content.decode()
