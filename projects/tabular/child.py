"""The process that reads a stranger's file: ``python -m projects.tabular.child FOLDER``.

It has no secret and no database, limits set by the kernel, and one folder, where it finds ``request.json``
and leaves ``progress.json``, ``copy.parquet`` and either ``report.json`` or ``refusal.json``.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlportal.lib.errors import DomainError

from . import samples
from .limits import Limits

REQUEST, PROGRESS, REPORT, REFUSAL, COPY = (
    "request.json",
    "progress.json",
    "report.json",
    "refusal.json",
    "copy.parquet",
)
REFUSED = 3
_REPORT_EVERY = 0.2


def main(folder: Path) -> int:
    """Profile the file that the request names. Returns the exit code."""
    die_with_parent()
    request = json.loads((folder / REQUEST).read_text())
    limit(request["kernel_limits"])
    path = Path(request["path"])
    try:
        if request["sample"]:
            samples.build(request["sample"], path)
        report = _profile(path, folder, request)
    except DomainError as refusal:
        _write(folder / REFUSAL, refusal.as_dict())
        return REFUSED
    except MemoryError:
        memory = request["kernel_limits"]["memory_bytes"] // 2**20
        _write(folder / REFUSAL, {"message": f"Profiling needs more than {memory:,} MB of memory, which is the limit."})
        return REFUSED
    _write(folder / REPORT, report)
    return 0


def _profile(path: Path, folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    from .profile import profile_file

    said = Progress(folder / PROGRESS)
    report = profile_file(
        path,
        folder / COPY,
        paths=[Path(each) for each in request.get("paths", [])],
        encoding=request["encoding"],
        delimiter=request["delimiter"],
        limits=Limits(**request["limits"]),
        on_progress=said,
    )
    return asdict(report)


class Progress:
    """Keep the last progress in a file, written at most five times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0

    def __call__(self, share: float, phase: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REPORT_EVERY
            _write(self._path, {"share": share, "phase": phase})


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, allow_nan=False))
    part.replace(path)


def die_with_parent() -> None:
    """Be killed by the kernel when the worker dies, so that no orphan reads on."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)


def limit(limits: dict[str, int]) -> None:
    """Bound what the kernel gives this process, so that a hostile file can only hurt itself."""
    for name, kind in (
        ("memory_bytes", resource.RLIMIT_DATA),
        ("file_bytes", resource.RLIMIT_FSIZE),
        ("cpu_seconds", resource.RLIMIT_CPU),
        ("core_bytes", resource.RLIMIT_CORE),
    ):
        resource.setrlimit(kind, (limits[name], limits[name]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
