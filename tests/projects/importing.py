"""Imports done as a worker does them, for the tests of every source."""

from typing import Any

from projects import pipeline
from projects.models import DatasetImport

PASSWORD = "hunter2 of the store"


def run(found: DatasetImport) -> DatasetImport:
    """Do an import as a worker does, and the profiling after it."""
    pipeline.import_dataset(found.pk, worker="test")
    found.refresh_from_db()
    if found.outcome == "created":
        pipeline.profile_version(found.version_id, worker="test")
        found.refresh_from_db()
    return found


def file_of(content: bytes, etag: str = '"one"') -> Any:
    """A plan for ``tests.lib.test_download.served``: this file, unless the asker has it."""

    def plan(handler: Any) -> None:
        if handler.headers.get("If-None-Match") == etag:
            handler._answer(304, b"")
        else:
            handler._answer(200, content, {"ETag": etag})

    return plan


def url_of(server: Any, path: str) -> str:
    """Address of a file of the served ones."""
    return f"http://127.0.0.1:{server.server_address[1]}/{path}"
