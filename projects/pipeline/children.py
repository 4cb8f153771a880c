"""Run a limited child under a lease: renew it, hear the child's progress, end the child rightly."""

import json
import os
import selectors
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError
from django.db.models import QuerySet

from mlportal.lib import forks, lease
from mlportal.lib.forks import Fork
from mlportal.lib.lease import Claim, Work
from projects.pipeline import POLL_SECONDS, SELF_FENCE_SECONDS
from projects.tabular import child

log = structlog.get_logger(__name__)
READ_BYTES = 1 << 20
LOST, CANCELLED, LATE = "lost", "cancelled", "late"
Beat = Callable[[], str]


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Parameters
    ----------
    code : int
        Exit code; negative for a signal.
    out, err : bytes
        What it wrote.
    stopped : str
        Empty when it ended itself; ``late``, ``lost`` or ``cancelled`` when it was ended.
    """

    code: int
    out: bytes
    err: bytes
    stopped: str = ""

    @property
    def last_words(self) -> str:
        """Last line of what it complained about."""
        lines = self.err[-4000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


class Stopped(Exception):
    """The row belongs to another attempt, or was cancelled."""


@contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """Private folder on the data volume; gone afterwards."""
    Path(settings.TEMP_DIR).mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=settings.TEMP_DIR))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def heart(rows: QuerySet[Work], held: Claim, progress: Callable[[], dict[str, Any]]) -> Beat:
    """A function that renews the lease and writes the progress; it says why to stop, or nothing."""
    spoke = time.monotonic()

    def beat() -> str:
        nonlocal spoke
        try:
            if lease.heartbeat(rows, held, **progress()):
                spoke = time.monotonic()
                return ""
            asked = rows.filter(pk=held.pk, fence=held.fence, cancel_requested_at__isnull=False)
            return CANCELLED if asked.exists() else LOST
        except OperationalError as error:
            log.warning("heartbeat failed", row=held.pk, error=str(error)[:200])
            return LOST if time.monotonic() - spoke > SELF_FENCE_SECONDS else ""

    return beat


def said(place: Path) -> tuple[float, str]:
    """Share and phase that a child wrote last; nothing yet is the start."""
    try:
        told = json.loads((place / child.PROGRESS).read_text())
    except FileNotFoundError:
        return 0.0, ""
    return float(told["share"]), str(told["phase"])[:100]


def run(
    module: str, request: dict[str, Any], place: Path, *, beat: Beat, seconds: float, preload: Sequence[str]
) -> Ended:
    """Start ``python -m module folder`` with a request and wait for it, no longer than ``seconds``."""
    (place / child.REQUEST).write_text(json.dumps(request))
    # Pipes and no files: a child may be forbidden to write any.
    (out, saying), (err, complaining) = os.pipe(), os.pipe()
    told = {out: bytearray(), err: bytearray()}
    try:
        try:
            process = forks.start(
                module,
                str(place),
                folder=place,
                environment=forks.bare_environment(place, threads=2),
                preload=preload,
                stdout=saying,
                stderr=complaining,
            )
        finally:
            os.close(saying)
            os.close(complaining)
        try:
            stopped = _wait(process, told, beat, seconds)
        finally:
            code = process.end()
    finally:
        os.close(out)
        os.close(err)
    return Ended(code, bytes(told[out]), bytes(told[err]), stopped)


def _wait(process: Fork, told: dict[int, bytearray], beat: Beat, seconds: float) -> str:
    """Hear the child until its end; returns why it is not waited for any more, or nothing."""
    began = next_beat = time.monotonic()
    with selectors.DefaultSelector() as ears:
        for pipe in told:
            ears.register(pipe, selectors.EVENT_READ)
        while ears.get_map() or process.poll() is None:
            for key, _ in ears.select(POLL_SECONDS):
                if part := os.read(key.fd, READ_BYTES):
                    told[key.fd] += part
                else:
                    ears.unregister(key.fd)
            now = time.monotonic()
            if now - began > seconds:
                return LATE
            if now >= next_beat:
                next_beat = now + min(1.0, settings.HEARTBEAT_SECONDS)
                if stop := beat():
                    return stop
    return ""
