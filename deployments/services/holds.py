"""Rows of promotions under a lock: who may decide, whether the seal still holds, how a request closes.

Locks are always taken in the same order, environment before request before endpoint, so two decisions never wait
for each other.
"""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from deployments import gates
from deployments.models import Endpoint, Environment, Policy, PromotionRequest
from deployments.proof import seal
from mlportal.lib.errors import Conflict, DomainError, Forbidden
from projects.actor import Actor
from projects.models import ApiToken, Membership, User
from projects.permissions import GRANTS, Permission, Role, require
from projects.services import events

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
    "environment": "the environment",
    "endpoint": "what is live or the settings of the endpoint",
}


def lock_environment(environment: Environment) -> Environment:
    """Hold an environment, so that one promotion at a time moves what is live there."""
    return Environment.objects.select_for_update(of=("self",)).select_related("project").get(pk=environment.pk)


def lock(request: PromotionRequest) -> PromotionRequest:
    """Hold a request and its environment, and read both again."""
    lock_environment(request.environment)
    PromotionRequest.objects.select_for_update().get(pk=request.pk)
    joined = PromotionRequest.objects.with_subject().select_related(
        "version__run",
        "version__logged_model__created_by",
        "version__dataset_version__dataset",
        "version__created_by",
        "evaluation",
        "policy__proposed_by",
    )
    return joined.get(pk=request.pk)


def endpoint_of(request: PromotionRequest) -> Endpoint | None:
    """Return the endpoint a request would switch, locked; None before the first promotion."""
    rows = Endpoint.objects.select_for_update(of=("self",)).select_related("current_revision__version__model")
    return rows.filter(model=request.version.model_id, environment=request.environment_id).first()


def current_snapshot(request: PromotionRequest) -> str:
    """Write what an approver would be shown now."""
    policy = Policy.objects.get(environment=request.environment_id, state=Policy.State.ACTIVE)
    return gates.snapshot(request, policy=policy, endpoint=endpoint_of(request))


def check_decider(by: Actor, request: PromotionRequest) -> User:
    """Refuse whoever may not decide this request; every right is read again, on locked rows.

    Raises
    ------
    Forbidden
        Saying which rule stands in the way.
    """
    person = _fresh_person(by)
    Membership.objects.select_for_update().filter(project=request.project, user=person, valid_to=None).first()
    require(by, Permission.PROMOTION_DECIDE, request.project, fresh=True)
    if not request.policy.four_eyes:
        return person
    for other, why in involved(request):
        if same_person(person, other):
            raise Forbidden(f"You {why}, so another person has to decide.", code="four_eyes")
    if _gave_it_to_oneself(person, request):
        raise Forbidden(
            "You gave yourself the right to decide after this request was made. Another person has to decide.",
            code="four_eyes",
        )
    return person


def involved(request: PromotionRequest) -> list[tuple[User | None, str]]:
    """List who counts as requester, each with the reason."""
    version = request.version
    job = getattr(version.run, "job", None)
    return [
        (request.requested_by, "asked for this promotion"),
        (version.created_by, "registered this version"),
        (version.run.created_by if version.run else None, "trained this version"),
        (version.logged_model.created_by if version.logged_model else None, "logged the model of this version"),
        (job.created_by if job else None, "launched the training of this version"),
        *((item.created_by, "uploaded a file of this version") for item in _uploads(request)),
        (request.policy.proposed_by, "last changed the rules of this environment"),
    ]


def same_person(one: User | None, other: User | None) -> bool:
    """Tell whether two accounts are one person: the same row, or mail that reaches the same box."""
    if one is None or other is None:
        return False
    return one.pk == other.pk or (bool(one.email) and mailbox(one.email) == mailbox(other.email))


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
    at = request.decided_at or timezone.now()
    who = str(request.decided_by) if request.decided_by else ""
    facts = {"state": request.state, "by": who, "at": at.isoformat()}
    if request.state in (State.STALE, State.EXPIRED):
        word = request.get_state_display()
        text = f"Promotion {request.pk} is {word}. {request.closing_note} Ask again with a new request."
        return Conflict(text, code=f"request_{request.state}", got=facts)
    text = f"Promotion {request.pk} was {request.get_state_display()} by {who or 'the portal'} at {at:%H:%M:%S} UTC."
    return Conflict(text, code="already_decided", got=facts)


def close(
    request: PromotionRequest, state: str, *, actor: Actor, note: str = "", person: User | None = None, **data: Any
) -> None:
    """End a request that is held by a lock, and record it.

    Raises
    ------
    Conflict
        When it moved on in between, which a lock makes impossible; the database is asked all the same.
    """
    now = timezone.now()
    ended = PromotionRequest.objects.filter(pk=request.pk, state=request.state).update(
        state=state, decided_by=person, decided_at=now, closing_note=note
    )
    if not ended:
        raise closed_error(PromotionRequest.objects.with_subject().get(pk=request.pk))
    request.state, request.decided_by, request.decided_at, request.closing_note = state, person, now, note
    facts = {"version": str(request.version), "environment": request.environment.name, "note": note, **data}
    events.record(actor, f"promotion.{state}", project=request.project, target=request, data=facts)


def make_stale(
    *, environment: Environment, why: str, actor: Actor, model_id: int | None = None, spare: int | None = None
) -> None:
    """Close the open and the approved but unused requests that a change has overtaken."""
    for request in overtaken(environment, model_id=model_id, spare=spare):
        close(request, State.STALE, actor=actor, note=why)


def overtaken(environment: Environment, *, model_id: int | None, spare: int | None) -> QuerySet[PromotionRequest]:
    """Return the requests that depend on what is live and on the rules of an environment, locked."""
    rows = PromotionRequest.objects.select_for_update(of=("self",)).with_subject().filter(environment=environment)
    rows = rows.filter(state=State.PENDING) | rows.filter(state=State.APPROVED, revisions=None)
    if model_id is not None:
        rows = rows.filter(version__model=model_id)
    return rows.exclude(pk=spare).order_by("pk")


def expire(*, now: datetime, actor_of: Any) -> int:
    """Close every open request past its time. Returns how many."""
    from django.db import transaction

    closed = 0
    due = PromotionRequest.objects.pending().filter(expires_at__lte=now)
    for row in list(due.select_related("environment__project", "project")[:500]):
        with transaction.atomic():
            held = lock(row)
            if held.is_pending:
                close(held, State.EXPIRED, actor=actor_of(held.project), note="Nobody decided in time.")
                closed += 1
    return closed


def _fresh_person(by: Actor) -> User:
    if by.kind == "system" or by.user is None:
        raise Forbidden("Only a person decides on a promotion.", code="people_only")
    person = User.objects.select_for_update(no_key=True).get(pk=by.user.pk)
    if not person.is_active:
        raise Forbidden("This account is switched off.", code="inactive")
    if by.token is not None:
        alive = ApiToken.objects.filter(pk=by.token.pk, revoked_at=None, expires_at__gt=timezone.now()).first()
        if alive is None or Permission.PROMOTION_DECIDE not in by.scope_permissions() or "approve" not in alive.scopes:
            raise Forbidden("This token cannot decide: it lacks the scope approve or has ended.", code="token_scope")
    return person


def _gave_it_to_oneself(person: User, request: PromotionRequest) -> bool:
    """Tell whether every role that lets the person decide was given by themselves after the request was made."""
    roles = [role for role in Role if Permission.PROMOTION_DECIDE in GRANTS[role]]
    held = Membership.objects.filter(project=request.project, user=person, role__in=roles, valid_to=None)
    own = [row for row in held if row.granted_by_id == person.pk and row.valid_from > request.requested_at]
    return bool(own) and len(own) == len(held)


def _uploads(request: PromotionRequest) -> list[Any]:
    from experiments.models import Artifact

    version = request.version
    held = [
        Artifact.objects.filter(**{owner: pk}, sha256__in=[row["sha256"] for row in version.manifest])
        for owner, pk in (("run", version.run_id), ("logged_model", version.logged_model_id))
        if pk is not None
    ]
    return [item for rows in held for item in rows.select_related("created_by")]
