"""Brings the database and the collected static files to the state of this code."""

import fcntl
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection

from mlportal.lib import assets, modules
from mlportal.lib.assets import UNUSED

_SCHEMA_LOCK = 0x6D6C70  # any number, the same in every process


def database() -> None:
    """Apply what is missing of the schema, one process at a time: a command may meet a portal's first start."""
    with _alone():
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for whoever is changing this schema: on this machine by a lock file, on PostgreSQL from anywhere."""
    folder = Path(settings.DATA_DIR) / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "schema.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_SCHEMA_LOCK])
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_SCHEMA_LOCK])


def fingerprint() -> str:
    """Digest of names, sizes and times of all static files; it changes when one of them does."""
    digest = hashlib.sha256(b"".join(Path(str(maker.__file__)).read_bytes() for maker in (assets, modules)))
    for finder in get_finders():
        for name, storage in finder.list(list(UNUSED)):
            about = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def static_files() -> bool:
    """Collect and compress the static files if one changed; return whether it was needed."""
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    stamp = root / ".stamp"
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two portals may run from one checkout
        wanted = fingerprint()
        if stamp.exists() and stamp.read_text() == wanted:
            return False
        sys.stderr.write("mlportal: collecting and compressing the static files\n")
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=list(UNUSED))
        stamp.write_text(wanted)
    return True
