"""What waits for one person, over all their projects: decisions, reviews, alerts, mentions, own failed jobs."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from experiments.models import TrainingJob
from mlportal.lib import markdown
from mlportal.lib.lease import WorkState
from mlportal.views import approvals
from mlportal.views.waiting_items import AT_MOST, Item, holding
from monitoring.models import Alert
from projects.actor import Actor
from projects.models import AccessRequest, Mention, Project, User
from projects.permissions import ROLE_LABELS, Permission, Role
from projects.services import service_accounts, targets

FAILED_FOR = timedelta(days=3)
KINDS = (
    "access_answer", "access_request", "alert", "escalated", "expiring", "job", "mention", "promotion", "second_look",
    "service_account", "suspended",
)  # fmt: skip


def for_person(actor: Actor, project: Project | None = None) -> list[Item]:
    """Everything, worst first and then newest first; a query for each kind of thing, whatever there is."""
    items = [
        *_alerts(actor, project), *approvals.items(actor, project), *_failed(actor, project),
        *_mentions(actor, project), *_access(actor, project), *_answers(actor, project),
        *_unanswered(actor, project),
    ]  # fmt: skip
    return sorted(items, key=lambda item: item.order)


def is_cut(items: Iterable[Item]) -> bool:
    """Whether there may be more of a kind than is listed."""
    return max(Counter(item.kind for item in items).values(), default=0) >= AT_MOST


def count(actor: Actor) -> int:
    """How many promotion requests, reviews, alerts and mentions wait for the person."""
    return (
        approvals.count(actor)
        + _open_mentions(actor, None).count()
        + _open_alerts(actor, None).count()
        + _open_access(actor, None).count()
        + _open_accounts(actor, None).count()
    )


def _open_alerts(actor: Actor, project: Project | None) -> QuerySet[Alert]:
    rows = Alert.objects.shown().filter(acknowledged_at=None, project__in=holding(actor, Permission.ALERT_HANDLE))
    return rows.filter(project=project) if project else rows


def _alerts(actor: Actor, project: Project | None) -> Iterable[Item]:
    for alert in _open_alerts(actor, project).select_related("project").worst_first()[:AT_MOST]:
        yield Item(
            state=alert.severity, label=alert.get_severity_display(), title=alert.title,
            detail=" · ".join(part for part in (alert.endpoint, alert.version, alert.detail) if part),
            href=f"/p/{alert.project.slug}/alerts/{alert.pk}/", action="Triage", project=alert.project,
            at=alert.changed_at, rank=alert.severity_rank, kind="alert", call=f"alerts/{alert.pk}/",
        )  # fmt: skip


def _open_mentions(actor: Actor, project: Project | None) -> QuerySet[Mention]:
    rows = Mention.objects.filter(user=actor.user, seen_at=None, comment__project__in=Project.objects.visible_to(actor))
    return rows.filter(comment__project=project) if project else rows


def _mentions(actor: Actor, project: Project | None) -> Iterable[Item]:
    rows = _open_mentions(actor, project).select_related("comment__project", "comment__author").order_by("-pk")
    found = list(rows[:AT_MOST])
    wanted: dict[str, list[int]] = defaultdict(list)
    for mention in found:
        wanted[mention.comment.target_type].append(mention.comment.target_id)
    things = {(type_, n): t for type_, ids in wanted.items() for n, t in targets.of(type_, ids).items()}
    named = {key: target.label for key, target in things.items() if target.is_for(actor)}
    for mention in found:
        comment = mention.comment
        thing = named.get((comment.target_type, comment.target_id), f"{comment.target_type} {comment.target_id}")
        yield Item(
            state="review", label="Mention", title=f"{comment.author.username} mentioned you on {thing}",
            detail=markdown.excerpt(comment.text, 120), href=f"/p/{comment.project.slug}/comments/{comment.pk}/",
            action="Read", project=comment.project, at=comment.created_at, rank=2, kind="mention",
            call=f"comments/{comment.pk}/",
        )  # fmt: skip


def _open_access(actor: Actor, project: Project | None) -> QuerySet[AccessRequest]:
    here = holding(actor, Permission.MEMBER_MANAGE)
    rows = AccessRequest.objects.waiting().filter(expires_at__gt=timezone.now(), project__in=here)
    return rows.filter(project=project) if project else rows


def _access(actor: Actor, project: Project | None) -> Iterable[Item]:
    for asked in _open_access(actor, project).select_related("project", "user").order_by("pk")[:AT_MOST]:
        place = asked.project
        if place is not None:
            yield Item(
                state="review", label="Access", title=f"{asked.user} asks to be {ROLE_LABELS[Role(asked.role)]}",
                detail=asked.reason[:120], href=f"/p/{place.slug}/settings/access/", action="Answer", project=place,
                at=asked.created_at, rank=1, oldest_first=True, kind="access_request",
                call=f"access-requests/{asked.pk}/answer/", ends_at=asked.expires_at,
            )  # fmt: skip


def _answers(actor: Actor, project: Project | None) -> Iterable[Item]:
    rows = AccessRequest.objects.filter(user=actor.user, seen_at=None, state__in=["granted", "declined"])
    rows = rows.filter(project=project) if project else rows
    for asked in rows.select_related("project").order_by("-pk")[:AT_MOST]:
        if asked.project is not None and asked.answered_at is not None:
            yield Item(
                state="review", label="Access", title=f"Your request for {asked.asked_for} is {asked.state}",
                detail=asked.answer[:120], href="/access/", action="Read", project=asked.project,
                at=asked.answered_at, rank=2, kind="access_answer", call="",
            )  # fmt: skip


def _open_accounts(actor: Actor, project: Project | None) -> QuerySet[User]:
    rows = service_accounts.without_owner().filter(service_project__in=holding(actor, Permission.MEMBER_MANAGE))
    return rows.filter(service_project=project) if project else rows


def _unanswered(actor: Actor, project: Project | None) -> Iterable[Item]:
    """Service accounts whose people have left."""
    for account in _open_accounts(actor, project).select_related("service_project").order_by("pk")[:AT_MOST]:
        place = account.service_project
        if place is not None:
            yield Item(
                state="review", label="Access", title=f"Name somebody: nobody answers for {account.username}",
                detail="Who did has left the project. Its tokens go on to work until you disable it.",
                href=f"/p/{place.slug}/settings/service-accounts/{account.pk}/", action="Open", project=place,
                at=account.created_at, rank=1, kind="service_account", call=f"service-accounts/{account.username}/",
            )  # fmt: skip


def _failed(actor: Actor, project: Project | None) -> Iterable[Item]:
    rows = TrainingJob.objects.visible_to(actor).filter(
        state__in=[WorkState.FAILED, WorkState.TIMED_OUT], created_by=actor.user,
        ended_at__gte=timezone.now() - FAILED_FOR,
    )  # fmt: skip
    rows = rows.filter(project=project) if project else rows
    for job in rows.select_related("project", "run").order_by("-pk")[:20]:
        cause = job.failure.partition("\n")[0][:140] or "no cause given"
        yield Item(
            state="failed", label="Failed", title=f"Job {job.pk} failed: {cause}",
            detail=job.run.name, href=f"/p/{job.project.slug}/jobs/{job.pk}/", action="Open", project=job.project,
            at=job.ended_at or job.created_at, rank=3, kind="job", call=f"jobs/{job.pk}/",
        )  # fmt: skip
