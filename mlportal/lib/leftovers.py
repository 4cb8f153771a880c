"""What storage holds and nobody needs: parts of broken uploads, and contents that no row names."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

from mlportal.lib import blobs


@dataclass(frozen=True)
class Stored:
    """A content as the storage lists it.

    Parameters
    ----------
    sha256 : str
    size_bytes : int
    claimed_at : float
        When an upload last wrote it, or found that it was there, in seconds.
    """

    sha256: str
    size_bytes: int
    claimed_at: float


def stored() -> Iterator[Stored]:
    """List all contents, in no order."""
    storage: Any = storages["default"]
    if isinstance(storage, FileSystemStorage):
        for path in Path(storage.location).glob("??/??/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield Stored(path.name, status.st_size, status.st_mtime)
        return
    for item in storage.bucket.objects.all():
        yield Stored(item.key.rpartition("/")[2], item.size, item.last_modified.timestamp())


def remove(sha256: str, *, claimed_before: float) -> bool:
    """Remove a content that no row names; return False when an upload has claimed it since.

    Raises
    ------
    BlockingIOError
        When somebody stores something just now; try again.
    """
    name, storage = blobs.place(sha256), storages["default"]
    with blobs.kept(alone=True), suppress(FileNotFoundError):
        if storage.get_modified_time(name).timestamp() >= claimed_before:
            return False
        storage.delete(name)
        (Path(settings.DATA_DIR) / "blob-cache" / sha256).unlink(missing_ok=True)
    return True


def sweep_parts(*, older_than: timedelta = timedelta(days=2)) -> int:
    """Remove the parts that processes killed in the middle of an upload left behind; return how many."""
    folder, count = blobs.incoming(), 0
    bound = time.time() - older_than.total_seconds()
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < bound:
                path.unlink()
                count += 1
    return count
