"""Environments of a project and the rules of each; a change is a new version that a second admin confirms."""

from django.db import transaction
from django.utils import timezone

from deployments.models import Environment, Policy
from deployments.models.policies import one_step
from deployments.proof import rules
from deployments.services import holds
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import Membership, Project
from projects.permissions import GRANTS, Permission, require
from projects.services import events

DEFAULT_ENVIRONMENTS = ("staging", "production")
MAX_APPROVALS = 10
MAX_EXPIRY_DAYS = 90


def ensure(project: Project) -> list[Environment]:
    """Return the environments of a project; the first use makes staging and production with the default rules."""
    for position, name in enumerate(DEFAULT_ENVIRONMENTS):
        place, _ = Environment.objects.get_or_create(project=project, name=name, defaults={"position": position})
        Policy.objects.get_or_create(
            environment=place,
            number=1,
            defaults={"gates": [gate.plain() for gate in rules.DEFAULT_GATES], "valid_from": timezone.now()},
        )
    return list(Environment.objects.in_project(project).order_by("position", "pk"))


def current(environment: Environment) -> Policy:
    """Return the policy in force."""
    return Policy.objects.get(environment=environment, state=Policy.State.ACTIVE)


def change(
    by: Actor,
    *,
    environment: Environment,
    min_approvals: int | None = None,
    expiry_days: int | None = None,
    four_eyes: bool | None = None,
    switch_at_approval: bool | None = None,
    gates: list[dict[str, object]] | None = None,
) -> Policy:
    """Propose new rules; what is not given stays.

    While four eyes are on and the project has another admin, the new version waits for that admin; otherwise it is
    in force at once. Rules that come into force make the open requests of the environment stale.

    Raises
    ------
    Invalid
        Naming the rule that is not allowed.
    Conflict
        When a proposal waits already, or nothing would change.
    """
    require(by, Permission.POLICY_EDIT, environment.project)
    with transaction.atomic():
        holds.lock_environment(environment)
        before = current(environment)
        if Policy.objects.filter(environment=environment, state=Policy.State.PROPOSED).exists():
            raise Conflict("New rules wait for a second admin. Confirm or drop them first.", code="proposal_open")
        policy = Policy(
            environment=environment,
            number=Policy.objects.filter(environment=environment).order_by("-number").first().number + 1,  # type: ignore[union-attr]
            state=Policy.State.PROPOSED,
            steps=_steps(min_approvals, before),
            expiry_days=_whole("expiry_days", expiry_days, before.expiry_days, MAX_EXPIRY_DAYS),
            four_eyes=_truth("four_eyes", four_eyes, before.four_eyes),
            switch_at_approval=_truth("switch_at_approval", switch_at_approval, before.switch_at_approval),
            gates=before.gates if gates is None else [gate.plain() for gate in rules.parse(gates)],
            proposed_by=by.user,
        )
        if _same(policy, before):
            raise Conflict("These are the rules in force already.", code="no_change")
        policy.save(force_insert=True)
        alone = not (before.four_eyes and _other_admins(environment.project, by))
        if alone:
            _enforce(by, policy, before)
        events.record(
            by, "policy.changed" if alone else "policy.proposed", project=environment.project, target=policy,
            data={**policy.plain(), "gates": policy.gates, "environment": environment.name, "single_person": alone},
        )  # fmt: skip
    return policy


def confirm(by: Actor, *, policy: Policy) -> Policy:
    """Put proposed rules into force, as a second admin.

    Raises
    ------
    Forbidden
        When the same person proposed them.
    Conflict
        When they are not waiting any more.
    """
    require(by, Permission.POLICY_EDIT, policy.environment.project)
    with transaction.atomic():
        holds.lock_environment(policy.environment)
        held = _proposed(policy)
        if holds.same_person(by.user, held.proposed_by):
            raise Forbidden("Another admin has to confirm rules that you proposed.", code="four_eyes")
        held.confirmed_by = by.user
        _enforce(by, held, current(held.environment))
        events.record(
            by, "policy.changed", project=held.environment.project, target=held,
            data={**held.plain(), "environment": held.environment.name, "single_person": False},
        )  # fmt: skip
    return held


def drop(by: Actor, *, policy: Policy) -> Policy:
    """Take a proposal back or refuse it."""
    require(by, Permission.POLICY_EDIT, policy.environment.project)
    with transaction.atomic():
        held = _proposed(policy)
        held.state = Policy.State.DROPPED
        held.save(update_fields=["state"])
        events.record(by, "policy.dropped", project=held.environment.project, target=held)
    return held


def _enforce(by: Actor, policy: Policy, before: Policy) -> None:
    now = timezone.now()
    Policy.objects.filter(pk=before.pk).update(state=Policy.State.REPLACED, valid_to=now)
    policy.state, policy.valid_from = Policy.State.ACTIVE, now
    policy.save(update_fields=["state", "valid_from", "confirmed_by"])
    place = policy.environment
    holds.make_stale(environment=place, why=f"The rules of {place.name} changed after the request.", actor=by)


def _proposed(policy: Policy) -> Policy:
    held = Policy.objects.select_for_update(of=("self",)).select_related("environment__project").get(pk=policy.pk)
    if held.state != Policy.State.PROPOSED:
        raise Conflict(f"This proposal is {held.get_state_display()}.", code="not_proposed", got=held.state)
    return held


def _same(new: Policy, old: Policy) -> bool:
    return {**new.plain(), "number": 0, "gates": new.gates} == {**old.plain(), "number": 0, "gates": old.gates}


def _other_admins(project: Project, by: Actor) -> bool:
    roles = [role for role, granted in GRANTS.items() if Permission.POLICY_EDIT in granted]
    members = Membership.objects.filter(project=project, role__in=roles, valid_to=None, user__is_active=True)
    return any(not holds.same_person(member.user, by.user) for member in members.select_related("user"))


def _steps(min_approvals: int | None, before: Policy) -> list[dict[str, object]]:
    needed = _whole("min_approvals", min_approvals, before.min_approvals, MAX_APPROVALS)
    return before.steps if needed == before.min_approvals else [{**one_step()[0], "needed": needed}]


def _whole(field: str, value: object, default: int, most: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise Invalid(f"{field} must be a whole number from 1 to {most}.", field=field, limit=most, got=str(value)[:50])
    return value


def _truth(field: str, value: object, default: bool) -> bool:  # noqa: FBT001  # a value from outside, not a switch
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Invalid(f"{field} must be true or false.", field=field, got=str(value)[:50])
    return value
