"""Remove a whole project for good: asked for, hidden for its days, then taken away table by table.

Approvals, manifests and issued papers are written into one signed zip first, which is kept for years. The row of the
project stays without its name: the audit log refers to it and verifies as before. Every step is a transaction of
bounded size, so a killed worker loses nothing and the next round goes on.
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import AutoField, BigAutoField, Max
from django.utils import timezone

from deployments.models import Endpoint, PaperRelease, PromotionRequest, Reproduction, TechnicalFile
from deployments.proof import filed
from deployments.services import packs
from experiments.models import TrainingJob
from mlportal.lib import blobs, lease, names
from mlportal.lib.errors import Conflict, Invalid, Missing
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import ApiToken, ObjectState, Project, ProjectRemoval, User
from projects.permissions import Permission, require
from projects.services import belongings, events, legal_holds, stepup
from projects.services.belongings import Kind

DAYS = 30
BATCH = 5_000
MOST_BATCHES = 400
GONE = "Removed project"
NOTHING = ""
# What the zip holds: who allowed what by which rules, and what was allowed.
RECORDS = (
    "deployments.RegisteredModel", "deployments.RegisteredModelTag", "deployments.ModelVersion",
    "deployments.ModelVersionTag", "deployments.Alias", "deployments.Environment", "deployments.EnvironmentMove",
    "deployments.Policy", "deployments.Backtest", "deployments.PromotionRequest", "deployments.Evaluation",
    "deployments.GateResult", "deployments.GateOverride", "deployments.Decision", "deployments.Delegation",
    "deployments.Condition", "deployments.ThresholdChoice", "deployments.KeptCard", "deployments.PaperVersion",
    "deployments.TechnicalFile", "deployments.Reproduction", "deployments.Endpoint", "deployments.EndpointRevision",
    "deployments.EndpointInterval", "deployments.RollbackReview", "deployments.Rollout", "deployments.Trial",
    "projects.LegalHold", "projects.Membership", "projects.GroupGrant", "experiments.FolderRole",
)  # fmt: skip


def tally(by: Actor, *, project: Project) -> dict[str, int]:
    """How many rows of each kind would go now; nothing is changed."""
    require(by, Permission.SITE_ADMIN, None)
    counts = {_word(kind): kind.rows(project).count() for kind in belongings.kinds()}
    return dict(sorted((word, count) for word, count in counts.items() if count))


def kept_back(by: Actor, *, project: Project) -> str:
    """What keeps a project from being removed, in words; empty when nothing does."""
    require(by, Permission.SITE_ADMIN, None)
    return _kept_back(project)


def ask(by: Actor, *, project: Project, confirm: str, reason: str) -> ProjectRemoval:
    """Hide a project from everybody and remove it in 30 days, unless that is called off.

    Raises
    ------
    Invalid
        When ``confirm`` is not the address of the project, or without a reason of 10 to 1,000 characters.
    Conflict
        Naming what needs it: a legal hold, an endpoint that answers, an open request, a job; or asked for already.
    """
    require(by, Permission.SITE_ADMIN, None)
    stepup.require_recent(by)
    why = names.reason(reason, limit=1_000)
    if confirm.strip() != project.slug:
        raise Invalid(f"Type {project.slug} to confirm.", field="confirm", got=confirm[:60])
    if by.user is None:
        raise Invalid("A removal needs a person.", field="by")
    now = timezone.now()
    with transaction.atomic():
        held = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        _refuse(held)
        if ProjectRemoval.objects.filter(project=held, called_off_at=None).exists():
            raise Conflict("The removal of this project was asked for already.", code="removal_asked")
        made = ProjectRemoval.objects.create(
            project=held, name=held.name, reason=why, asked_by=by.user, due_at=now + timedelta(days=DAYS)
        )
        Project.objects.filter(pk=held.pk, archived_at=None).update(archived_at=now)
        data = {"due_at": made.due_at.isoformat(timespec="seconds"), "reason": why}
        events.record(by, "project.removal_asked", project=held, target=made, data=data)
    return made


def call_off(by: Actor, *, removal: ProjectRemoval) -> ProjectRemoval:
    """Keep the project after all: everybody sees it again.

    Raises
    ------
    Conflict
        When it has begun, is done or was called off.
    """
    require(by, Permission.SITE_ADMIN, None)
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=removal.project_id)
        rows = ProjectRemoval.objects.waiting().filter(pk=removal.pk, begun_at=None)
        if not rows.update(called_off_at=timezone.now(), called_off_by=by.user):
            raise Conflict("This removal has begun, or was called off.", code="removal_over")
        Project.objects.filter(pk=project.pk).update(archived_at=None)
        removal.refresh_from_db()
        events.record(by, "project.removal_called_off", project=project, target=removal)
    return removal


def record(by: Actor, *, removal: ProjectRemoval) -> bytes:
    """Return the zip of approvals, manifests and issued papers; who took it is in the audit log.

    Raises
    ------
    Missing
        While there is none, or when its years are over.
    """
    require(by, Permission.SITE_ADMIN, None)
    if not removal.record_sha256:
        raise Missing("There is no record of this project: it is not removed yet, or its years are over.")
    content = blobs.read_bytes(removal.record_sha256, limit_bytes=2**31)
    with transaction.atomic():
        told = {"sha256": removal.record_sha256}
        events.record(by, "project.record_exported", project=removal.project, target=removal, data=told)
    return content


def work(*, now: datetime | None = None) -> int:
    """Go on with every removal whose days are over, and forget records whose years are. Returns how many rows went."""
    at = now or timezone.now()
    ProjectRemoval.objects.filter(record_until__lte=at).exclude(record_sha256="").update(record_sha256="")
    due = ProjectRemoval.objects.waiting().filter(due_at__lte=at).select_related("project")
    return sum(_go_on(removal, at) for removal in due.order_by("pk"))


def _go_on(removal: ProjectRemoval, now: datetime) -> int:
    if why := _kept_back(removal.project):
        ProjectRemoval.objects.filter(pk=removal.pk).update(waits_for=why[:300])
        return 0
    if removal.begun_at is None and not _begin(removal, now):
        return 0
    before = removal.total
    free, tied = belongings.apart_from_each_other()
    left = MOST_BATCHES
    for kind in free:
        while left and _batch(removal, kind):
            left -= 1
    if left:
        _end(removal, tied, now)
    return removal.total - before


def _begin(removal: ProjectRemoval, now: datetime) -> bool:
    """Write the record and let the issued papers go; from here on it cannot be called off."""
    project = removal.project
    blob = blobs.put_bytes(_record(removal, now))
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        rows = ProjectRemoval.objects.waiting().filter(pk=removal.pk, begun_at=None)
        until = _kept_until(project, now)
        if not rows.update(begun_at=now, record_sha256=blob.sha256, record_until=until, waits_for=""):
            return False
        PaperRelease.objects.bulk_create(_releases(project), ignore_conflicts=True)
        removal.refresh_from_db()
        told = {"record_sha256": blob.sha256, "record_until": until.isoformat(timespec="seconds")}
        events.record(_system(project), "project.removal_begun", project=project, target=removal, data=told)
    return True


def _batch(removal: ProjectRemoval, kind: Kind) -> bool:
    """Take away some rows of a table to which nothing refers any more. Returns whether there were any."""
    with transaction.atomic():
        if legal_holds.stands(removal.project, alone=True):
            return False
        keys = list(kind.rows(removal.project).order_by("pk").values_list("pk", flat=True)[:BATCH])
        if keys:
            _take(removal, kind, kind.model._base_manager.filter(pk__in=keys))
            removal.save(update_fields=["rows"])
    return bool(keys)


def _end(removal: ProjectRemoval, tied: list[Kind], now: datetime) -> None:
    """Take away what refers to each other, and the name of the project."""
    project = removal.project
    with transaction.atomic():
        held = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        _refuse(held)
        for kind in tied:
            _take(removal, kind, kind.rows(held))
        _close_releases()
        User.objects.filter(default_project=held).update(default_project=None)
        robots = User.objects.filter(service_project=held)
        ApiToken.objects.filter(user__in=robots).delete()
        robots.update(is_active=False)
        ObjectState.objects.filter(target_type="project", target_id=held.pk).delete()
        Project.objects.filter(pk=held.pk).update(name=GONE, description="", listed=False, archived_at=now)
        removal.done_at = now
        removal.save(update_fields=["rows", "done_at"])
        told = {"rows": removal.rows, "total": removal.total, "record_sha256": removal.record_sha256}
        events.record(_system(held), "project.removed", project=held, target=removal, data=told)


def _take(removal: ProjectRemoval, kind: Kind, rows: Any) -> None:
    """Delete rows with what the audit log remembers of them, and count them."""
    if isinstance(kind.model._meta.pk, AutoField | BigAutoField):
        known = ObjectState.objects.filter(target_type=kind.model._meta.model_name)
        known.filter(target_id__in=rows.values("pk")).delete()
    gone = rows.order_by()._raw_delete(rows.db)  # the order of the tables stands in for cascades
    if gone:
        removal.rows[_word(kind)] = removal.rows.get(_word(kind), 0) + int(gone)


def _kept_back(project: Project) -> str:
    if project.legal_holds.standing().exists():
        return f"it is {legal_holds.WORDS}"
    live = Endpoint.objects.filter(project=project, enabled=True, current_revision__isnull=False).order_by("pk").first()
    if live is not None:
        return f"the endpoint {live.name} answers requests; switch it off first"
    asked = PromotionRequest.objects.pending().filter(project=project).order_by("pk").first()
    if asked is not None:
        return f"promotion request {asked.pk} is open"
    busy = [WorkState.QUEUED, *lease.ACTIVE]
    job = TrainingJob.objects.filter(project=project, state__in=busy).order_by("pk").first()
    return f"job {job.pk} is not over" if job is not None else NOTHING


def _refuse(project: Project) -> None:
    if why := _kept_back(project):
        held = legal_holds.WORDS in why
        raise Conflict(f"The project cannot be removed: {why}.", code=legal_holds.CODE if held else "in_use", got=why)


def _releases(project: Project) -> list[PaperRelease]:
    files = TechnicalFile.objects.filter(model__project=project).values_list("pk", flat=True)
    papers = Reproduction.objects.filter(version__model__project=project).values_list("pk", flat=True)
    file, certificate = PaperRelease.Kind.TECHNICAL_FILE, PaperRelease.Kind.CERTIFICATE
    return [PaperRelease(kind=file, paper=pk) for pk in files] + [
        PaperRelease(kind=certificate, paper=pk) for pk in papers
    ]


def _close_releases() -> None:
    """Forget the releases of papers that are gone, lest a later paper gets one of their numbers."""
    for kind, model in (
        (PaperRelease.Kind.TECHNICAL_FILE, TechnicalFile),
        (PaperRelease.Kind.CERTIFICATE, Reproduction),
    ):
        PaperRelease.objects.filter(kind=kind).exclude(paper__in=model._base_manager.values("pk")).delete()


def _kept_until(project: Project, now: datetime) -> datetime:
    """The days of the installation, and for issued technical files the years that the law asks for."""
    newest = TechnicalFile.objects.filter(model__project=project, state="succeeded").aggregate(at=Max("asked_at"))["at"]
    floor = now + timedelta(days=settings.RECORD_DAYS)
    return max(floor, TechnicalFile(asked_at=newest).kept_until) if newest else floor


def _record(removal: ProjectRemoval, now: datetime) -> bytes:
    project = removal.project
    files = {}
    counts: Counter[str] = Counter()
    for kind in belongings.kinds():
        if kind.model._meta.label in RECORDS:
            lines = list(_lines(kind, project))
            counts[_word(kind)] = len(lines)
            files[f"records/{kind.model._meta.model_name}.jsonl"] = b"".join(lines)
    for issued in TechnicalFile.objects.filter(model__project=project).exclude(file_sha256="").order_by("pk"):
        content = blobs.read_bytes(issued.file_sha256, limit_bytes=2**31)
        files[f"technical-files/{issued.model_id}-{issued.number}.zip"] = content
    about = {
        "project": project.slug, "name": removal.name, "number": project.pk, "made_at": now.isoformat(),
        "reason": removal.reason, "rows": dict(counts),
    }  # fmt: skip
    return packs.pack(files, about, domain=filed.RECORD)


def _lines(kind: Kind, project: Project) -> Iterator[bytes]:
    for row in kind.rows(project).order_by("pk").values().iterator(chunk_size=500):
        yield json.dumps(row, default=str, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _word(kind: Kind) -> str:
    return str(kind.model._meta.label)


def _system(project: Project) -> Actor:
    return Actor.system("removal", project=project)
