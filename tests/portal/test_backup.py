"""A backup of a data folder, made by command, restored elsewhere by command."""

import io
import json
import sqlite3
import tarfile

import pytest

from tests.portal.running import Portal

pytestmark = pytest.mark.slow
CONTENT = "59e8cbd1a8eec3fb36ce1bd7aa5bb1a1f1d5b6b4c8d3a1a0f0a8f8d9f0c7b6a5"


class Embedded(Portal):
    """A data folder with SQLite also when the test run is on PostgreSQL: only that is backed up by the command."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    portal = Embedded(tmp_path_factory.mktemp("source") / "p")
    done = portal.command("admin", "user", "add", "ana", "--email", "a@example.org", "--generate-password")
    assert done.returncode == 0, done.stderr
    blob = portal.folder / "data" / "blobs" / CONTENT[:2] / CONTENT
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"a model")
    return portal


@pytest.fixture(scope="module")
def saved(source):
    place = source.folder / "saved.tar"
    done = source.command("backup", str(place))
    assert (done.returncode, done.stderr) == (0, "")
    return place


def test_backup_is_private_and_holds_no_keys(saved):
    assert saved.stat().st_mode & 0o077 == 0
    with tarfile.open(saved) as archive:
        names = archive.getnames()
    assert names == ["manifest.json", "db.sqlite3", f"blobs/{CONTENT[:2]}/{CONTENT}"]


def test_restored_folder_has_the_same_rows_and_files(saved, tmp_path):
    other = Embedded(tmp_path / "p")
    done = other.command("restore", str(saved))
    assert (done.returncode, done.stderr) == (0, "")
    assert (other.folder / "data" / "blobs" / CONTENT[:2] / CONTENT).read_bytes() == b"a model"
    with sqlite3.connect(other.folder / "data" / "db.sqlite3") as connection:
        assert connection.execute("SELECT username FROM projects_user").fetchall() == [("ana",)]
    connection.close()
    assert (
        other.command("admin", "user", "add", "ana", "--email", "b@example.org", "--generate-password").returncode == 6
    )


def test_backup_never_overwrites(source, saved):
    done = source.command("backup", str(saved))
    assert done.returncode == 6
    assert "exists; a backup never overwrites one" in done.stderr


def test_restore_into_a_used_folder_is_refused(source, saved):
    done = source.command("restore", str(saved))
    assert done.returncode == 6
    assert "holds data; restore into an empty folder" in done.stderr


def flipped(raw):
    at = raw.index(b"a model")
    return raw[:at] + b"A" + raw[at + 1 :]


def without_blob(raw):
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(raw)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old.getmembers()[:2]:
            new.addfile(member, old.extractfile(member))
    return out.getvalue()


def with_extra(raw):
    out = io.BytesIO(raw)
    with tarfile.open(fileobj=out, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("blobs/extra"), io.BytesIO())
    return out.getvalue()


def climbing(raw):
    out = io.BytesIO(raw)
    with tarfile.open(fileobj=out, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    return out.getvalue()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flipped, "differs from its sha256"),
        (without_blob, "does not hold what its manifest lists"),
        (with_extra, "does not hold what its manifest lists"),
        (climbing, "is no whole backup"),
        (lambda raw: raw[: len(raw) // 2], "is no whole backup"),
        (lambda _raw: json.dumps({"files": {}}).encode(), "is no whole backup"),
        (lambda _raw: b"", "is no whole backup"),
    ],
)
def test_damaged_backup_is_refused_before_anything_is_touched(saved, tmp_path, damage, said):
    broken = tmp_path / "broken.tar"
    broken.write_bytes(damage(saved.read_bytes()))
    other = Embedded(tmp_path / "p")
    done = other.command("restore", str(broken))
    assert done.returncode == 6
    assert said in done.stderr
    assert not (other.folder / "data" / "db.sqlite3").exists()
    assert not (tmp_path / "outside").exists()
