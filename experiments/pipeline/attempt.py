"""One attempt: start the training process, pass on what it says, end it rightly."""

import signal
import time
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from experiments.pipeline.logbook import LogBook
from experiments.pipeline.machine import Machine
from experiments.pipeline.process import Child, Message, limits_of
from experiments.services import attempts
from experiments.services.attempts import Held, LogPart
from experiments.training import catalogue
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError
from mlportal.lib.lease import WorkState
from projects.services import tables

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.2
# A curve of the machine has some hundred points, however long the training takes.
SAMPLES = 200
MAX_PENDING_METRICS = 200_000
SIGNALS = {
    signal.SIGKILL: "The training process was killed from outside (signal 9), perhaps for lack of memory.",
    signal.SIGXCPU: "The training used more processor time than its limit allows.",
}


class LostClaim(Exception):
    """The job belongs to another attempt, or was cancelled."""


class Attempt:
    """The loop of one attempt.

    Parameters
    ----------
    held : Held
        The claim.
    folder : pathlib.Path
        An empty folder for the training process.
    """

    def __init__(self, held: Held, folder: Path) -> None:
        self.held = held
        self.folder = folder
        self.plan = catalogue.phase_plan(folds=int(held.job.spec["folds"]))
        self.log = LogBook()
        self.metrics: list[attempts.Metric] = []
        self.phases: list[dict[str, Any]] = []
        self.changes: dict[str, Any] = {}
        self.verdict: Message | None = None
        self.peak_bytes = 0
        self._spoke = time.monotonic()
        self._samples = 0
        self._limits = held.job.limits

    def run(self) -> None:
        """Train and settle the job; raises `LostClaim` when it is no longer ours."""
        child = Child(self._request(), self.folder)
        began = time.monotonic()
        code: int | None = None
        timed_out = False
        try:
            machine, sample_at = None, began + settings.SAMPLE_SECONDS
            while not child.silent and self.verdict is None:
                self._hear(child)
                machine = machine or self._met(child)
                if machine and settings.SAMPLE_SECONDS and time.monotonic() >= sample_at:
                    self._sample(machine)
                    passed = time.monotonic() - began
                    sample_at = time.monotonic() + max(settings.SAMPLE_SECONDS, passed / SAMPLES)
                timed_out = time.monotonic() - began > self._limits["wall_seconds"]
                if timed_out:
                    break
            if not timed_out and self.verdict is None:
                code = child.wait(10)
        finally:
            ended = child.end()
        self._settle(timed_out=timed_out, code=ended if code is None else code)

    def _met(self, child: Child) -> Machine | None:
        """Note which process it is, once it is known."""
        pid = child.pid
        if pid is None:
            return None
        attempts.note_pid(self.held, pid)
        return Machine(pid, self.folder)

    def _request(self) -> Message:
        version = self.held.job.dataset_version
        threads = settings.TRAINING_THREADS
        return {
            "spec": self.held.job.spec,
            "schema": version.schema,
            "data": str(tables.one_file(version, self.folder / "data.parquet")),
            "split": str(blobs.local_path(self.held.job.split.rows_sha256)) if self.held.job.split else None,
            "folder": str(self.folder),
            "threads": threads,
            "limits": limits_of(self._limits, threads),
        }

    def _hear(self, child: Child) -> None:
        for message in child.hear(TICK_SECONDS):
            self._take(message)
        usage = child.usage()
        if usage:
            self.peak_bytes = max(self.peak_bytes, int(usage["peak_bytes"]))
            self.changes["usage"] = usage
        due = settings.HEARTBEAT_SECONDS if not (self.metrics or self.log) else settings.FLUSH_SECONDS
        if time.monotonic() - self._spoke >= min(due, settings.HEARTBEAT_SECONDS):
            self._speak()

    def _sample(self, machine: Machine) -> None:
        now_ms = int(time.time() * 1000)
        self.metrics += [(name, value, now_ms, self._samples) for name, value in machine.read().items()]
        self._samples += 1

    def _take(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "metric" and len(self.metrics) < MAX_PENDING_METRICS:
            self.metrics.append((message["key"], message["value"], message["ms"], message["step"]))
        elif kind == "log":
            self.log.add(message["ms"], message["level"], message["text"])
        elif kind == "progress":
            self._progress(message)
        elif kind in ("done", "refused", "memory", "storage", "defect"):
            self.verdict = message

    def _progress(self, message: Message) -> None:
        phase, share, at_ms = message["phase"], float(message["share"]), message["ms"]
        if not self.phases or self.phases[-1]["name"] != phase:
            self._close_phase(at_ms)
            self.phases.append({"name": phase, "started_ms": at_ms, "ended_ms": None})
        done = sum(weight for name, _, weight in self.plan if self._before(name, phase))
        weight = next((weight for name, _, weight in self.plan if name == phase), 0.0)
        self.changes |= {"phase": phase, "phases": self.phases, "progress": min(1.0, done + weight * share)}

    def _close_phase(self, at_ms: int) -> None:
        if self.phases and self.phases[-1]["ended_ms"] is None:
            self.phases[-1]["ended_ms"] = at_ms

    def _before(self, name: str, phase: str) -> bool:
        names = [entry[0] for entry in self.plan]
        return phase in names and names.index(name) < names.index(phase)

    def _speak(self) -> None:
        """Write what is pending. A database that is away is borne for a while, then we stop ourselves."""
        try:
            self._write()
        except (DatabaseError, InterfaceError) as error:
            silent = time.monotonic() - self._spoke
            log.warning("job cannot report", job=self.held.job.pk, seconds=round(silent, 1), error=str(error)[:200])
            if silent > settings.LEASE_SECONDS * 2 / 3:
                raise LostClaim("no heartbeat possible") from error

    def _write(self) -> None:
        first, lines = self.log.peek()
        part = LogPart(first, lines, self.log.warnings, self.log.errors) if lines else None
        metrics = list(self.metrics)
        if not attempts.report(self.held, metrics=metrics, log=part, **self.changes):
            raise LostClaim("cancelled or fenced")
        self.log.forget(len(lines))
        del self.metrics[: len(metrics)]
        self._spoke = time.monotonic()

    def _settle(self, *, timed_out: bool, code: int) -> None:
        state, failure = self._judge(timed_out=timed_out, code=code)
        warnings = list((self.verdict or {}).get("warnings", []))
        if state == WorkState.SUCCEEDED:
            state, failure = self._store()
        now_ms = int(timezone.now().timestamp() * 1000)
        self._close_phase(now_ms)
        self.log.add(now_ms, "error" if failure else "info", failure or "Training succeeded")
        self._write()
        changes = {"phases": self.phases, "warnings": warnings}
        if not attempts.settle(self.held, state=state, failure=failure, **changes):
            raise LostClaim("ended without us")

    def _store(self) -> tuple[WorkState, str]:
        assert self.verdict is not None
        try:
            for file in self.verdict["files"]:
                path = self.folder / file["path"]
                if path.is_symlink() or not path.resolve().is_relative_to(self.folder.resolve()):
                    return WorkState.FAILED, f"The training wrote a file outside its folder: {file['path'][:100]}."
                if not attempts.store(self.held, file=path, **file):
                    raise LostClaim("cancelled or fenced")
                self._spoke = time.monotonic()
        except DomainError as error:
            return WorkState.FAILED, error.message
        return WorkState.SUCCEEDED, ""

    def _judge(self, *, timed_out: bool, code: int) -> tuple[WorkState, str]:
        if timed_out:
            minutes = self._limits["wall_seconds"] / 60
            return WorkState.TIMED_OUT, (
                f"The training took longer than its limit of {minutes:g} min. "
                "Raise the limit, or use fewer rows, features or rounds."
            )
        verdict = self.verdict or {}
        match verdict.get("type"):
            case "done":
                return WorkState.SUCCEEDED, ""
            case "refused":
                return WorkState.FAILED, verdict["text"]
            case "memory":
                return WorkState.FAILED, self._memory(verdict["peak_bytes"])
            case "storage":
                return WorkState.FAILED, f"The training could not write its files: {verdict['text']}."
            case "defect":
                return WorkState.FAILED, f"The training stopped on an unexpected error: {verdict['text']}."
        return WorkState.FAILED, self._died(code)

    def _memory(self, peak_bytes: int) -> str:
        return (
            f"The training ran out of memory: limit {self._limits['memory_mb']:,} MB, "
            f"peak {peak_bytes / 2**20:,.0f} MB. Raise the limit, or use fewer rows or features."
        )

    def _died(self, code: int) -> str:
        if code >= 0:
            return f"The training process ended with exit code {code} before it gave a result."
        number = signal.Signals(-code)
        known = SIGNALS.get(number, f"The training process crashed ({number.name}, signal {-code}).")
        return f"{known} Most memory held: {self.peak_bytes / 2**20:,.0f} MB."
