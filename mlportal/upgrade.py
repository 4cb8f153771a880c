"""Brings the database and the collected static files to the state of this code."""

import fcntl
import hashlib
import sys
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

from mlportal.lib.assets import UNUSED


def database() -> None:
    """Apply what is missing of the schema."""
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)


def fingerprint() -> str:
    """Digest of names, sizes and times of all static files; it changes when one of them does."""
    digest = hashlib.sha256()
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
