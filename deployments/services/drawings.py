"""PDFs of papers: a worker draws each content once, and it is kept for a while, so that the next download is at once.

A drawing is a copy of what whoever asks may read anyway: it is no change, and the audit log has no entry of it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.models import DrawnPaper
from deployments.proof import papers
from deployments.proof.papers import Json
from deployments.services import prints, writings
from mlportal.lib import blobs, lease, queue
from mlportal.lib.errors import Conflict, DomainError, Unavailable
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

TASK = "deployments.draw_paper"
MAX_BYTES = 64 * 2**20
KEPT = timedelta(days=7)  # a PDF holds names of people, and an erased one may not stay in it
PATIENCE = timedelta(seconds=60)  # between a failure and the next try


def ask(by: Actor, *, project: Project, document: Json, about: Mapping[str, Any]) -> DrawnPaper:
    """Have a paper drawn; the same content is drawn once.

    Parameters
    ----------
    document
        The paper, people as accounts.
    about
        More facts for its head, see :func:`prints.readable`.

    Raises
    ------
    Unavailable
        When drawing it has just failed.
    """
    require(by, Permission.MODEL_VIEW, project)
    facts = dict(about)
    key = papers.digest(writings.named(document | {"about": document["about"] | facts}))
    with transaction.atomic():
        row, fresh = DrawnPaper.objects.get_or_create(
            sha256=key, defaults={"project": project, "document": document, "about": facts}
        )
        if row.ended_at is None or row.ended_at < timezone.now() - PATIENCE:
            fresh = lease.again(DrawnPaper.objects.all(), row) or fresh
        if fresh:
            queue.enqueue(TASK, row.pk)
    if row.is_terminal and row.state != WorkState.SUCCEEDED:
        raise Unavailable(f"{row.failure or 'The PDF could not be drawn.'} Ask again in a minute.", code="pdf_failed")
    return row


def content(by: Actor, *, drawn: DrawnPaper) -> bytes:
    """Return the PDF.

    Raises
    ------
    Conflict
        When it is not drawn yet.
    """
    require(by, Permission.MODEL_VIEW, drawn.project)
    if drawn.state != WorkState.SUCCEEDED:
        raise Conflict(f"The PDF is not ready: {drawn.get_state_display()}.", code="not_ready")
    return blobs.read_bytes(drawn.file_sha256, limit_bytes=MAX_BYTES)


def work(drawing_id: int, *, worker: str) -> bool:
    """Draw one paper. Returns whether this call did the work."""
    rows = DrawnPaper.objects.all()
    held = lease.claim(rows, drawing_id, worker=worker)
    if held is None or not lease.heartbeat(rows, held, phase="Draw the PDF", progress=0.1):
        return False
    row = rows.get(pk=held.pk)
    assert row.document is not None  # it goes when the drawing is there
    try:
        stored = blobs.put_bytes(prints.pdf(prints.readable(row.document, **row.about)))
    except (DomainError, OSError) as error:
        text = error.message if isinstance(error, DomainError) else str(error)
        return lease.finish(rows, held, state=WorkState.FAILED, failure=text)
    return lease.finish(
        rows, held, state=WorkState.SUCCEEDED, document=None, file_sha256=stored.sha256, size_bytes=stored.size_bytes
    )


def sweep() -> int:
    """Give lost drawings to another worker, and forget old ones; their files go with the unnamed ones."""
    rows = DrawnPaper.objects.all()
    rows.filter(ended_at__lt=timezone.now() - KEPT).delete()
    moved = lease.sweep(rows, on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(rows, task=TASK)
