"""What a worker writes about a job: every write of an attempt carries its fence.

These functions take no actor: the row that was claimed says who acts. ``False``
always means the same: the job moved on without this attempt, and nothing was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from experiments.models import Artifact, JobAttempt, JobLog, MetricChunk, Run, RunMetric, StepValue, TrainingJob
from experiments.services import artifacts, runs
from mlportal.lib import lease
from mlportal.lib.failpoints import failpoint
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.permissions import Permission
from projects.services import events

METRICS_A_CALL = 1_000
RUN_STATES = {
    WorkState.SUCCEEDED: Run.State.FINISHED,
    WorkState.FAILED: Run.State.FAILED,
    WorkState.TIMED_OUT: Run.State.FAILED,
    WorkState.CANCELLED: Run.State.CANCELLED,
}
EVENTS = {
    WorkState.SUCCEEDED: "job.succeeded",
    WorkState.FAILED: "job.failed",
    WorkState.TIMED_OUT: "job.failed",
    WorkState.CANCELLED: "job.cancelled",
}

Metric = tuple[str, float, int, int]


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed job: the right of one attempt to write."""

    job: TrainingJob
    attempt: JobAttempt
    claim: Claim
    actor: Actor


def actor_of(job: TrainingJob) -> Actor:
    """Return the actor that writes a job's run: only that, on behalf of who launched it."""
    return Actor.system(
        f"training job {job.pk}",
        project=job.project,
        grants={Permission.RUN_LOG, Permission.RUN_VIEW},
        on_behalf_of=job.created_by,
    )


def begin(job_id: int, *, worker: str) -> Held | None:
    """Claim a queued job; ``None`` when another has it, it was cancelled or has ended."""
    with transaction.atomic():
        claim = lease.claim(TrainingJob.objects.all(), job_id, worker=worker)
        if claim is None:
            return None
        job = TrainingJob.objects.with_context().get(pk=job_id)
        TrainingJob.objects.filter(pk=job_id).update(phases=[], usage={}, warnings=[])
        attempt = JobAttempt.objects.create(
            job=job, number=job.attempt, fence=claim.fence, worker=worker[:200], started_at=timezone.now()
        )
        held = Held(job=job, attempt=attempt, claim=claim, actor=actor_of(job))
        if job.run.state == Run.State.QUEUED:
            runs.start(held.actor, run=job.run)
        else:
            _forget_earlier(job.run)
    failpoint("claimed")
    return held


def _forget_earlier(run: Run) -> None:
    """Remove what an interrupted attempt recorded, so that one attempt's results count."""
    Run.objects.filter(pk=run.pk).update(latest=None)
    MetricChunk.objects.filter(run=run).delete()
    RunMetric.objects.filter(run=run).delete()
    StepValue.objects.filter(run=run).delete()
    Artifact.objects.filter(run=run).delete()


def note_pid(held: Held, pid: int) -> None:
    """Remember the training process, so that an operator can find it."""
    JobAttempt.objects.filter(pk=held.attempt.pk).update(pid=pid)


def report(held: Held, *, metrics: Sequence[Metric] = (), log: "LogPart | None" = None, **changes: Any) -> bool:
    """Renew the lease and write progress, metrics and log lines in one transaction."""
    with transaction.atomic():
        if not lease.heartbeat(TrainingJob.objects.all(), held.claim, **changes):
            return False
        for start in range(0, len(metrics), METRICS_A_CALL):
            runs.log_batch(held.actor, run=held.job.run, metrics=metrics[start : start + METRICS_A_CALL])
        if log is not None:
            _write_log(held.attempt, log)
    return True


@dataclass(frozen=True, slots=True)
class LogPart:
    """Consecutive lines to write, and the counts of the attempt so far."""

    first_line: int
    lines: Sequence[Sequence[Any]]
    warnings: int
    errors: int


def _write_log(attempt: JobAttempt, part: LogPart) -> None:
    size = sum(len(line[2]) + 32 for line in part.lines)
    half = settings.TRAINING_LOG_BYTES // 2
    if part.lines:
        head = _size(attempt, is_head=True) + size <= half
        JobLog.objects.create(
            attempt=attempt,
            first_line=part.first_line,
            line_count=len(part.lines),
            size_bytes=size,
            is_head=head,
            lines=[list(line) for line in part.lines],
        )
        if not head:
            _drop_oldest(attempt, half)
    JobAttempt.objects.filter(pk=attempt.pk).update(
        log_lines=part.first_line + len(part.lines), log_warnings=part.warnings, log_errors=part.errors
    )


def _size(attempt: JobAttempt, *, is_head: bool) -> int:
    found = JobLog.objects.filter(attempt=attempt, is_head=is_head).aggregate(total=Sum("size_bytes"))
    return int(found["total"] or 0)


def _drop_oldest(attempt: JobAttempt, half: int) -> None:
    excess = _size(attempt, is_head=False) - half
    tail = JobLog.objects.filter(attempt=attempt, is_head=False).order_by("first_line")
    for pk, size in tail.values_list("pk", "size_bytes"):
        if excess <= 0:
            return
        JobLog.objects.filter(pk=pk).delete()
        excess -= size


def store(held: Held, *, path: str, file: Path, media_type: str, kind: str) -> bool:
    """Store one file of the attempt on its run."""
    with transaction.atomic():
        if not lease.heartbeat(TrainingJob.objects.all(), held.claim):
            return False
        with file.open("rb") as stream:
            artifacts.store(held.actor, owner=held.job.run, path=path, stream=stream, media_type=media_type, kind=kind)
    failpoint("artifact_stored")
    return True


def settle(held: Held, *, state: str, failure: str = "", **changes: Any) -> bool:
    """End job, run and attempt together.

    A job whose stop was asked for ends cancelled whatever the attempt came to.
    """
    with transaction.atomic():
        if not lease.finish(TrainingJob.objects.all(), held.claim, state=state, failure=failure, **changes):
            return settle_cancel(held)
        _end(held.job, held.attempt, state=state, failure=failure, actor=held.actor)
        failpoint("finishing")
    failpoint("finished")
    return True


def settle_cancel(held: Held) -> bool:
    """End as cancelled when a stop was asked for and the attempt still holds the job."""
    with transaction.atomic():
        asked = TrainingJob.objects.filter(cancel_requested_at__isnull=False)
        if not lease.finish(asked, held.claim, state=WorkState.CANCELLED):
            return False
        _end(held.job, held.attempt, state=WorkState.CANCELLED, failure="", actor=held.actor)
    return True


def _end(job: TrainingJob, attempt: JobAttempt | None, *, state: str, failure: str, actor: Actor) -> None:
    work_state = WorkState(state)
    if attempt is not None:
        close(attempt, outcome=state, cause=failure)
    runs.finish(actor, run=job.run, state=RUN_STATES[work_state], failure=failure)
    data = {"job": job.pk, "run": job.run_id, "state": state, "attempt": job.attempt, "failure": failure[:300]}
    events.record(actor, EVENTS[work_state], project=job.project, target=job, data=data)


def close(attempt: JobAttempt, *, outcome: str, cause: str = "") -> None:
    """Write how an attempt ended, once."""
    open_rows = JobAttempt.objects.filter(pk=attempt.pk, outcome=JobAttempt.Outcome.WORKING)
    open_rows.update(outcome=outcome, cause=lease.scrub(cause), ended_at=timezone.now())


def sweep() -> int:
    """Requeue or end jobs whose worker has gone silent. Returns how many moved."""
    return lease.sweep(TrainingJob.objects.all(), on_end=_swept_end, on_requeue=_swept_requeue)


def _swept_end(job: TrainingJob) -> None:
    _interrupt(job)
    _end(job, None, state=job.state, failure=job.failure, actor=actor_of(job))


def _swept_requeue(job: TrainingJob) -> None:
    _interrupt(job)
    data = {"job": job.pk, "run": job.run_id, "attempt": job.attempt}
    events.record(actor_of(job), "job.requeued", project=job.project, target=job, data=data)


def _interrupt(job: TrainingJob, cause: str = "The worker stopped answering.") -> None:
    for attempt in JobAttempt.objects.filter(job=job, outcome=JobAttempt.Outcome.WORKING):
        close(attempt, outcome=JobAttempt.Outcome.INTERRUPTED, cause=cause)


def hand_back(worker: str) -> int:
    """Return the jobs of a worker that shuts down to the queue, without burning their attempts."""
    returned = 0
    mine = TrainingJob.objects.filter(state__in=lease.ACTIVE, worker__startswith=f"{worker}/")
    for job in mine.select_related("project", "created_by", "run"):
        with transaction.atomic():
            if lease.hand_back(TrainingJob.objects.all(), Claim(pk=job.pk, fence=job.fence)):
                _interrupt(job, "The worker was shut down; the job went back to the queue.")
                data = {"job": job.pk, "run": job.run_id, "attempt": job.attempt}
                events.record(actor_of(job), "job.requeued", project=job.project, target=job, data=data)
                returned += 1
    return returned


def republish() -> int:
    """Publish queued jobs that no message is known to be under way for."""
    return lease.republish(TrainingJob.objects.all(), task="experiments.execute_job")
