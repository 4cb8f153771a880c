"""Files by their sha256 on Django's default storage (a local folder, or S3).

A blob never changes and has no name but its digest, so no client string ever becomes a path.
A file appears under its digest only when it is whole: written beside, synced, renamed.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from mlportal.lib.errors import DomainError, Invalid, Missing, StorageFull, TooLarge, Unavailable

CHUNK_BYTES = 1 << 20
EARLY_BYTES = 8 << 20
CLAIM_SECONDS = 43_200.0  # half the time that a content without a row is kept
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Readable(Protocol):
    """Anything with ``read(size)`` that gives bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Blob:
    """A stored file.

    Parameters
    ----------
    sha256 : str
        64 hexadecimal digits.
    size_bytes : int
        Length of the content.
    """

    sha256: str
    size_bytes: int


class BlobCorrupt(DomainError):
    """The stored bytes do not have the digest they are filed under."""

    status = 503
    kind = "blob_corrupt"
    title = "A stored file is damaged"


def put(
    source: Readable | Iterable[bytes], *, limit_bytes: int, field: str = "file", expected_bytes: int | None = None
) -> Blob:
    """Store a stream with bounded memory; the same content is stored once.

    Raises
    ------
    TooLarge
        When more than ``limit_bytes`` are announced or arrive; nothing is kept.
    Invalid
        When the stream ends before ``expected_bytes``: it was cut off, and nothing is kept.
    StorageFull
        When the volume has no room; nothing is kept.
    """
    if expected_bytes is not None and expected_bytes > limit_bytes:
        raise _too_large(field, limit_bytes, expected_bytes)
    with _staging() as temporary:
        blob = _copy(source, temporary, limit_bytes, field)
        if expected_bytes not in (None, blob.size_bytes):
            raise Invalid(
                f"{field} broke off after {blob.size_bytes:,} of {expected_bytes:,} bytes; nothing was kept.",
                code="broken_off", field=field, limit=expected_bytes, got=blob.size_bytes,
            )  # fmt: skip
        _keep(temporary, blob)
        return blob


def put_bytes(content: bytes) -> Blob:
    """Store a small content that is already in memory."""
    return put([content], limit_bytes=len(content))


def put_file(path: Path, *, limit_bytes: int) -> Blob:
    """Store a local file that a worker wrote."""
    with path.open("rb") as stream:
        return put(stream, limit_bytes=limit_bytes)


def adopt(path: Path, blob: Blob) -> None:
    """Move a synced local file of the same volume to its place as ``blob``."""
    name, storage = place(blob.sha256), _storage()
    with kept(), _room():
        if _claim(blob):
            return
        if isinstance(storage, FileSystemStorage):
            target = Path(storage.path(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            path.chmod(0o440)
            path.replace(target)
            _sync_folder(target.parent)
            return
        with path.open("rb") as stream:
            storage.save(name, File(stream))


def exists(sha256: str) -> bool:
    """Whether the content is stored."""
    return _storage().exists(place(sha256))


def open_blob(sha256: str) -> IO[bytes]:
    """Open a stored content for reading.

    Raises
    ------
    Missing
        When it is not stored.
    """
    try:
        opened: Any = _storage().open(place(sha256), "rb")
    except FileNotFoundError as error:
        raise Missing(f"The file {sha256[:12]} is not stored.", code="blob_missing") from error
    return opened


def read_bytes(sha256: str, *, limit_bytes: int = 64 * 2**20) -> bytes:
    """Whole content of a small blob."""
    with open_blob(sha256) as stream:
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise TooLarge(f"The file is over {limit_bytes:,} bytes.", limit=limit_bytes)
    return content


def local_path(sha256: str) -> Path:
    """Path of a local copy that must not be written to; fetched to a cache when storage is remote."""
    storage = _storage()
    if isinstance(storage, FileSystemStorage):
        path = Path(storage.path(place(sha256)))
        if not path.is_file():
            raise Missing(f"The file {sha256[:12]} is not stored.", code="blob_missing")
        return path
    cached = Path(settings.DATA_DIR) / "blob-cache" / sha256
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with open_blob(sha256) as stream, _staging() as temporary:
            shutil.copyfileobj(stream, temporary, CHUNK_BYTES)
            temporary.flush()
            Path(temporary.name).replace(cached)
    return cached


def at_hand(sha256: str) -> Path | None:
    """Path of a stored content on this machine, None when storage is remote or it is not stored."""
    storage = _storage()
    if not isinstance(storage, FileSystemStorage):
        return None
    path = Path(storage.path(place(sha256)))
    return path if path.is_file() else None


def verify(sha256: str) -> None:
    """Read the stored bytes again and compare.

    Raises
    ------
    BlobCorrupt
        When they differ from the digest.
    """
    digest = hashlib.sha256()
    with open_blob(sha256) as stream:
        while part := stream.read(CHUNK_BYTES):
            digest.update(part)
    if digest.hexdigest() != sha256:
        raise BlobCorrupt(f"The stored file {sha256[:12]} has changed on disk; its content no longer matches.")


@contextmanager
def kept(*, alone: bool = False) -> Iterator[None]:
    """Nothing stored is removed meanwhile; ``alone`` is for who removes, and fails where others are inside.

    Raises
    ------
    BlockingIOError
        When ``alone`` and somebody stores or reads all.
    """
    descriptor = os.open(Path(settings.DATA_DIR) / "blobs.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _storage() -> Storage:
    return storages["default"]


def place(sha256: str) -> str:
    """Return the name of a content in the storage."""
    if not _DIGEST.fullmatch(sha256):
        raise Missing("A file digest has 64 hexadecimal digits.", code="blob_missing")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _chunks(source: Readable | Iterable[bytes]) -> Iterator[bytes]:
    if hasattr(source, "read"):
        while part := source.read(CHUNK_BYTES):
            yield part
    else:
        yield from source


def _copy(source: Readable | Iterable[bytes], target: IO[bytes], limit_bytes: int, field: str) -> Blob:
    digest, size, begun = hashlib.sha256(), 0, 0
    for part in _chunks(source):
        size += len(part)
        if size > limit_bytes:
            raise _too_large(field, limit_bytes, size)
        digest.update(part)
        with _room():
            target.write(part)
        if size - begun >= EARLY_BYTES:
            _begin_writing(target, begun, size)
            begun = size
    return Blob(sha256=digest.hexdigest(), size_bytes=size)


def _keep(temporary: Any, blob: Blob) -> None:
    """Make a whole content last under its digest; what is stored already costs no writing."""
    with _room():
        temporary.flush()
        if _claim(blob):
            return
        os.fsync(temporary.fileno())
    adopt(Path(temporary.name), blob)


def _claim(blob: Blob) -> bool:
    """Whether the content is stored; if so it now counts as written now, so that nobody removes it before its row."""
    name, storage = place(blob.sha256), _storage()
    if isinstance(storage, FileSystemStorage):
        with kept(), suppress(FileNotFoundError):
            path = storage.path(name)
            if Path(path).stat().st_size == blob.size_bytes:
                os.utime(path)
                return True
        return False
    # The age in a bucket changes by writing only.
    stale = time.time() - CLAIM_SECONDS
    return (
        storage.exists(name)
        and storage.size(name) == blob.size_bytes
        and storage.get_modified_time(name).timestamp() > stale
    )


def incoming() -> Path:
    """Return the folder of what is still coming in."""
    return Path(settings.DATA_DIR) / "blobs" / "incoming"


def _begin_writing(target: IO[bytes], start: int, stop: int) -> None:
    """Let the disk begin while more comes in, so that the sync at the end finds little left to do."""
    if hasattr(os, "posix_fadvise"):
        target.flush()
        os.posix_fadvise(target.fileno(), start, stop - start, os.POSIX_FADV_DONTNEED)


def _too_large(field: str, limit_bytes: int, got: int) -> TooLarge:
    return TooLarge(f"{field} is over the limit of {limit_bytes:,} bytes.", field=field, limit=limit_bytes, got=got)


@contextmanager
def _staging() -> Iterator[Any]:
    """Temporary file on the blob volume; gone at the end unless it was renamed."""
    folder = incoming()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = tempfile.NamedTemporaryFile(dir=folder, prefix="part-", delete=False)  # noqa: SIM115
    try:
        yield temporary
    finally:
        temporary.close()
        Path(temporary.name).unlink(missing_ok=True)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull("The storage volume is full; nothing was kept.") from error
        raise Unavailable(f"The storage volume failed: {error.strerror}.", retry_after=5) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Incoming:
    """A content that is pushed piece by piece, as an upload parser does; ends in ``keep`` or ``discard``.

    Parameters
    ----------
    limit_bytes : int
        Most bytes that are taken.
    field : str
        Name of the input for messages.
    """

    def __init__(self, *, limit_bytes: int, field: str = "file") -> None:
        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(_staging())
        self._digest = hashlib.sha256()
        self._limit, self._field = limit_bytes, field
        self.size_bytes = 0

    def write(self, part: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        TooLarge, StorageFull
            Nothing is kept then.
        """
        self.size_bytes += len(part)
        if self.size_bytes > self._limit:
            self.discard()
            raise TooLarge(
                f"{self._field} is over the limit of {self._limit:,} bytes.", field=self._field, limit=self._limit
            )
        self._digest.update(part)
        with _room():
            self._temporary.write(part)

    def keep(self) -> Blob:
        """Sync the content and file it under its digest."""
        with self._stack:
            blob = Blob(sha256=self._digest.hexdigest(), size_bytes=self.size_bytes)
            _keep(self._temporary, blob)
            return blob

    def discard(self) -> None:
        """Drop what came; harmless after ``keep``."""
        self._stack.close()
