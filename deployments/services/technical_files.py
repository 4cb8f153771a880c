"""The technical file of a version: read it, write what no record tells, issue it as files that are kept.

An issue is packed by a worker, numbered, and never changed or deleted; it holds its version and its model.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from deployments.cards import annex
from deployments.cards.records import load
from deployments.models import ModelVersion, PaperVersion, TechnicalFile
from deployments.proof import filed, modification, papers, veil
from deployments.proof.papers import Json
from deployments.services import evidence, packs, prints, registered, writings
from mlportal.lib import blobs, lease, queue
from mlportal.lib.errors import Conflict, DomainError, Missing
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

TASK = "deployments.issue_technical_file"
MAX_BYTES = 64 * 2**20


class LeaseLost(Exception):
    """The work was given to another worker; nothing more may be written."""


def read(by: Actor, *, version: ModelVersion) -> Json:
    """Return the file as the records are now; people are named by their accounts, see :func:`writings.named`."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    return annex.document(load(version, hidden=evidence.hidden_from(by, version=version)))


def write(
    by: Actor, *, version: ModelVersion, texts: Mapping[str, str], level: str = "model", seen: int | None = None
) -> PaperVersion | None:
    """Save texts that no record can tell, for the model or for one version; None when nothing changed.

    Raises
    ------
    Invalid
        When a name or the level is not known or a text breaks a rule.
    Conflict
        When somebody saved in between.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    clean = writings.checked(texts, {name: label for name, (_, label, _) in annex.HAND.items()})
    with transaction.atomic():
        registered.lock(version.model)
        return writings.add(by, version=version, paper="file", level=level, texts=clean, seen=seen)


def issue(by: Actor, *, version: ModelVersion) -> TechnicalFile:
    """Have the file issued by a worker; while one is under way it is that one."""
    require(by, Permission.FILE_ISSUE, version.model.project)
    with transaction.atomic():
        registered.lock(version.model)
        known = TechnicalFile.objects.filter(version=version, state__in=[WorkState.QUEUED, *lease.ACTIVE]).first()
        if known is not None:
            return known
        last = TechnicalFile.objects.filter(model=version.model_id).aggregate(last=Max("number"))["last"] or 0
        made = TechnicalFile.objects.create(
            version=version, model_id=version.model_id, number=last + 1, issued_by=by.user, asked_at=timezone.now()
        )
        events.record(
            by, "technical_file.asked", project=version.model.project, target=version,
            data={"model": version.model.name, "number": version.number, "issue": made.number},
        )  # fmt: skip
        queue.enqueue(TASK, made.pk)
    return made


def issues(by: Actor, *, version: ModelVersion) -> QuerySet[TechnicalFile]:
    """Return the issues of all versions of the model, newest first, without their documents."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    rows = TechnicalFile.objects.filter(model=version.model_id).select_related("version__model", "issued_by")
    return rows.defer("document").order_by("-number")


def content(by: Actor, *, issued: TechnicalFile) -> bytes:
    """Return the zip of an issue; it is signed as it is, so nothing in it can be hidden.

    Raises
    ------
    Conflict
        When it is not packed yet, or the packing failed, or it names groups of a column that is masked for the actor.
    """
    require(by, Permission.MODEL_VIEW, issued.version.model.project)
    if issued.state != WorkState.SUCCEEDED:
        raise Conflict(f"Technical file {issued.number} is not ready: {issued.get_state_display()}.", code="not_ready")
    hidden = evidence.hidden_from(by, version=issued.version)
    if issued.document and (named := [name for name in sorted(hidden) if veil.tells(issued.document, [name])]):
        raise Conflict(
            f"Technical file {issued.number} tells values of {named[0]}, which is masked for you. Read it on its page.",
            code="masked",
        )
    return blobs.read_bytes(issued.file_sha256, limit_bytes=MAX_BYTES)


def document(by: Actor, *, issued: TechnicalFile) -> Json:
    """Return an issue as the actor may read it; groups of columns that are masked for them are numbered.

    Raises
    ------
    Conflict
        When it is not ready.
    """
    require(by, Permission.MODEL_VIEW, issued.version.model.project)
    if not issued.document:
        raise Conflict(f"Technical file {issued.number} is not ready.", code="not_ready", field="to")
    return veil.paper(issued.document, evidence.hidden_from(by, version=issued.version))


def difference(by: Actor, *, old: TechnicalFile, new: TechnicalFile) -> Json:
    """Say what differs between two issues of a model, and why that may be a substantial modification.

    Returns
    -------
    dict
        ``from``, ``to``, ``changes`` as :func:`papers.difference` and ``substantial``, sentences, none for nothing.

    Raises
    ------
    Missing
        When they are of different models.
    Conflict
        When one of them is not ready.
    """
    require(by, Permission.MODEL_VIEW, new.version.model.project)
    if old.model_id != new.model_id:
        raise Missing("Both issues must be of one model.", field="to")
    before, after = (document(by, issued=each) for each in (old, new))
    return {
        "from": old.number, "to": new.number, "changes": papers.difference(before, after),
        "substantial": modification.reasons(before["about"]["facts"], after["about"]["facts"]),
    }  # fmt: skip


def work(issue_id: int, *, worker: str) -> bool:
    """Pack one issue. Returns whether this call did the work."""
    held = lease.claim(TechnicalFile.objects.all(), issue_id, worker=worker)
    if held is None:
        return False
    try:
        parts = _pack(held)
    except LeaseLost:
        return False
    except (DomainError, OSError) as error:
        text = error.message if isinstance(error, DomainError) else str(error)
        return lease.finish(TechnicalFile.objects.all(), held, state=WorkState.FAILED, failure=text)
    return _end(held, parts)


def sweep() -> int:
    """Give lost issues to another worker."""
    moved = lease.sweep(TechnicalFile.objects.all(), on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(TechnicalFile.objects.all(), task=TASK)


def _pack(held: Claim) -> dict[str, Any]:
    """Read the records, draw the files, store the zip."""
    row = TechnicalFile.objects.select_related("version__model__project", "issued_by").get(pk=held.pk)
    _beat(held, "Read the records", 0.1)
    # It says what its issuer may see, so that they can always read what they issued.
    hidden = evidence.hidden_from(Actor.for_user(row.issued_by), version=row.version)
    document = annex.document(load(row.version, hidden=hidden))
    readable = prints.readable(document, issue=row.number, kept_until=f"{row.kept_until:%Y-%m-%d}")
    _beat(held, "Draw the PDF", 0.3)
    files = {"technical-file.pdf": prints.pdf(readable), "technical-file.json": prints.plain(readable)}
    _beat(held, "Sign and store", 0.9)
    about = {
        "project": row.version.model.project.slug, "model": row.version.model.name, "version": row.version.number,
        "issue": row.number, "document_sha256": papers.digest(document),
    }  # fmt: skip
    stored = blobs.put_bytes(packs.pack(files, about, domain=filed.DOMAIN))
    filled, asked = papers.completeness(document)
    return {
        "document": document, "sha256": papers.digest(document), "file_sha256": stored.sha256,
        "size_bytes": stored.size_bytes, "filled": filled, "asked": asked,
    }  # fmt: skip


def _beat(held: Claim, phase: str, progress: float) -> None:
    if not lease.heartbeat(TechnicalFile.objects.all(), held, phase=phase, progress=progress):
        raise LeaseLost


def _end(held: Claim, parts: dict[str, Any]) -> bool:
    with transaction.atomic():
        if not lease.finish(TechnicalFile.objects.all(), held, state=WorkState.SUCCEEDED, **parts):
            return False
        row = TechnicalFile.objects.select_related("version__model__project", "issued_by").get(pk=held.pk)
        project = row.version.model.project
        events.record(
            Actor.system("technical file", project=project, on_behalf_of=row.issued_by), "technical_file.issued",
            project=project, target=row.version,
            data={
                "issue": row.number, "document": row.sha256, "file": row.file_sha256, "filled": row.filled,
                "asked": row.asked,
            },
        )  # fmt: skip
    return True
