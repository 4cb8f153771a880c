"""How far a training is: phases, time spent and left, who waits before it."""

from __future__ import annotations

import time
from typing import Any

from experiments.models import TrainingJob
from experiments.queries import pace
from experiments.training import catalogue
from mlportal.lib.lease import WorkState


def progress_context(job: TrainingJob) -> dict[str, Any]:
    """Return what the progress card of a job shows."""
    now_ms = int(time.time() * 1000)
    elapsed = _elapsed(job, now_ms)
    return {
        "job": job, "phases": _phases(job, now_ms), "elapsed": elapsed, "left": pace.left(job, elapsed),
        "ahead": _ahead(job), "memory_share": _memory_share(job),
    }  # fmt: skip


def _elapsed(job: TrainingJob, now_ms: int) -> float | None:
    if job.started_at is None:
        return None
    end = job.ended_at.timestamp() if job.ended_at else now_ms / 1000
    return max(0.0, end - job.started_at.timestamp())


def _ahead(job: TrainingJob) -> int:
    if job.state != WorkState.QUEUED:
        return 0
    return TrainingJob.objects.filter(state=WorkState.QUEUED, queued_at__lt=job.queued_at).count()


def _phases(job: TrainingJob, now_ms: int) -> list[dict[str, Any]]:
    """Return the phases with their state (done, now, stopped or nothing yet) and seconds."""
    seen = {phase["name"]: phase for phase in job.phases}
    out = []
    for name, label, _ in catalogue.phase_plan(folds=int(job.spec.get("folds", 0))):
        phase = seen.get(name)
        state, seconds = "", None
        if phase:
            ended = phase["ended_ms"]
            seconds = max(0, (ended or now_ms) - phase["started_ms"]) / 1000
            state = "done" if ended else "now"
            if job.is_terminal and job.state != WorkState.SUCCEEDED and name == job.phase:
                state = "stopped"
        out.append({"label": label, "state": state, "seconds": seconds})
    return out


def _memory_share(job: TrainingJob) -> float | None:
    held = job.usage.get("memory_bytes")
    limit = job.limits.get("memory_mb")
    return None if not held or not limit else held / (limit * 2**20)
