"""Environments of a project and the rules of each; a change is a new version that a second admin confirms."""

import copy
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from deployments.models import Environment, EnvironmentMove, Policy, PromotionRequest
from deployments.proof import measured, rules, rules_change, told, veil
from deployments.proof.rules_change import Change
from deployments.services import holds, policy_rules
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import Membership, Project
from projects.permissions import GRANTS, Permission, require
from projects.services import events, marks, stepup

DEFAULT_ENVIRONMENTS = ("staging", "production")


def ensure(project: Project) -> list[Environment]:
    """Return the environments of a project that take promotions.

    The first use makes staging and production with the default rules; both can be reached from anywhere.
    """
    rows = Environment.objects.in_project(project)
    if not rows.exists():
        with transaction.atomic():
            Project.objects.select_for_update(of=("self",), no_key=True).get(pk=project.pk)
            for position, name in enumerate(DEFAULT_ENVIRONMENTS if not rows.exists() else ()):
                made = add_environment(project, name, position)
                EnvironmentMove.objects.create(project=project, environment_to=made)
    return list(rows.open().order_by("position", "pk"))


def add_environment(project: Project, name: str, position: int) -> Environment:
    """Write an environment with the default rules; the caller says how it is reached."""
    made = Environment.objects.create(project=project, name=name, position=position)
    gates = [rules.plain(gate) for gate in rules.DEFAULT_GATES]
    Policy.objects.create(environment=made, number=1, gates=gates, valid_from=timezone.now())
    return made


def current(environment: Environment) -> Policy:
    """Return the policy in force."""
    return Policy.objects.get(environment=environment, state=Policy.State.ACTIVE)


def readable(policy: Policy, hidden: Mapping[str, marks.Hidden]) -> Policy:
    """Return rules that name no group of a hidden column, but by its code; to be read and not to be saved.

    Parameters
    ----------
    hidden
        Of :func:`projects.services.marks.hidden_anywhere`: rules hold for models of any dataset of the project.
    """
    if not hidden:
        return policy
    shown = copy.copy(policy)
    shown.gates = [rules.plain(_without(gate, hidden)) for gate in rules.parse(policy.gates)]
    return shown


def _without(gate: rules.Gate, hidden: Mapping[str, marks.Hidden]) -> rules.Gate:
    if gate.column not in hidden or not gate.value:
        return gate
    return told.masked(gate, {gate.value: hidden[gate.column].called(gate.column, gate.value)}, list(hidden))


def _check_codes(by: Actor, project: Project, gates: object) -> None:
    """Refuse rules that somebody read with codes and sends back as they are: no group has such a name."""
    hidden = marks.hidden_anywhere(by, project=project)
    for place, gate in enumerate(gates if hidden and isinstance(gates, list) else [], start=1):
        if isinstance(gate, dict) and gate.get("column") in hidden and veil.TOLD.fullmatch(str(gate.get("value"))):
            raise Invalid(
                f"Gate {place}: {gate['value']} is the code of a masked value, not its name.",
                field=f"gates.{place}.value", got=gate["value"],
            )  # fmt: skip


def compared(before: Policy, after: Policy) -> list[Change]:
    """List in words what a version changes against another one, what lowers the bar first."""
    return rules_change.difference(_whole(before), _whole(after), measured.BETTER)


def would_end(environment: Environment) -> int:
    """Count the open and the approved but unused requests, which new rules make stale."""
    rows = PromotionRequest.objects.filter(environment=environment)
    states = PromotionRequest.State
    return rows.filter(Q(state=states.PENDING) | Q(state=states.APPROVED, revisions=None)).count()


def draft(by: Actor, *, environment: Environment, **given: Any) -> Policy:
    """Write new rules down without putting them into force; an earlier draft of the same person is dropped.

    Parameters
    ----------
    given
        Rules by name, of :data:`policy_rules.FIELDS`; what is not given stays as in the version in force.

    Raises
    ------
    Invalid
        Naming the rule that is not allowed.
    Conflict
        When nothing would change.
    """
    require(by, Permission.POLICY_EDIT, environment.project)
    stepup.require_recent(by)
    with transaction.atomic():
        place = holds.lock_environment(environment)
        made = _write(by, place, given)
        events.record(by, "policy.drafted", project=place.project, target=made, data=_facts(made, current(place)))
    return made


def activate(by: Actor, *, policy: Policy) -> Policy:
    """Put a draft into force, or before a second admin while four eyes are on and the project has one.

    Raises
    ------
    Conflict
        When it is no draft, other rules came into force since it was written, or a proposal waits already.
    """
    require(by, Permission.POLICY_EDIT, policy.environment.project)
    stepup.require_recent(by)
    with transaction.atomic():
        place = holds.lock_environment(policy.environment)
        _propose(by, _held(policy, Policy.State.DRAFT), current(place))
    policy.refresh_from_db()
    return policy


def change(by: Actor, *, environment: Environment, **given: Any) -> Policy:
    """Draft new rules and activate them at once.

    Rules that come into force make the open requests of the environment stale.

    Raises
    ------
    Invalid, Conflict
        As :func:`draft` and :func:`activate`.
    """
    require(by, Permission.POLICY_EDIT, environment.project)
    stepup.require_recent(by)
    with transaction.atomic():
        place = holds.lock_environment(environment)
        made = _write(by, place, given)
        _propose(by, made, current(place))
    return made


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
    stepup.require_recent(by)
    with transaction.atomic():
        holds.lock_environment(policy.environment)
        held = _held(policy, Policy.State.PROPOSED)
        require(by, Permission.POLICY_EDIT, held.environment.project, fresh=True)
        if holds.same_person(by.user, held.proposed_by):
            raise Forbidden("Another admin has to confirm rules that you proposed.", code="four_eyes")
        held.confirmed_by = by.user
        before = current(held.environment)
        _enforce(by, held, before)
        events.record(
            by, "policy.changed", project=held.environment.project, target=held,
            data={**_facts(held, before), "single_person": False},
        )  # fmt: skip
    return held


def drop(by: Actor, *, policy: Policy) -> Policy:
    """Take a draft or a proposal back, or refuse it."""
    require(by, Permission.POLICY_EDIT, policy.environment.project)
    with transaction.atomic():
        holds.lock_environment(policy.environment)
        held = _held(policy, Policy.State.DRAFT, Policy.State.PROPOSED)
        held.state = Policy.State.DROPPED
        held.save(update_fields=["state"])
        events.record(by, "policy.dropped", project=held.environment.project, target=held)
    return held


def _write(by: Actor, place: Environment, given: dict[str, Any]) -> Policy:
    before = current(place)
    _check_codes(by, place.project, given.get("gates"))
    values = policy_rules.checked(before, given)
    if all(getattr(before, name) == value for name, value in values.items()):
        raise Conflict("These are the rules in force already.", code="no_change")
    rows = Policy.objects.filter(environment=place)
    rows.filter(state=Policy.State.DRAFT, proposed_by=by.user).update(state=Policy.State.DROPPED)
    number = rows.order_by("-number").values_list("number", flat=True)[0] + 1
    return Policy.objects.create(
        environment=place,
        number=number,
        state=Policy.State.DRAFT,
        based_on=before.number,
        proposed_by=by.user,
        **values,
    )


def _propose(by: Actor, policy: Policy, before: Policy) -> None:
    place = policy.environment
    if policy.based_on != before.number:
        raise Conflict(
            f"Version {before.number} came into force after this draft was made from version {policy.based_on}. "
            "Edit the rules again from what is in force now.", code="draft_outdated", got=policy.based_on,
            limit=before.number,
        )  # fmt: skip
    if Policy.objects.filter(environment=place, state=Policy.State.PROPOSED).exists():
        raise Conflict("New rules wait for a second admin. Confirm or drop them first.", code="proposal_open")
    alone = not (before.four_eyes and _other_admins(place.project, by))
    if alone:
        _enforce(by, policy, before)
    else:
        policy.state = Policy.State.PROPOSED
        policy.save(update_fields=["state"])
    events.record(
        by, "policy.changed" if alone else "policy.proposed", project=place.project, target=policy,
        data={**_facts(policy, before), "single_person": alone},
    )  # fmt: skip


def _enforce(by: Actor, policy: Policy, before: Policy) -> None:
    now = timezone.now()
    Policy.objects.filter(pk=before.pk).update(state=Policy.State.REPLACED, valid_to=now)
    policy.state, policy.valid_from = Policy.State.ACTIVE, now
    policy.save(update_fields=["state", "valid_from", "confirmed_by"])
    place = policy.environment
    holds.make_stale(environment=place, why=f"The rules of {place.name} changed after the request.", actor=by)


def _held(policy: Policy, *states: str) -> Policy:
    rows = Policy.objects.select_for_update(of=("self",), no_key=True).select_related(
        "environment__project", "proposed_by"
    )
    held = rows.get(pk=policy.pk)
    if held.state not in states:
        text = f"Version {held.number} is {held.get_state_display()}."
        raise Conflict(text, code="not_proposed", got=held.state, limit=list(states))
    return held


def _whole(policy: Policy) -> dict[str, Any]:
    return {**policy.plain(), "gates": policy.gates}


def _facts(policy: Policy, before: Policy) -> dict[str, Any]:
    lowered = [change.text for change in compared(before, policy) if change.effect == "weaker"]
    return {**_whole(policy), "environment": policy.environment.name, "before": before.number, "lowered": lowered}


def _other_admins(project: Project, by: Actor) -> bool:
    roles = [role for role, granted in GRANTS.items() if Permission.POLICY_EDIT in granted]
    members = Membership.objects.open().filter(project=project, role__in=roles, user__is_active=True)
    return any(not holds.same_person(member.user, by.user) for member in members.select_related("user"))
