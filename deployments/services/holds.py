"""Rows of promotions under a lock: whether the seal still holds, how a request closes.

Locks are always taken in the same order, environment before request before endpoint before what watches it, and all of
them before the first event, so that no two changes ever wait for each other: see ``docs/explanation/locks.md``.
"""

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from deployments import gates
from deployments.models import Condition, Endpoint, Environment, ModelVersion, Policy, PromotionRequest
from deployments.proof import seal
from mlportal.lib.errors import Conflict, DomainError
from monitoring.services import locks
from projects.actor import Actor
from projects.models import Project, User
from projects.services import events, service_accounts

State = PromotionRequest.State
PART_WORDS = {
    "model": "the model",
    "version": "the version",
    "manifest_sha256": "the files of the version",
    "dataset_sha256": "the dataset",
    "metrics": "the metrics",
    "gates": "the gates",
    "results": "the gate results",
    "policy": "the rules of the environment",
    "card": "the model card",
    "environment": "the environment",
    "endpoint": "what is live or the settings of the endpoint",
    "use": "the purpose or the risk class of the model",
}


def lock_environment(environment: Environment) -> Environment:
    """Hold an environment, so that one promotion at a time moves what is live there."""
    rows = Environment.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    return rows.get(pk=environment.pk)


def lock_environments(project: Project) -> list[Environment]:
    """Hold every environment of a project and return them in their order."""
    rows = Environment.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    held = list(rows.in_project(project).order_by("pk"))
    return sorted(held, key=lambda place: (place.position, place.pk))


def lock(request: PromotionRequest) -> PromotionRequest:
    """Hold a request and its environment, and read both again."""
    lock_environment(request.environment)
    PromotionRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
    # In three queries and without the LIMIT of get(): at each step of each request, PostgreSQL weighs the orders of
    # twenty joined tables for 9 ms, and with a LIMIT for 40 ms; these three together take it 3 ms.
    version = ModelVersion.objects.select_related(
        "model__project", "run", "logged_model__created_by", "dataset_version__dataset", "created_by"
    )
    policy = Policy.objects.select_related("proposed_by", "confirmed_by")
    joined = PromotionRequest.objects.select_related(
        "project", "environment__project", "requested_by", "decided_by", "ended_by", "baseline", "evaluation"
    ).prefetch_related(Prefetch("version", version), Prefetch("policy", policy))
    return joined.in_bulk([request.pk])[request.pk]


def endpoint_of(request: PromotionRequest) -> Endpoint | None:
    """Return the endpoint a request would switch, locked; None before the first promotion."""
    rows = Endpoint.objects.select_for_update(of=("self",), no_key=True).select_related(
        "current_revision__version__model"
    )
    return rows.filter(model=request.version.model_id, environment=request.environment_id).first()


def lock_watch(project: Project, model_id: int, environment_id: int, name: str) -> None:
    """Hold what watches an endpoint, before the first event of a change that may move it.

    Parameters
    ----------
    name
        Of the endpoint, which need not exist yet.
    """
    bound = Condition.objects.filter(request__version__model=model_id, request__environment=environment_id)
    rules = [pk for pk in bound.values_list("rule_id", flat=True) if pk is not None]
    locks.hold_endpoint(project, name, rules=rules)


def current_snapshot(request: PromotionRequest) -> str:
    """Write what an approver would be shown now."""
    policy = Policy.objects.get(environment=request.environment_id, state=Policy.State.ACTIVE)
    return gates.snapshot(request, policy=policy, endpoint=endpoint_of(request))


def same_person(one: User | None, other: User | None) -> bool:
    """Tell whether two accounts are one person: the same row, or mail that reaches the same box.

    An address that somebody typed and no administrator confirmed does not make them another person: the one before it
    counts beside it. A service account is each person who answered for it or minted a token of it.
    """
    if one is None or other is None:
        return False
    return bool(persons(one) & persons(other))


def persons(user: User) -> frozenset[str]:
    """Return what makes an account one person with another: the boxes that mail of those behind it reaches."""
    return frozenset(box for each in service_accounts.behind(user) for box in _boxes(each))


def _boxes(user: User) -> list[str]:
    known = [mailbox(address) for address in (user.email, user.email_before) if address]
    return known or [f"#{user.pk}"]


def mailbox(email: str) -> str:
    """Fold an address to the box it reaches: case and the part after a plus do not count."""
    local, _, host = email.strip().casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{host}"


def refusal(by: Actor, request: PromotionRequest) -> DomainError | None:
    """Return why no decision is possible any more; an expired or stale request is closed on the way.

    Raises
    ------
    Conflict
        At once when it is closed already, with who and when.
    """
    if not request.is_pending:
        raise closed_error(request)
    if request.expires_at <= timezone.now():
        close(request, State.EXPIRED, actor=by, note="Nobody decided in time.")
        return closed_error(request)
    if request.seal and (changed := seal.changed(request.snapshot, current_snapshot(request))):
        words = ", ".join(PART_WORDS[name] for name in changed)
        close(request, State.STALE, actor=by, note=f"Changed after the request: {words}.")
        return closed_error(request)
    return None


def closed_error(request: PromotionRequest) -> Conflict:
    """Say how a request closed, by whom and when."""
    at = request.ended_at or request.decided_at or timezone.now()
    person = request.ended_by if request.ended_at else request.decided_by or request.ended_by
    who = str(person) if person else ""
    facts = {"state": request.state, "by": who, "at": at.isoformat()}
    if request.state in (State.STALE, State.EXPIRED, State.LAPSED, State.SUSPENDED):
        word = request.get_state_display()
        cause = f" by what {who} did" if request.state == State.STALE and who else ""
        text = f"Promotion {request.pk} is {word} since {at:%H:%M:%S} UTC{cause}. {request.closing_note} Ask again."
        return Conflict(text, code=f"request_{request.state}", got=facts)
    text = f"Promotion {request.pk} was {request.get_state_display()} by {who or 'the portal'} at {at:%H:%M:%S} UTC."
    return Conflict(text, code="already_decided", got=facts)


def close(
    request: PromotionRequest,
    state: str,
    *,
    actor: Actor,
    note: str = "",
    person: User | None = None,
    giver: User | None = None,
    cause: User | None = None,
    **data: Any,
) -> None:
    """End a request that is held by a lock, and record it; of an approval, who gave it and when stays.

    Parameters
    ----------
    person
        Who decided.
    giver
        Whose right the person used.
    cause
        Whose act overtook the request.

    Raises
    ------
    Conflict
        When it moved on in between, which a lock makes impossible; the database is asked all the same.
    """
    if request.state == State.APPROVED:
        end_approval(request, state, actor=actor, note=note, cause=cause, **data)
        return
    now = timezone.now()
    ended = PromotionRequest.objects.filter(pk=request.pk, state=request.state).update(
        state=state, decided_by=person, decided_at=now, closing_note=note, ended_by=cause
    )
    if not ended:
        raise closed_error(PromotionRequest.objects.with_subject().get(pk=request.pk))
    request.state, request.decided_by, request.decided_at, request.closing_note = state, person, now, note
    request.ended_by = cause
    facts = {"version": str(request.version), "environment": request.environment.name, "note": note, **data}
    events.record(actor, f"promotion.{state}", project=request.project, target=request, data=facts, on_behalf_of=giver)


def end_approval(
    request: PromotionRequest, state: str, *, actor: Actor, note: str, cause: User | None = None, **data: Any
) -> None:
    """Let an approval lapse or suspend it; who gave it and when stays. The request is held by a lock.

    Raises
    ------
    Conflict
        When it is no approval any more.
    """
    now = timezone.now()
    ended = PromotionRequest.objects.filter(pk=request.pk, state=State.APPROVED).update(
        state=state, ended_at=now, ended_by=cause, closing_note=note
    )
    if not ended:
        raise closed_error(PromotionRequest.objects.with_subject().get(pk=request.pk))
    request.state, request.ended_at, request.ended_by, request.closing_note = state, now, cause, note
    facts = {"version": str(request.version), "environment": request.environment.name, "note": note, **data}
    events.record(actor, f"promotion.{state}", project=request.project, target=request, data=facts)


def lapse(request: PromotionRequest, *, actor: Actor) -> None:
    """Let an approval lapse that nobody used in time."""
    end_approval(request, State.LAPSED, actor=actor, note=f"Not used within {request.policy.approval_days} days.")


def make_stale(
    *, environment: Environment, why: str, actor: Actor, model_id: int | None = None, spare: int | None = None
) -> None:
    """Close the open and the approved but unused requests that a change has overtaken."""
    for request in overtaken(environment, model_id=model_id, spare=spare):
        close(request, State.STALE, actor=actor, note=why, cause=actor.user)


def overtaken(environment: Environment, *, model_id: int | None, spare: int | None) -> QuerySet[PromotionRequest]:
    """Return the requests that depend on what is live and on the rules of an environment, locked."""
    rows = (
        PromotionRequest.objects.select_for_update(of=("self",), no_key=True)
        .with_subject()
        .filter(environment=environment)
    )
    rows = rows.filter(state=State.PENDING) | rows.filter(state=State.APPROVED, revisions=None)
    if model_id is not None:
        rows = rows.filter(version__model=model_id)
    return rows.exclude(pk=spare).order_by("pk")
