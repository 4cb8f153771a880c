"""Who may decide on a request: rights, roles of the step that is asked, four eyes, delegations, read on locked rows."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from deployments.models import Decision, Delegation, PromotionRequest
from deployments.proof import quorum
from deployments.services import holds
from mlportal.lib.errors import Conflict, Forbidden
from projects.actor import Actor
from projects.models import ApiToken, Membership, User
from projects.permissions import ROLE_LABELS, Permission, Role, require
from projects.services import factors, terms


@dataclass(frozen=True)
class Standing:
    """In what right a person decides: their own role, or that of somebody who handed theirs over."""

    person: User
    role: str
    delegation: Delegation | None

    @property
    def giver(self) -> User | None:
        """Who handed the right over, if somebody did."""
        return self.delegation.giver if self.delegation else None

    @property
    def people(self) -> list[User]:
        """Everybody whose right this decision uses up."""
        return [self.person, self.delegation.giver] if self.delegation else [self.person]


def check(by: Actor, request: PromotionRequest) -> Standing:
    """Refuse whoever may not decide this request now; every right is read again, on locked rows.

    Raises
    ------
    Forbidden
        Saying which rule stands in the way.
    Conflict
        When the person, or whoever they decide for, has decided on it before.
    """
    hold_rights(request, by)
    return judge(by, request)


def hold_rights(request: PromotionRequest, actor: Actor) -> None:
    """Lock what somebody's right rests on: whoever takes it away waits, and is in the audit log behind what it allowed.

    Roles, also those through groups, change under the lock of the project; then the accounts of the person and of
    whoever handed a right over, what they handed over, and the token.
    """
    if actor.user is None:
        return
    terms.lock([request.project_id])
    handed = Delegation.objects.in_project(request.project).active(timezone.now()).filter(taker=actor.user)
    people = [actor.user.pk, *handed.values_list("giver_id", flat=True)]
    list(User.objects.select_for_update(no_key=True).filter(pk__in=people).order_by("pk").values_list("pk"))
    list(handed.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    if actor.token is not None:
        list(ApiToken.objects.select_for_update(no_key=True).filter(pk=actor.token.pk).values_list("pk"))


def judge(by: Actor, request: PromotionRequest) -> Standing:
    """Say in what right the actor could decide this request now, or refuse as a decision would; takes no lock.

    Raises
    ------
    Forbidden, Conflict
        As :func:`check`, with what was asked for.
    """
    try:
        return _judged(by, request)
    except Forbidden as error:
        error.permission, error.on = Permission.PROMOTION_SIGN, f"promotion:{request.pk}"
        raise


def check_override(by: Actor, request: PromotionRequest) -> None:
    """Refuse whoever counts as requester and wants a gate overridden, whatever the policy says of four eyes.

    Raises
    ------
    Forbidden
        Saying why.
    """
    for other, why in involved(request):
        if holds.same_person(by.user, other):
            raise Forbidden(f"You {why}, so another person has to override a gate.", code="four_eyes")


def _judged(by: Actor, request: PromotionRequest) -> Standing:
    person = _fresh_person(by)
    require(by, Permission.PROMOTION_SIGN, request.project, fresh=True)
    if why := barred(person, request):
        raise Forbidden(f"You {why}, so another person has to decide.", code="four_eyes")
    standing = _standing(person, request)
    factors.require_for(person, standing.role)
    _refuse_second(standing, request)
    return standing


def progress(request: PromotionRequest) -> quorum.Progress:
    """Count the approvals of a request, step by step, in the order they were given."""
    return count(request, list(given(request)))


def given(request: PromotionRequest) -> Any:
    """Decisions of a request in their order, with everybody they name."""
    return with_people().filter(request=request).order_by("pk")


def with_people() -> Any:
    """Join decisions with everybody they name."""
    return Decision.objects.select_related("user", "delegation__giver")


def count(request: PromotionRequest, decisions: list[Decision]) -> quorum.Progress:
    """Count approvals among decisions that are loaded already."""
    approvals = [item for item in decisions if item.verdict == Decision.Verdict.APPROVE]
    return quorum.walk(quorum.read(request.policy.steps), [signature(item) for item in approvals])


def signature(item: Decision) -> quorum.Signature:
    """Return what a decision counts for; two accounts of one mail box are one person."""
    people = [item.user, item.delegation.giver] if item.delegation else [item.user]
    return quorum.Signature(keys(people), item.step, item.role)


def keys(people: list[User]) -> frozenset[str]:
    """Return what makes people distinct: the boxes their mail reaches."""
    return frozenset[str]().union(*(holds.persons(each) for each in people))


def asked(request: PromotionRequest) -> quorum.Step | None:
    """Return the step of the policy that is asked now, None when all have agreed."""
    steps = quorum.read(request.policy.steps)
    return steps[request.step] if request.step < len(steps) else None


def role_words(roles: tuple[str, ...] | list[str]) -> str:
    """Name roles as the pages do."""
    return " or ".join(ROLE_LABELS[Role(role)] for role in roles)


def involved(request: PromotionRequest) -> list[tuple[User | None, str]]:
    """List who counts as requester, each with the reason."""
    rules = [
        (request.policy.proposed_by, "last changed the rules of this environment"),
        (request.policy.confirmed_by, "put the rules of this environment into force"),
    ]
    return [*_interested(request), *(rules if request.policy.exclude_trainer else [])]


def _interested(request: PromotionRequest) -> list[tuple[User | None, str]]:
    """List who gains by a yes to this request: who asked, and unless the rules say otherwise who made the version."""
    asker = (request.requested_by, "asked for this promotion")
    if not request.policy.exclude_trainer:
        return [asker]
    version = request.version
    job = getattr(version.run, "job", None)
    return [
        asker,
        (version.created_by, "registered this version"),
        (version.run.created_by if version.run else None, "trained this version"),
        (version.logged_model.created_by if version.logged_model else None, "logged the model of this version"),
        (job.created_by if job else None, "launched the training of this version"),
        *((item.created_by, "uploaded a file of this version") for item in _uploads(request)),
    ]


def barred(person: User | None, request: PromotionRequest) -> str:
    """Say why a person counts as requester, or return an empty text."""
    if not request.policy.four_eyes:
        return ""
    return next((why for other, why in involved(request) if holds.same_person(person, other)), "")


def standing_of(person: User, request: PromotionRequest) -> Standing | None:
    """Return in what right a person could decide in the step that is asked now, None without one; takes no lock."""
    step = asked(request)
    if step is None:
        return None
    if role := _role_in(person, request, step, decider=person):
        return Standing(person, role, None)
    for handed in _delegations(person, request):
        role = _role_in(handed.giver, request, step, decider=person) if handed.giver.is_active else ""
        if role and not barred(handed.giver, request):
            return Standing(person, role, handed)
    return None


def _standing(person: User, request: PromotionRequest) -> Standing:
    found = standing_of(person, request)
    if found is not None:
        return found
    step = asked(request)
    if step and (row := _given_by_who_gains(person, request, set(step.roles), person)):
        raise Forbidden(f"{_giver_words(person, row)} Another person has to decide.", code="four_eyes")
    words = f"{step.name} asks for {role_words(step.roles)}" if step else "Nobody is asked any more"
    raise Forbidden(
        f"{words}; your role does not decide now.", code="not_asked", limit=list(step.roles) if step else []
    )


def _delegations(person: User, request: PromotionRequest) -> Any:
    rows = Delegation.objects.in_project(request.project).active(timezone.now()).filter(taker=person)
    return rows.with_people().order_by("pk")


def _role_in(person: User, request: PromotionRequest, step: quorum.Step, *, decider: User) -> str:
    """Return the person's role that the step asks for; one that somebody gave who gains by it does not count."""
    held = set(request.project.roles_of(person)) & set(step.roles)
    if not held or (request.policy.four_eyes and _given_by_who_gains(person, request, held, decider)):
        return ""
    return min(held)


def _refuse_second(standing: Standing, request: PromotionRequest) -> None:
    mine = keys(standing.people)
    for item in given(request):
        if mine & signature(item).people:
            name = f" as {item.user}" if item.user_id != standing.person.pk else ""
            raise Conflict(
                f"You have decided on this request already{name}, at {item.created_at:%H:%M:%S} UTC.",
                code="decided_before", got={"by": str(item.user), "at": item.created_at.isoformat()},
            )  # fmt: skip


def _fresh_person(by: Actor) -> User:
    if by.kind == "system" or by.user is None:
        raise Forbidden("Only a person decides on a promotion.", code="people_only")
    person = User.objects.get(pk=by.user.pk)
    if not person.is_active:
        raise Forbidden("This account is switched off.", code="inactive")
    if by.token is not None:
        alive = ApiToken.objects.filter(pk=by.token.pk, revoked_at=None, expires_at__gt=timezone.now()).first()
        if alive is None or Permission.PROMOTION_DECIDE not in by.scope_permissions() or "approve" not in alive.scopes:
            raise Forbidden("This token cannot decide: it lacks the scope approve or has ended.", code="token_scope")
    return person


def _given_by_who_gains(person: User, request: PromotionRequest, roles: set[str], decider: User) -> Membership | None:
    """Return the role that does not count, if every one that gives the right was given so after the request was made.

    Whoever uses a role gains by it, also when it was given to somebody who then handed the right back; so does who
    wants the version live.
    """
    rows = Membership.objects.open().filter(project=request.project, user=person, role__in=roles)
    held = list(rows.select_related("granted_by").order_by("pk"))
    late = [row for row in held if row.valid_from > request.requested_at]
    if not late or len(late) < len(held):
        return None
    gain = [person, decider, *(other for other, _ in _interested(request))]
    mine = [row for row in late if any(holds.same_person(row.granted_by, each) for each in gain)]
    return mine[-1] if len(mine) == len(late) else None


def _giver_words(person: User, row: Membership) -> str:
    if holds.same_person(row.granted_by, person):
        return "You gave yourself the right to decide after this request was made."
    return (
        f"{row.granted_by}, who has a part in this version or request, gave you the right to decide after it was made."
    )


def _uploads(request: PromotionRequest) -> list[Any]:
    from experiments.models import Artifact

    version = request.version
    held = [
        Artifact.objects.filter(**{owner: pk}, sha256__in=[row["sha256"] for row in version.manifest])
        for owner, pk in (("run", version.run_id), ("logged_model", version.logged_model_id))
        if pk is not None
    ]
    return [item for rows in held for item in rows.select_related("created_by")]
