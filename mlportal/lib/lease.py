"""State machine of work that a worker does: one writer an attempt, terminal states final.

A row is claimed by a conditional update that raises its fence; every later write of that attempt
carries the fence, so a worker that was frozen and came back changes nothing. Times of leases are the
database's clock, so a wrong clock on a worker cannot keep or steal work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from mlportal.lib import queue

MAX_CAUSE = 2000


class WorkState(models.TextChoices):
    """States and the words shown for them."""

    QUEUED = "queued", "queued"
    STARTING = "starting", "starting"
    RUNNING = "running", "running"
    SUCCEEDED = "succeeded", "succeeded"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"
    TIMED_OUT = "timed_out", "timed out"


ACTIVE = (WorkState.STARTING, WorkState.RUNNING)
TERMINAL = (WorkState.SUCCEEDED, WorkState.FAILED, WorkState.CANCELLED, WorkState.TIMED_OUT)


class LeasedWork(models.Model):
    """Columns of a row that a worker works on."""

    state = models.CharField(max_length=12, choices=WorkState, default=WorkState.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    fence = models.PositiveBigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, editable=False)
    worker = models.CharField(max_length=200, blank=True)
    cancel_requested_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    progress = models.FloatField(default=0.0, help_text="Share done, 0 to 1.")
    phase = models.CharField(max_length=100, blank=True)
    failure = models.TextField(blank=True, help_text="Why it failed, as a sentence.")

    class Meta:
        abstract = True

    @property
    def is_terminal(self) -> bool:
        """Whether the state is final."""
        return self.state in TERMINAL

    @property
    def is_active(self) -> bool:
        """Whether a worker holds it now."""
        return self.state in ACTIVE

    @property
    def progress_percent(self) -> int:
        """Share done, 0 to 100."""
        return round(100 * self.progress)


Work = TypeVar("Work", bound=LeasedWork)


@dataclass(frozen=True)
class Claim:
    """Right of one attempt to write to one row."""

    pk: int
    fence: int


def lease_end(seconds: float | None = None) -> Any:
    """Expression: the database's now plus the length of a lease."""
    return Now() + timedelta(seconds=settings.LEASE_SECONDS if seconds is None else seconds)


def claim(rows: QuerySet[Work], pk: int, *, worker: str) -> Claim | None:
    """Take a queued row; ``None`` when someone else has it, it is cancelled, or it is done."""
    taken = rows.filter(pk=pk, state=WorkState.QUEUED, cancel_requested_at=None).update(
        state=WorkState.STARTING,
        attempt=F("attempt") + 1,
        fence=F("fence") + 1,
        lease_until=lease_end(),
        worker=worker[:200],
        started_at=Now(),
        progress=0.0,
        phase="",
    )
    if not taken:
        return None
    return Claim(pk=pk, fence=rows.values_list("fence", flat=True).get(pk=pk))


def _mine(rows: QuerySet[Work], held: Claim) -> QuerySet[Work]:
    return rows.filter(pk=held.pk, fence=held.fence, state__in=ACTIVE)


def heartbeat(rows: QuerySet[Work], held: Claim, **changes: Any) -> bool:
    """Renew the lease and write progress; ``False`` means fenced or cancelled: stop working at once."""
    alive = _mine(rows, held).filter(cancel_requested_at=None)
    return bool(alive.update(state=WorkState.RUNNING, lease_until=lease_end(), **changes))


def finish(rows: QuerySet[Work], held: Claim, *, state: str, failure: str = "", **changes: Any) -> bool:
    """End the attempt; ``False`` means the row moved on without us and nothing may be written.

    A row whose cancellation was asked for never ends succeeded.
    """
    mine = _mine(rows, held)
    if state == WorkState.SUCCEEDED:
        mine = mine.filter(cancel_requested_at=None)
        changes.setdefault("progress", 1.0)
    return bool(mine.update(state=state, failure=scrub(failure), lease_until=None, ended_at=Now(), **changes))


def hand_back(rows: QuerySet[Work], held: Claim) -> bool:
    """Give the row to another worker without burning the attempt (orderly shutdown)."""
    return bool(
        _mine(rows, held).update(
            state=WorkState.QUEUED, attempt=F("attempt") - 1, lease_until=None, published_at=None, worker=""
        )
    )


def request_cancel(rows: QuerySet[Work], pk: int) -> str:
    """Ask for cancellation. Returns the state after: a queued row ends at once, a running one is flagged."""
    ended = rows.filter(pk=pk, state=WorkState.QUEUED).update(
        state=WorkState.CANCELLED, cancel_requested_at=Now(), ended_at=Now()
    )
    if not ended:
        rows.filter(pk=pk, state__in=ACTIVE, cancel_requested_at=None).update(cancel_requested_at=Now())
    return str(rows.values_list("state", flat=True).get(pk=pk))


def again(rows: QuerySet[Work], row: Work) -> bool:
    """Queue work that ended without success once more; ``False`` when it did not, or somebody was quicker."""
    if row.state not in TERMINAL or row.state == WorkState.SUCCEEDED:
        return False
    moved = rows.filter(pk=row.pk, state=row.state).update(
        state=WorkState.QUEUED, attempt=0, failure="", phase="", progress=0.0, ended_at=None, published_at=None,
        cancel_requested_at=None, queued_at=Now(),
    )  # fmt: skip
    row.refresh_from_db()
    return bool(moved)


def sweep(rows: QuerySet[Work], *, on_end: Callable[[Work], None], on_requeue: Callable[[Work], None]) -> int:
    """Give work with an expired lease to another worker, or end it after the last attempt.

    Safe to run in many processes at once: each row moves by a conditional update on its fence.
    ``on_end`` and ``on_requeue`` run in the row's transaction with the row as it is now.
    """
    expired = rows.filter(state__in=ACTIVE).filter(Q(lease_until__lt=Now()) | Q(lease_until=None))
    moved = 0
    for pk, fence in list(expired.values_list("pk", "fence")[:500]):
        with transaction.atomic():
            moved += _settle_expired(rows, Claim(pk=pk, fence=fence), on_end, on_requeue)
    return moved


def _settle_expired(
    rows: QuerySet[Work], lost: Claim, on_end: Callable[[Work], None], on_requeue: Callable[[Work], None]
) -> int:
    still = _mine(rows, lost).filter(Q(lease_until__lt=Now()) | Q(lease_until=None))
    row = still.select_for_update(no_key=True).first()
    if row is None:
        return 0
    if row.cancel_requested_at:
        still.update(state=WorkState.CANCELLED, lease_until=None, ended_at=Now(), fence=F("fence") + 1)
    elif row.attempt >= settings.MAX_ATTEMPTS:
        cause = f"Interrupted {row.attempt} times: the worker stopped answering each time."
        still.update(state=WorkState.FAILED, failure=cause, lease_until=None, ended_at=Now(), fence=F("fence") + 1)
    else:
        still.update(state=WorkState.QUEUED, lease_until=None, published_at=None, worker="", fence=F("fence") + 1)
        row.refresh_from_db()
        on_requeue(row)
        return 1
    row.refresh_from_db()
    on_end(row)
    return 1


def republish(rows: QuerySet[Work], *, task: str) -> int:
    """Publish queued rows that no message is known to be under way for."""
    before = Now() - timedelta(seconds=settings.REPUBLISH_SECONDS)
    waiting = rows.filter(state=WorkState.QUEUED).filter(Q(published_at=None) | Q(published_at__lt=before))
    sent = 0
    for pk in list(waiting.order_by("queued_at", "pk").values_list("pk", flat=True)[:500]):
        if not queue.publish(task, pk):
            break
        rows.filter(pk=pk).update(published_at=Now())
        sent += 1
    return sent


def scrub(text: str) -> str:
    """Error text fit to store: no NUL, no lone surrogate, bounded."""
    clean = text.replace("\x00", "�").encode("utf-8", "replace").decode()
    return clean if len(clean) <= MAX_CAUSE else clean[: MAX_CAUSE - 1] + "…"
