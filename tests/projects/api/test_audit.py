"""REST routes of the audit log."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from projects.models import Event
from projects.services import anchors, tokens, verification
from tests.factories.projects import actor, make_token

pytestmark = pytest.mark.django_db
HERE = "/api/v1/projects/churn/events/"


@pytest.fixture(autouse=True)
def second_place(settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors.jsonl")
    return Path(settings.AUDIT_ANCHOR_FILE)


@pytest.fixture
def log(churn, ana):
    for number in range(3):
        tokens.create(actor(ana), project=churn, name=f"t{number}", scopes=["read"])


@pytest.fixture
def as_ana(client, ana, churn):
    return caller(client, make_token(ana, churn, ["read", "admin"]))


@pytest.fixture
def as_root(client, churn):
    return caller(client, make_token(churn.created_by, None, ["read", "admin"]))


def caller(client, secret):
    def call(method, path, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {secret}"}
        return client.generic(method, path, content, "application/json", headers=headers)

    return call


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 3), ("actor=ana", 3), ("actor=eve", 0), ("text=t1", 1), ("result=done", 3), ("result=refused", 0),
     ("since=2020-01-01", 3), ("until=2020-01-01", 0), ("since=2020-01-01T00:00&verb=token", 3)],
)  # fmt: skip
def test_filters_are_those_of_the_page(as_ana, log, query, count):
    assert len(as_ana("GET", f"{HERE}?{query}").json()["results"]) == count


@pytest.mark.parametrize(
    ("query", "field"), [("since=soon", "since"), ("until=2026-02-30", "until"), ("result=x", "result")]
)
def test_a_wrong_filter_names_its_field(as_ana, log, query, field):
    answer = as_ana("GET", f"{HERE}?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_one_entry(as_ana, log):
    event = Event.objects.first()
    body = as_ana("GET", f"{HERE}{event.seq}/").json()
    assert (body["seq"], body["hash"], body["changes"]["name"]) == (event.seq, event.hash, [None, "t0"])
    assert as_ana("GET", f"{HERE}99/").status_code == 404


def test_an_export_verifies(as_ana, log, tmp_path):
    answer = as_ana("POST", f"{HERE}export/", {"text": "t1"})
    assert answer["Content-Type"] == "application/zip"
    path = tmp_path / "log.zip"
    path.write_bytes(b"".join(answer.streaming_content))
    verdict = verification.verify_export(path)
    assert (verdict.code, verdict.checked) == (verification.INTACT, 1)
    assert Event.objects.latest("seq").data == {"filter": {"text": "t1"}}


def test_the_site_has_routes_of_its_own(as_root, as_ana, log):
    assert len(as_root("GET", "/api/v1/audit/events/?project=churn").json()["results"]) == 3
    assert as_root("GET", "/api/v1/audit/events/?project=other").json()["results"] == []
    answer = as_root("POST", "/api/v1/audit/events/export/", {})
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert json.loads(archive.read("manifest.json"))["whole"] is True
    assert as_ana("GET", "/api/v1/audit/events/").status_code == 403


def test_anchors(as_root, as_ana, log, second_place):
    made = as_root("POST", "/api/v1/audit/anchors/")
    assert (made.status_code, made.json()["seq"], made.json()["cause"]) == (201, 3, "request")
    [shown] = as_root("GET", "/api/v1/audit/anchors/").json()["results"]
    assert [(copy["place"], copy["target"]) for copy in shown["copies"]] == [("file", str(second_place))]
    assert verification.verify(anchors_file=anchors.file()).code == verification.INTACT
    assert as_ana("GET", "/api/v1/audit/anchors/").status_code == 403
