"""What a worker runs for the experiments app."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import structlog
from django.conf import settings

from experiments.models import JobAttempt
from experiments.pipeline.attempt import Attempt, LostClaim
from experiments.services import attempts, bulk
from mlportal.lib.errors import DomainError
from mlportal.lib.failpoints import failpoint
from mlportal.lib.lease import WorkState

log = structlog.get_logger(__name__)
BULK_SLICE_SECONDS = 15


def execute_job(job_id: int, *, worker: str) -> str:
    """Run one attempt at a job and return how it went.

    A message for a job that is not queued (a duplicate, an old one, a cancelled job)
    changes nothing.
    """
    held = attempts.begin(job_id, worker=f"{worker}/{os.getpid()}")
    if held is None:
        return "not queued"
    folder = Path(tempfile.mkdtemp(prefix=f"job-{job_id}-", dir=settings.TEMP_DIR))
    try:
        Attempt(held, folder).run()
    except LostClaim as lost:
        return _let_go(held, lost)
    except DomainError as error:
        attempts.settle(held, state=WorkState.FAILED, failure=error.message)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "ended"


def _let_go(held: attempts.Held, lost: LostClaim) -> str:
    """End as cancelled when that was asked for; otherwise the job is another attempt's."""
    if attempts.settle_cancel(held):
        return "cancelled"
    attempts.close(held.attempt, outcome=JobAttempt.Outcome.INTERRUPTED, cause=f"The claim was lost: {lost}.")
    return "fenced"


def sweep_jobs() -> dict[str, int]:
    """Give silent jobs to other workers and wake workers for forgotten ones."""
    return {"moved": attempts.sweep(), "published": attempts.republish()}


def execute_bulk(action_id: int, *, worker: str) -> str:
    """Do a bulk action page by page for a while, then let other short work go first."""
    held = bulk.claim(action_id, worker=f"{worker}/{os.getpid()}")
    if held is None:
        return "not queued"
    until = time.monotonic() + BULK_SLICE_SECONDS
    try:
        while more := bulk.advance(held):
            failpoint("bulk_page_done")
            if time.monotonic() > until:
                bulk.hand_back(held)
                return "handed back"
    except DomainError as error:
        bulk.fail(held, error.message)
        return "failed"
    return "ended" if more is False else "fenced"


def sweep_bulk() -> dict[str, int]:
    """Give silent bulk actions to other workers and wake workers for forgotten ones."""
    return {"moved": bulk.sweep(), "published": bulk.republish()}


def hand_back(worker: str) -> int:
    """Return the jobs of a worker that shuts down."""
    returned = attempts.hand_back(worker)
    attempts.republish()
    return returned
