"""``mlportal backup`` and ``mlportal restore``."""

import argparse
from pathlib import Path
from typing import Any

from mlportal.cli import django
from mlportal.cli.errors import REFUSED, Failure


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    backup = commands.add_parser("backup", help="write database and files to one file; the portal may run")
    backup.add_argument("file", type=Path)
    backup.set_defaults(run=run_backup)
    restore = commands.add_parser("restore", help="fill an empty data folder from a backup")
    restore.add_argument("file", type=Path)
    restore.set_defaults(run=run_restore)


def run_backup(given: argparse.Namespace) -> int:
    """Write a backup."""
    django.quiet()
    from mlportal import backup

    try:
        count = backup.write(given.file.resolve())
    except (backup.BackupFailed, OSError) as problem:
        raise Failure(str(problem), REFUSED) from None
    print(f"{given.file}: database and {count - 1} files. The keys in secrets/ are not in it: keep them apart.")
    return 0


def run_restore(given: argparse.Namespace) -> int:
    """Restore a backup."""
    django.quiet()
    from mlportal import backup

    try:
        count = backup.restore(given.file.resolve())
    except (backup.BackupFailed, OSError) as problem:
        raise Failure(str(problem), REFUSED) from None
    print(f"Restored the database and {count - 1} files. Put the old secrets/ folder (or keys) in place, then start.")
    return 0
