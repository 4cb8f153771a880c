"""Exports of the audit log: signed, checked here and by the verifier of 50 lines, and what is done to them found."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mlportal.lib import chain, signing
from mlportal.lib.errors import Forbidden
from projects.models import Event
from projects.services import anchors, audit, verification
from tests.factories.projects import actor, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("second_place")]
VERIFIER = Path(__file__).resolve().parents[3] / "docs" / "reference" / "audit_verify.py"


EVERYTHING = audit.Filter()


def exported(by, project=None, chosen=EVERYTHING) -> bytes:
    return b"".join(audit.export(by, project=project, chosen=chosen))


def repacked(path: Path, data: bytes, **edits) -> Path:
    """Write an export with some of its parts edited; names with ``_`` for ``.`` and ``-``."""
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            edit = edits.get(name.replace(".", "_").replace("-", "_"), lambda content: content)
            new.writestr(name, edit(old.read(name)))
    return path


def drop_line(number):
    def edit(content):
        lines = content.splitlines(keepends=True)
        return b"".join(lines[:number] + lines[number:][1:])

    return edit


def forged_manifest(content):
    return json.dumps(json.loads(content) | {"made_at": "2020-01-01"}).encode()


def with_people(change):
    """Change whom the first entry names."""

    def edit(content):
        lines = content.splitlines(keepends=True)
        first = json.loads(lines[0])
        change(first["people"])
        return b"".join([json.dumps(first).encode() + b"\n", *lines[1:]])

    return edit


TAMPERED = [
    ({"entries_jsonl": with_people(lambda people: people.update(who=["", "eve", "10.0.0.1"]))}, 1),
    ({"entries_jsonl": with_people(lambda people: people.pop("who"))}, 1),
    ({"entries_jsonl": with_people(lambda people: people.update(who=["", "", ""]))}, 1),
    ({}, 0), ({"entries_jsonl": lambda content: content.replace(b"member.added", b"member.other", 1)}, 1),
    ({"entries_jsonl": lambda content: content.replace(b'"ana"', b'"eve"', 1)}, 1),
    ({"entries_jsonl": drop_line(1)}, 1),
    ({"entries_jsonl": drop_line(3)}, 2), ({"manifest_json": forged_manifest}, 3),
    ({"manifest_sig": lambda content: b"A" * len(content)}, 3), ({"manifest_json": lambda content: b"{"}, 4),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "code"), TAMPERED)
def test_an_edited_export_is_found_here_and_by_the_independent_verifier(log, root, tmp_path, edits, code):
    path = repacked(tmp_path / "log.zip", exported(root), **edits)
    assert verification.verify_export(path).code == code
    done = subprocess.run([sys.executable, "-I", str(VERIFIER), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr


def test_the_verifier_is_short_and_needs_the_standard_library_only():
    text = VERIFIER.read_text()
    assert len(text.splitlines()) <= 50
    assert "mlportal" not in "".join(line for line in text.splitlines() if "import" in line)


def test_an_export_is_bound_to_its_key_and_to_anchors(log, anchored, root, tmp_path):
    path = tmp_path / "log.zip"
    path.write_bytes(exported(root))
    assert verification.verify_export(path, ring=anchors.keyring(), anchors_file=anchored).code == verification.INTACT
    other = signing.keyring("another installation, another secret text", tmp_path / "keys")
    assert verification.verify_export(path, ring=other).code == verification.ANCHOR_MISMATCH


def test_an_export_is_an_entry_itself_and_keeps_to_its_project(log, churn, ana, tmp_path):
    path = tmp_path / "log.zip"
    path.write_bytes(exported(actor(ana), churn))
    with zipfile.ZipFile(path) as archive:
        lines = [json.loads(line) for line in archive.read("entries.jsonl").splitlines()]
        manifest = json.loads(archive.read("manifest.json"))
    assert [line["entry"]["seq"] for line in lines] == [event.seq for event in log]
    assert (manifest["whole"], manifest["scope"], manifest["count"]) == (False, churn.slug, 4)
    assert Event.objects.latest("seq").verb == "audit.exported"
    assert verification.verify_export(path).code == verification.INTACT


def test_an_entry_amid_an_export_with_gaps_cannot_be_written_anew(log, churn, ana, tmp_path):
    """No link leads from one of its entries to the next: the signed hash of all lines holds them."""

    def edit(content):
        lines = content.splitlines(keepends=True)
        forged = json.loads(lines[1])
        forged["entry"]["reason"] = "asked by somebody else"
        forged["hash"] = chain.sha256(forged["entry"])
        return b"".join([lines[0], json.dumps(forged).encode() + b"\n", *lines[2:]])

    path = repacked(tmp_path / "log.zip", exported(actor(ana), churn), entries_jsonl=edit)
    assert verification.verify_export(path).code == verification.ALTERED
    done = subprocess.run([sys.executable, "-I", str(VERIFIER), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr


def test_an_export_with_a_damaged_byte_is_not_called_intact_nor_stops_the_check(log, churn, ana, tmp_path):
    path, whole = tmp_path / "log.zip", exported(actor(ana), churn)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entry = archive.getinfo("entries.jsonl")
    extra = entry.header_offset + 28  # where the length of its extra fields stands
    start = extra + 2 + len(entry.filename) + int.from_bytes(whole[extra : extra + 2], "little")
    for at in range(start, start + entry.compress_size - 8, 3):  # the last ones may hold nothing of the lines
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        assert verification.verify_export(path).code in (verification.ALTERED, verification.UNREADABLE)


def test_export_needs_the_right_to_read_the_log(churn):
    sam = make_user("sam", role="scientist", project=churn)
    with pytest.raises(Forbidden):
        exported(actor(sam), churn)
    with pytest.raises(Forbidden):
        exported(actor(make_user("ed", role="admin", project=churn)))
