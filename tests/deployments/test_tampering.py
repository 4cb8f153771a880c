"""Each tampering of the issue, once, through the commands and doors that people have: found, and named.

The kinds are looked at one by one in tests/projects/services/test_audit.py, test_packages.py and test_signatures.py.
"""

import json

import pytest
from django.utils import timezone

from deployments.models import Decision, Endpoint, ModelVersion, PromotionRequest
from deployments.proof import manifest
from mlportal.cli import main
from projects.models import ChainHead, Event
from projects.services import anchors
from tests.deployments.services.test_registry import tamper
from tests.deployments.services.test_signatures import tampering
from tests.deployments.test_api import Api
from tests.factories.deployments import make_request, make_version, set_policy
from tests.factories.projects import make_token


@pytest.fixture(autouse=True)
def second_place(settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors.jsonl")


@pytest.fixture
def at_portal(serial_team, live_server, monkeypatch):
    """Commands find the portal of the test by the environment, as a person's do."""
    token = make_token(serial_team.people["scientist"], serial_team.project, ["read"])
    for name, value in (("URL", live_server.url), ("TOKEN", token), ("PROJECT", "churn")):
        monkeypatch.setenv(f"MLPORTAL_{name}", value)
    return serial_team


def test_a_tampered_row_is_found_by_audit_verify(team, capsys):
    make_version(team)
    row = Event.objects.get(verb="version.registered")
    tampering("UPDATE projects_event SET reason = 'asked by the manager' WHERE seq = %s", row.seq)
    assert main(["audit", "verify"]) == 1
    assert capsys.readouterr().out == f"Entry {row.seq} was altered.\n"


def test_a_tail_cut_without_and_with_its_head_is_found_by_audit_verify(team, capsys):
    make_version(team)
    last = Event.objects.order_by("-seq").first()
    anchors.drop(cause="hour")
    end = ChainHead.objects.get().seq
    before = Event.objects.get(seq=last.seq - 1)
    # Whatever points at the entries goes with them.
    tampering("DELETE FROM projects_eventdelivery WHERE event_id >= %s", last.pk)
    tampering("DELETE FROM projects_event WHERE seq >= %s", last.seq)
    assert main(["audit", "verify"]) == 2
    assert capsys.readouterr().out == f"Entries {last.seq} to {end} are missing at the end.\n"
    tampering("UPDATE projects_chainhead SET seq = %s, hash = %s", before.seq, before.hash)
    assert main(["audit", "verify"]) == 2
    assert f"Entries {last.seq} to {last.seq} are missing at the end." in capsys.readouterr().out


def test_a_swapped_artifact_is_found_by_model_verify(at_portal, capsys):
    version = make_version(at_portal)
    assert main(["model", "verify", "churn", "1"]) == 0
    tamper(version.file("model/model.skops"))
    assert main(["model", "verify", "churn", "1"]) == 1
    assert "The file model/model.skops has changed on disk." in capsys.readouterr().out
    assert ModelVersion.objects.get().state == "damaged"


def test_an_edited_manifest_is_found_by_model_verify_with_and_without_its_hash(at_portal, capsys):
    version = make_version(at_portal)
    rows = [row | {"sha256": "a" * 64} if row["path"] == "importance.json" else row for row in version.manifest]
    ModelVersion.objects.filter(pk=version.pk).update(manifest=rows)
    assert main(["model", "verify", "churn", "1"]) == 1
    assert "The manifest was changed after it was signed." in capsys.readouterr().out
    ModelVersion.objects.filter(pk=version.pk).update(manifest_sha256=manifest.digest(rows, version.provenance))
    assert main(["model", "verify", "churn", "1"]) == 3
    assert "The signature over the manifest does not verify." in capsys.readouterr().out


def test_a_replayed_approval_is_refused_at_the_switch_and_named(team):
    set_policy(team, switch_at_approval=False)
    old, new = make_request(team), make_request(team)
    manager = Api(team, "manager", "read", "approve")
    assert manager.post(f"promotions/{old.pk}/decide/", {"verdict": "approve"}).status_code == 200
    given = Decision.objects.get(request=old)
    copied = Decision.objects.create(
        request=new, user=given.user, verdict="approve", comment=given.comment, seal=new.seal, role=given.role
    )
    PromotionRequest.objects.filter(pk=new.pk).update(
        state="approved", decided_by=given.user, decided_at=timezone.now()
    )
    answer = Api(team, "ops", "read", "deploy").post(f"promotions/{new.pk}/switch/")
    assert (answer.status_code, answer.json()["code"]) == (409, "decision_altered")
    assert f"Decision {copied.pk} of churn-manager is not in the audit log." in answer.json()["message"]
    assert not Endpoint.objects.exists()


def test_an_edited_export_is_found_without_the_portal(team, tmp_path, capsys):
    from deployments.services import packages

    path = tmp_path / "v1.zip"
    path.write_bytes(b"".join(packages.export(team.viewer, version=make_version(team))))
    assert main(["model", "verify", str(path), "--json"]) == 0
    body = path.read_bytes()
    path.write_bytes(body.replace(b'"model": "churn"', b'"model": "churm"', 1))
    capsys.readouterr()
    assert main(["model", "verify", str(path), "--json"]) != 0
    assert json.loads(capsys.readouterr().out)["path"] == "manifest.json"
