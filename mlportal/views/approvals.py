"""What waits for one person about approvals: requests to decide, second looks, what is suspended or about to end."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

from django.db.models import Case, F, IntegerField, Prefetch, Q, QuerySet, Value, When
from django.utils import timezone

from deployments.models import (
    Condition,
    Delegation,
    EndpointRevision,
    GateResult,
    PromotionRequest,
    RegisteredModel,
    RollbackReview,
)
from mlportal.views.waiting_items import AT_MOST, Item, holding
from projects.actor import Actor
from projects.models import Membership, Project
from projects.permissions import Permission, Role

SOON = timedelta(hours=48)
ENDING = timedelta(days=7)
Risk = RegisteredModel.Risk
# A class that nobody has stated may be any: it comes before what is known to be minimal.
RISKS = {Risk.HIGH: 0, Risk.LIMITED: 1, Risk.NOT_STATED: 2, Risk.MINIMAL: 3}
BY_RISK = Case(
    *(When(version__model__risk_class=word, then=Value(place)) for word, place in RISKS.items()), default=Value(2),
    output_field=IntegerField(),
)  # fmt: skip


def items(actor: Actor, project: Project | None) -> Iterable[Item]:
    """Everything about approvals; a query or two for each kind of thing, whatever there is."""
    now = timezone.now()
    yield from _requests(actor, project, now)
    yield from _looks(actor, project)
    yield from _suspended(actor, project)
    yield from _escalated(actor, project)
    yield from _unused(actor, project, now)
    yield from _ending(actor, project, now)


def count(actor: Actor) -> int:
    """How many requests and second looks wait for the person: two queries."""
    return requests(actor, None).count() + looks(actor, None).count()


def requests(actor: Actor, project: Project | None) -> QuerySet[PromotionRequest]:
    """Requests whose present step asks for a role that the person holds, or that was handed to them."""
    asked = Q(pk=None)
    for role in Role:
        here = Membership.objects.open().filter(user=actor.user, role=role, project__archived_at=None)
        handed = Delegation.objects.active(timezone.now()).filter(
            taker=actor.user, giver__is_active=True, giver__memberships__project=F("project"),
            giver__memberships__in=Membership.objects.open().filter(role=role),
        )  # fmt: skip
        places = Q(project__in=here.values("project")) | Q(project__in=handed.values("project"))
        asked |= Q(asked_roles__contains=f",{role.value},") & places
    me = actor.user
    involved = Q(requested_by=me) | Q(policy__exclude_trainer=True) & (
        Q(version__created_by=me)
        | Q(version__run__created_by=me)
        | Q(policy__proposed_by=me)
        | Q(policy__confirmed_by=me)
    )
    rows = PromotionRequest.objects.pending().filter(asked).exclude(Q(policy__four_eyes=True) & involved)
    rows = rows.exclude(decisions__user=me).exclude(decisions__delegation__giver=me)
    return rows.filter(project=project) if project else rows


def looks(actor: Actor, project: Project | None) -> QuerySet[RollbackReview]:
    """Second looks that are open, where the person may approve and did not act."""
    rows = RollbackReview.objects.filter(
        closed_at=None, revision__endpoint__project__in=holding(actor, Permission.PROMOTION_DECIDE)
    ).exclude(revision__created_by=actor.user)
    return rows.filter(revision__endpoint__project=project) if project else rows


def _requests(actor: Actor, project: Project | None, now: datetime) -> Iterable[Item]:
    """By risk class of the model; within one those with failed gates or little time first, then the oldest."""
    failed = Prefetch(
        "gate_results", GateResult.objects.filter(phase=GateResult.Phase.REQUEST, passed=False), to_attr="failed"
    )
    for request in requests(actor, project).in_brief().prefetch_related(failed).order_by(BY_RISK, "pk")[:AT_MOST]:
        version, failures, risk = request.version, len(request.failed), Risk(request.version.model.risk_class)
        soon = request.expires_at - now <= SOON
        facts = [f"{request.requested_by} asked: {request.reason[:120]}"]
        if failures:
            facts.insert(0, f"{failures} gate{'s' if failures > 1 else ''} failed")
        if soon:
            facts.insert(0, f"expires {request.expires_at:%Y-%m-%d %H:%M} UTC")
        if risk in (Risk.HIGH, Risk.LIMITED):
            facts.insert(0, f"{risk.label} risk")
        yield Item(
            state="expiring" if soon else "review", label="Review",
            title=f"Promote {version} to {request.environment.name}", detail=" · ".join(facts),
            href=f"/p/{request.project.slug}/promotions/{request.pk}/", action="Review", project=request.project,
            at=request.requested_at, rank=1, risk=2 * RISKS[risk] + (0 if failures or soon else 1), oldest_first=True,
            kind="promotion", call=f"promotions/{request.pk}/decide/", risk_class=risk.value or "not_stated",
            ends_at=request.expires_at,
        )  # fmt: skip


def _looks(actor: Actor, project: Project | None) -> Iterable[Item]:
    rows = looks(actor, project).select_related("revision__endpoint__project", "revision__created_by")
    for review in rows.order_by("-pk")[:AT_MOST]:
        revision, endpoint = review.revision, review.revision.endpoint
        forced = revision.kind == EndpointRevision.Kind.BREAK_GLASS
        anchor = f"#look-{revision.number}" if forced else ""
        yield Item(
            state="break-glass" if forced else "review", label="Second look" if forced else "Review",
            title=f"{'Break-glass on' if forced else 'Rollback of'} {endpoint.name}",
            detail=f"{revision.created_by}: {revision.reason[:120]}",
            href=f"/p/{endpoint.project.slug}/deployments/{endpoint.name}/{anchor}",
            action="Confirm or roll back" if forced else "Review", project=endpoint.project, at=revision.created_at,
            rank=0 if forced else 2, kind="second_look",
            call=f"endpoints/{quote(endpoint.name, safe='')}/reviews/{revision.number}/close/",
        )  # fmt: skip


def _suspended(actor: Actor, project: Project | None) -> Iterable[Item]:
    mine = Q(project__in=holding(actor, Permission.PROMOTION_DECIDE)) | Q(
        project__in=holding(actor, Permission.ENDPOINT_DEPLOY)
    )
    rows = PromotionRequest.objects.suspended().filter(mine)
    rows = rows.filter(project=project) if project else rows
    for request in rows.in_brief().order_by("-ended_at")[:AT_MOST]:
        yield _about(request, "suspended", "Suspended", request.closing_note, rank=0, kind="suspended")


def _escalated(actor: Actor, project: Project | None) -> Iterable[Item]:
    """Requests nobody decided in time, for those who can find somebody: project admins."""
    rows = PromotionRequest.objects.pending().filter(
        escalated_at__isnull=False, project__in=holding(actor, Permission.POLICY_EDIT)
    )
    rows = rows.filter(project=project) if project else rows
    for request in rows.in_brief().order_by("pk")[:AT_MOST]:
        words = f"Nobody decided within {request.policy.timeout_hours} h. Find somebody who may sign."
        yield _about(
            request, "warning", "Escalated", words, rank=1, kind="escalated", ends_at=request.expires_at
        )  # fmt: skip


def _unused(actor: Actor, project: Project | None, now: datetime) -> Iterable[Item]:
    """Approvals that lapse soon, for those who deploy."""
    rows = PromotionRequest.objects.unused().filter(project__in=holding(actor, Permission.ENDPOINT_DEPLOY))
    rows = rows.filter(project=project) if project else rows
    for request in rows.in_brief().order_by("decided_at")[:AT_MOST]:
        assert request.decided_at is not None  # the database asks for it
        ends = request.decided_at + request.policy.approval_life
        if ends - now <= SOON:
            words = f"Approved, not deployed; lapses {ends:%Y-%m-%d %H:%M} UTC."
            yield _about(request, "expiring", "Expiring", words, rank=2, kind="expiring", ends_at=ends)


def _ending(actor: Actor, project: Project | None, now: datetime) -> Iterable[Item]:
    """Live approvals whose date is near, for those who gave them and those who deploy."""
    rows = Condition.objects.filter(
        kind=Condition.Kind.UNTIL, state=Condition.State.WATCHED, until__lte=now + ENDING,
        request__state=PromotionRequest.State.APPROVED,
    ).filter(
        Q(decision__user=actor.user) | Q(request__project__in=holding(actor, Permission.ENDPOINT_DEPLOY))
    ).select_related("request__version__model", "request__environment", "request__project")  # fmt: skip
    rows = rows.filter(request__project__in=Project.objects.visible_to(actor))
    rows = rows.filter(request__project=project) if project else rows
    for item in rows.order_by("until")[:AT_MOST]:
        words = f"The approval holds {item.words}, then: {item.get_action_display()}."
        yield _about(item.request, "expiring", "Expiring", words, rank=2, kind="expiring", ends_at=item.until)


def _about(
    request: PromotionRequest, state: str, label: str, words: str, *, rank: int, kind: str,
    ends_at: datetime | None = None,
) -> Item:  # fmt: skip
    return Item(
        state=state, label=label, title=f"{request.version} in {request.environment.name}", detail=words[:200],
        href=f"/p/{request.project.slug}/promotions/{request.pk}/", action="Open", project=request.project,
        at=request.ended_at or request.decided_at or request.requested_at, rank=rank, kind=kind,
        call=f"promotions/{request.pk}/", risk_class=request.version.model.risk_class or "not_stated", ends_at=ends_at,
    )  # fmt: skip
