"""What the serving process needs to know, read once at its start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings of one serving process.

    Parameters
    ----------
    database : dict
        A Django database entry.
    spool : Path
        Folder of the prediction log.
    pass_key : bytes
        Checks passes of the web process.
    locate : callable
        Gives the local path of a file by its sha256.
    load_model : callable
        Reads a model file with our list of trusted types.
    host, port
        Where to listen.
    cache_bytes : int
        Memory for versions that are loaded but not live.
    quota_bytes : int
        Most that may wait in the spool.
    max_body_bytes, max_rows, max_waiting, timeout_seconds
        Limits of a request; ``max_waiting`` counts requests of one endpoint.
    """

    database: dict[str, Any]
    spool: Path
    pass_key: bytes
    locate: Callable[[str], Path]
    load_model: Callable[[Path], Any]
    host: str = "127.0.0.1"
    port: int = 8001
    cache_bytes: int = 1024 * MIB
    quota_bytes: int = 2048 * MIB
    max_body_bytes: int = 16 * MIB
    max_rows: int = 10_000
    max_waiting: int = 256
    timeout_seconds: float = 30.0


def from_settings() -> Configuration:
    """Read Django's settings; nothing else of Django runs in the serving process."""
    from django.conf import settings

    from deployments.runtime import passes
    from mlportal.env import environment
    from mlportal.lib import blobs, modelfile

    return Configuration(
        database=dict(settings.DATABASES["default"]),
        spool=Path(settings.SPOOL_DIR),
        pass_key=passes.derive(settings.SECRET_KEY),
        locate=blobs.local_path,
        load_model=modelfile.load,
        host=environment.str("MLPORTAL_SERVE_BIND", default=settings.BIND),
        port=settings.SERVE_PORT,
        cache_bytes=environment.int("MLPORTAL_SERVE_CACHE_BYTES", default=1024 * MIB),
        quota_bytes=settings.SPOOL_QUOTA_BYTES,
        timeout_seconds=environment.float("MLPORTAL_SERVE_TIMEOUT_SECONDS", default=30.0),
    )
