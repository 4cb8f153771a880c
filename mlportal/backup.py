"""Backup and restore of an embedded portal: the database and the files, without the secrets.

The database is copied first and the files after it: files are immutable and named by their content, so extra
ones do no harm, and every file that the copied database names is there.
"""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from mlportal import __version__
from mlportal.lib.blobs import kept
from mlportal.supervisor import is_running

DATABASE, BLOBS, MANIFEST = "db.sqlite3", "blobs", "manifest.json"
CHUNK = 1 << 20


class BackupFailed(Exception):
    """A backup cannot be made or used; the text says why. Nothing was touched."""


def write(target: Path) -> int:
    """Write a backup beside a running or stopped portal; return the number of files in it.

    Raises
    ------
    BackupFailed
        When the portal keeps its data elsewhere, or the target exists.
    """
    database = _database()
    if settings.S3_BUCKET:
        raise BackupFailed("the files are in an S3 bucket: version that bucket, and back up the database alone")
    if target.exists():
        raise BackupFailed(f"{target} exists; a backup never overwrites one")
    partial = target.with_name(f"{target.name}.partial")
    with kept(), tempfile.TemporaryDirectory(dir=settings.TEMP_DIR) as folder:
        copy = Path(folder) / DATABASE
        with sqlite3.connect(database, timeout=20) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        connection.close()
        files = {DATABASE: copy} | _blobs()
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            _pack(stream, files)
            stream.flush()
            os.fsync(stream.fileno())
    partial.rename(target)
    return len(files)


def _database() -> Path:
    given = settings.DATABASES["default"]
    if not given["ENGINE"].endswith("sqlite3"):
        raise BackupFailed(
            "the database is PostgreSQL: use pg_dump for it and copy the files' folder or bucket after it"
        )
    return Path(given["NAME"])


def _blobs() -> dict[str, Path]:
    root = settings.DATA_DIR / BLOBS
    # What is still coming in has no name yet, and may be gone before it is copied.
    found = sorted(path for path in root.rglob("*") if path.is_file() and root / "incoming" not in path.parents)
    return {f"{BLOBS}/{path.relative_to(root)}": path for path in found}


def _pack(stream: Any, files: dict[str, Path]) -> None:
    rows = {name: {"sha256": digest(path), "size_bytes": path.stat().st_size} for name, path in files.items()}
    about = {"mlportal": __version__, "made_at": datetime.now(UTC).isoformat(), "files": rows}
    text = json.dumps(about, indent=1).encode()
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(text)
        archive.addfile(head, io.BytesIO(text))
        for name, path in files.items():
            archive.add(path, arcname=name, recursive=False)


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def restore(source: Path) -> int:
    """Fill an empty data folder from a backup; return the number of files.

    Everything is unpacked beside its place and checked against the manifest before anything is moved.

    Raises
    ------
    BackupFailed
        When the backup is damaged or of a newer version, or the folder is in use.
    """
    database = _database()
    if is_running():
        raise BackupFailed(f"a portal runs on {settings.DATA_DIR}; stop it first")
    if database.exists() or any((settings.DATA_DIR / BLOBS).glob("*")):
        raise BackupFailed(f"{settings.DATA_DIR} holds data; restore into an empty folder (MLPORTAL_DATA_DIR)")
    with tempfile.TemporaryDirectory(dir=settings.TEMP_DIR) as folder:
        count = _unpack(source, Path(folder))
        if (Path(folder) / BLOBS).is_dir():
            shutil.rmtree(settings.DATA_DIR / BLOBS, ignore_errors=True)
            (Path(folder) / BLOBS).rename(settings.DATA_DIR / BLOBS)
        (Path(folder) / DATABASE).rename(database)
    return count


def _unpack(source: Path, folder: Path) -> int:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                _extract(archive, member, folder)
        rows: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise BackupFailed(f"{source} is no whole backup: {error}") from None
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    if odd := sorted(found ^ set(rows)):
        raise BackupFailed(f"{source} does not hold what its manifest lists, for one {odd[0]}")
    for name, row in rows.items():
        if digest(folder / name) != row["sha256"]:
            raise BackupFailed(f"{source} is damaged: {name} differs from its sha256")
    if DATABASE not in rows:
        raise BackupFailed(f"{source} holds no database")
    return len(rows)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    # By hand, because the safe filters of tarfile are younger than Debian 12's Python.
    place = (folder / member.name).resolve()
    stream = archive.extractfile(member) if member.isfile() else None
    if stream is None or not place.is_relative_to(folder.resolve()):
        raise ValueError(f"{member.name!r} is no plain file inside")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as target:
        shutil.copyfileobj(stream, target, CHUNK)
