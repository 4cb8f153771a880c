"""A version as a zip: intact, or what was done to it is named, by the portal's check and by the independent one."""

import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from deployments import gates
from deployments.models import ModelVersion
from deployments.proof import package, signing
from deployments.services import packages
from mlportal.cli import main
from mlportal.lib import blobs
from mlportal.lib import signing as keys
from mlportal.lib.errors import Conflict, Forbidden
from tests.deployments.test_api import Api
from tests.factories.deployments import make_trained_run, make_version, model_files
from tests.factories.projects import actor, make_user

pytestmark = pytest.mark.django_db
VERIFIER = Path(__file__).resolve().parents[3] / "docs" / "reference" / "model_verify.py"
MODEL = "files/model/model.skops"


@pytest.fixture
def exported(team, tmp_path):
    path = tmp_path / "churn-v1.zip"
    path.write_bytes(b"".join(packages.export(team.viewer, version=make_version(team))))
    return path


def independent(path, *key):
    done = subprocess.run(
        [sys.executable, str(VERIFIER), str(path), *map(str, key)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, entries, compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in entries if isinstance(entries, list) else entries.items():
            archive.writestr(name, content)
    return path


def test_an_export_holds_everything_and_is_intact(exported, team):
    inside = contents(exported)
    version = ModelVersion.objects.get()
    assert {name.removeprefix("files/") for name in inside if name.startswith("files/")} == set(model_files())
    about = json.loads(inside["manifest.json"])
    assert (about["model"], about["number"], about["provenance"]) == ("churn", 1, version.provenance)
    verdict = package.verify(exported)
    assert (verdict.code, verdict.files) == (0, len(version.manifest))
    assert verdict.message.startswith("churn v1 is intact")
    assert independent(exported) == (0, f"churn v1 is intact, signed by key {gates.keyring().key_id}")


def _flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(contents(path)[MODEL])] ^= 1
    path.write_bytes(bytes(content))


def _swap(path):
    write(path, contents(path) | {MODEL: b"model 9"})


def _grow(path):
    write(path, contents(path) | {MODEL: b"a longer model"})


def _extra(path):
    write(path, contents(path) | {"files/model/payload.py": b"boom"})


def _missing(path):
    write(path, {name: content for name, content in contents(path).items() if name != MODEL})


def _climb(path):
    write(path, contents(path) | {"files/../../etc/cron.d/x": b"boom"})


def _rooted(path):
    write(path, contents(path) | {"/etc/passwd": b"boom"})


def _twice(path):
    with pytest.warns(UserWarning, match="Duplicate"):
        write(path, [*contents(path).items(), (MODEL, b"model 9")])


def _bomb(path):
    write(path, contents(path) | {MODEL: b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED)


def _relabel(path):
    inside = contents(path)
    about = json.loads(inside["manifest.json"]) | {"number": 2}
    write(path, inside | {"manifest.json": json.dumps(about).encode()})


def _forge(path):
    """Swap a file and its line in the manifest."""
    inside = contents(path)
    about = json.loads(inside["manifest.json"])
    row = next(row for row in about["files"] if row["path"] == "model/model.skops")
    stored = blobs.put_bytes(b"model 9")
    row["sha256"] = stored.sha256
    write(path, inside | {"manifest.json": json.dumps(about).encode(), MODEL: b"model 9"})


def _unsigned(path):
    write(path, {name: content for name, content in contents(path).items() if name != "manifest.sig"})


def _cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def _no_manifest(path):
    write(path, {"readme.txt": b"hello"})


def _no_json(path):
    write(path, contents(path) | {"manifest.json": b"[1, 2"})


@pytest.mark.parametrize(
    ("harm", "code", "named"),
    [(_flip, 1, MODEL), (_swap, 1, MODEL), (_grow, 1, MODEL), (_extra, 1, "files/model/payload.py"),
     (_missing, 1, MODEL), (_climb, 1, "files/../../etc/cron.d/x"), (_rooted, 1, "/etc/passwd"), (_twice, 1, MODEL),
     (_bomb, 1, ""), (_relabel, 3, "manifest.json"), (_forge, 3, "manifest.json"), (_unsigned, 3, "manifest.sig"),
     (_cut, 4, ""), (_no_manifest, 4, "manifest.json"), (_no_json, 4, "")],
)  # fmt: skip
def test_what_was_done_to_an_export_is_refused_and_named(exported, harm, code, named):
    harm(exported)
    verdict = package.verify(exported)
    assert (verdict.code, named in verdict.path) == (code, True), verdict
    if named:
        assert named in verdict.message
    alone = independent(exported)[0]
    # the short one reads in another order, so a missing signature is something it cannot read
    assert alone == (4 if harm is _unsigned else code)


def test_a_bomb_that_lies_about_its_size_is_refused(exported):
    """The directory of the zip claims more than the file holds: nothing is read."""
    inside = contents(exported)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
        archive.infolist()[-1].file_size = 10**9
        archive.infolist()[-1].compress_size = 10**9
    exported.write_bytes(sink.getvalue())
    assert package.verify(exported).code == 1
    assert independent(exported)[0] == 1


def test_another_key_is_a_mismatch(exported, tmp_path):
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    ring = gates.keyring()
    own.write_text(signing.public_pem(ring, ring.key_id))
    private = keys.derive("another secret of another portal!!")
    stranger = keys.Keyring(private, {keys.key_id(private.public_key()): private.public_key()})
    other.write_text(keys.public_pem(stranger, stranger.key_id))
    for key, code in ((own, 0), (other, 3)):
        assert package.verify(exported, ring=keys.public_ring(key.read_bytes())).code == code
        assert independent(exported, key)[0] == code


def test_a_whole_package_signed_by_somebody_else_is_found_with_the_key(exported, tmp_path):
    """A forger signs everything anew with an own key: only the portal's key tells."""
    private = keys.derive("another secret of another portal!!")
    forger = keys.Keyring(private, {keys.key_id(private.public_key()): private.public_key()})
    inside = contents(exported)
    about = {k: v for k, v in json.loads(inside["manifest.json"]).items() if k not in ("format", "key")}
    about |= {
        "manifest_signature": signing.sign(forger, about["manifest_sha256"]), "signed_by": forger.key_id,
        "keys": {forger.key_id: keys.public_pem(forger, forger.key_id)},
    }  # fmt: skip
    write(exported, inside | dict(package.heads(about, forger)))
    assert package.verify(exported).code == 0
    ring = gates.keyring()
    found = package.verify(exported, ring=keys.public_ring(keys.public_pem(ring, ring.key_id).encode()))
    assert (found.code, forger.key_id in found.message) == (3, True)


def test_a_version_signed_with_an_older_key_is_intact(team, exported, tmp_path):
    """After a change of the installation's secret, exports are signed by the new key and vouch for the old one."""
    old = keys.derive("the secret that was used before this one")
    ring = gates.keyring()
    version = ModelVersion.objects.get()
    both = keys.Keyring(ring.private, {**ring.publics, keys.key_id(old.public_key()): old.public_key()})
    former = keys.Keyring(old, both.publics)
    version.manifest_signature, version.signed_by = signing.sign(former, version.manifest_sha256), former.key_id
    about = packages.about(version) | {"keys": {former.key_id: keys.public_pem(former, former.key_id)}}
    write(exported, contents(exported) | dict(package.heads(about, ring)))
    assert package.verify(exported, ring=ring).code == 0
    assert independent(exported)[0] == 0


def test_the_command_checks_a_file_without_django_or_a_database(exported, capsys):
    code = (
        "import sys; from mlportal.cli import main; code = main(['model', 'verify', sys.argv[1]]); "
        "assert 'django' not in sys.modules; sys.exit(code)"
    )
    plain = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(VERIFIER.parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported)], capture_output=True, text=True, env=plain, check=False,
        cwd=exported.parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    _flip(exported)
    assert main(["model", "verify", str(exported), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["path"] == MODEL
    assert main(["model", "verify", str(exported), "--key", str(exported)]) == 4
    assert main(["model", "verify", str(exported.parent / "absent.zip")]) == 4


def test_a_version_without_its_files_is_not_exported(team):
    version = make_version(team)
    blobs.local_path(version.manifest[0]["sha256"]).unlink()
    with pytest.raises(Conflict) as refused:
        packages.export(team.viewer, version=version)
    assert refused.value.code == "artifact_damaged"
    ModelVersion.objects.filter(pk=version.pk).update(manifest=[])
    version.refresh_from_db()
    with pytest.raises(Conflict):
        packages.export(team.viewer, version=version)


def test_a_stranger_exports_nothing(team):
    with pytest.raises(Forbidden):
        packages.export(actor(make_user("stranger")), version=make_version(team))


def test_export_by_page_and_api(team, client, tmp_path):
    make_version(team)
    told = Api(team, "viewer", "read").get("models/churn/versions/1/export/")
    assert (told.status_code, told["Content-Type"]) == (200, "application/zip")
    path = tmp_path / "a.zip"
    path.write_bytes(b"".join(told.streaming_content))
    assert package.verify(path).code == 0
    client.force_login(team.people["viewer"])
    page = client.get("/p/churn/models/churn/v/1/export/")
    path.write_bytes(b"".join(page.streaming_content))
    assert package.verify(path).code == 0
    assert "/v/1/export/" in client.get("/p/churn/models/churn/v/1/").content.decode()


def test_the_check_by_api_tells_damage_from_a_wrong_signature(team):
    version = make_version(team)
    api = Api(team, "viewer", "read")
    whole = {"ok": True, "signature_valid": True, "damaged": []}
    assert api.post("models/churn/versions/1/verify/").json() == whole
    ModelVersion.objects.filter(pk=version.pk).update(manifest_signature="A" * 86 + "==")
    told = api.post("models/churn/versions/1/verify/").json()
    assert (told["ok"], told["signature_valid"]) == (False, False)
    assert list(api.get("models/churn/versions/1/").json()["public_keys"]) == [version.signed_by]


@pytest.mark.slow
def test_500_mb_are_checked_in_5_seconds(team, tmp_path):
    part = bytes(range(256)) * 4096 * 50
    files = model_files() | {f"model/part-{at}.bin": part + bytes([at]) for at in range(10)}
    version = make_version(team, run=make_trained_run(team, files=files))
    path = tmp_path / "large.zip"
    with path.open("wb") as stream:
        for each in packages.export(team.viewer, version=version):
            stream.write(each)
    started = time.perf_counter()
    verdict = package.verify(path)
    taken = time.perf_counter() - started
    assert (verdict.code, verdict.size_bytes > 500_000_000) == (0, True)
    assert taken <= 5, f"{verdict.size_bytes:,} bytes took {taken:.1f} s"
