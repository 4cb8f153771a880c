"""Files of a form that go straight to the blob store while they arrive, never through memory or a second copy."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

from mlportal.lib import blobs
from mlportal.lib.errors import DomainError
from projects.tabular.guard import UploadGuard


class StoredUpload(UploadedFile):
    """An uploaded table that is in the blob store already.

    Parameters
    ----------
    blob : blobs.Blob
        Where its content is.
    file_type : str
        What it is, by its first bytes.
    """

    def __init__(self, blob: blobs.Blob, file_type: str, *, name: str, field_name: str) -> None:
        super().__init__(file=None, name=name, size=blob.size_bytes)
        self.blob = blob
        self.file_type = file_type
        self.field_name = field_name

    def close(self) -> None:
        """Nothing is open."""


class TableUploadHandler(FileUploadHandler):
    """Watch and store one table; a refusal is kept in ``problem`` and the rest of the body is read and dropped.

    Set it on ``request.upload_handlers`` before anything reads ``request.POST``, and call ``close`` at the end.
    """

    chunk_size = 2**20

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.problem: DomainError | None = None
        self._incoming: blobs.Incoming | None = None
        self._guard = UploadGuard(None)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Open the place for the file."""
        super().new_file(*args, **kwargs)
        self.close()
        self._guard = UploadGuard(None)
        try:
            self._incoming = blobs.Incoming(limit_bytes=settings.MAX_UPLOAD_BYTES)
        except DomainError as error:
            self._refuse(error)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Check and store the next bytes."""
        del start
        assert self._incoming is not None
        try:
            self._guard.feed(raw_data)
            self._incoming.write(raw_data)
        except DomainError as error:
            self._refuse(error)

    def file_complete(self, file_size: int) -> StoredUpload | None:
        """File the content under its digest; an empty file field of a form gives nothing."""
        del file_size
        assert self._incoming is not None
        if not self._incoming.size_bytes and not self.file_name:
            return None
        try:
            file_type = self._guard.close()
            blob = self._incoming.keep()
        except DomainError as error:
            self._refuse(error)
        return StoredUpload(blob, file_type, name=self.file_name or "data", field_name=self.field_name or "file")

    def upload_interrupted(self) -> None:
        """Drop what came."""
        self.close()

    def close(self) -> None:
        """Drop what was not kept."""
        if self._incoming is not None:
            self._incoming.discard()

    def _refuse(self, error: DomainError) -> Any:
        self.problem = error
        self.close()
        raise StopUpload(connection_reset=False) from error
