"""An issued technical file is checked without the portal, and what was done to it is named."""

import io
import zipfile

import pytest

from deployments import gates
from deployments.proof import filed
from deployments.services import packs
from mlportal.cli import main
from mlportal.lib import signing

ABOUT = {"project": "churn", "model": "churn", "version": 3, "issue": 2, "document_sha256": "a" * 64}
FILES = {"technical-file.pdf": b"%PDF-1.7 ...", "technical-file.json": b"{}"}


@pytest.fixture
def issued(tmp_path):
    path = tmp_path / "file.zip"
    path.write_bytes(packs.pack(FILES, ABOUT, domain=filed.DOMAIN))
    return path


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in entries.items():
            archive.writestr(name, body)
    path.write_bytes(out.getvalue())


def test_an_issued_file_is_intact(issued, tmp_path, capsys):
    assert main(["technical-file", "verify", str(issued)]) == 0
    assert capsys.readouterr().out.startswith("Technical file 2 of churn v3 is intact, signed by ")
    key = tmp_path / "key.pem"
    key.write_bytes(contents(issued)["public-key.pem"])
    assert main(["technical-file", "verify", str(issued), "--key", str(key)]) == 0


@pytest.mark.parametrize(
    ("harm", "code", "named"),
    [
        ({"technical-file.pdf": b"%PDF-1.7 other"}, 1, "technical-file.pdf"),
        ({"more.txt": b"x"}, 1, "more.txt"),
        ({"technical-file.json": None}, 1, "technical-file.json"),
        ({"manifest.json": "issue"}, 3, "manifest.json"),
        ({"manifest.sig": b"AAAA"}, 3, "manifest.json"),
        ({"manifest.json": None}, 4, ""),
    ],
)  # fmt: skip
def test_what_was_done_to_it_is_named(issued, harm, code, named):
    inside = contents(issued)
    for name, body in harm.items():
        if body is None:
            del inside[name]
        else:
            inside[name] = inside[name].replace(b'"issue": 2', b'"issue": 3') if body == "issue" else body
    write(issued, inside)
    verdict = filed.verify(issued)
    assert (verdict.code, verdict.path) == (code, named)
    assert main(["technical-file", "verify", str(issued)]) == code


def test_another_key_and_no_zip_are_said(issued, tmp_path):
    stranger = signing.keyring("s" * 40, tmp_path / "keys")
    assert stranger.key_id != gates.keyring().key_id
    assert filed.verify(issued, ring=stranger).code == 3
    issued.write_bytes(b"no zip")
    assert filed.verify(issued).code == 4
    assert filed.verify(tmp_path / "none.zip").code == 4


def test_a_damaged_byte_is_named_and_never_stops_the_check(issued):
    """A broken stream raises other errors than a broken zip does."""
    whole = issued.read_bytes()
    with zipfile.ZipFile(issued) as archive:
        entry = archive.getinfo("technical-file.pdf")
    start = entry.header_offset + 30 + len(entry.filename)
    inside = range(start, start + entry.compress_size)
    for at in {*range(0, len(whole), 5), *inside}:
        issued.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        verdict = filed.verify(issued)
        if at in inside:
            assert (verdict.code, verdict.path) == (1, entry.filename)
        assert verdict.code in (0, 1, 3, 4)  # what is not read, such as the time of an entry, may be anything
