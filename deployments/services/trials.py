"""Trials: register a question with its plan, divide the units, look as often as one likes, decide."""

import math
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from deployments.models import Endpoint, EndpointRevision, PromotionRequest, Trial, TrialJudgement, TrialLook
from deployments.proof import canonical
from deployments.services import (
    dividing,
    divisions,
    endpoints,
    guardrails,
    holds,
    judging,
    outcomes,
    retention,
    splits,
    trial_plans,
)
from deployments.traffic import evidence, sequence
from deployments.traffic.criteria import SPLIT_ALPHA, Seen
from deployments.traffic.sequence import Arm
from mlportal.lib import again, apart, names
from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

State = Trial.State
Kind = EndpointRevision.Kind
Decision = Trial.Decision
CONTROL, TREATMENT = guardrails.CONTROL, guardrails.TREATMENT
NOT_BETTER = "The interval does not lie on the better side of no difference."
LOOK_EVERY = timedelta(minutes=10)
AT_ONCE = 50


def register(by: Actor, *, request: PromotionRequest, **wanted: Any) -> Trial:
    """Write down what is asked and how it is answered, before anything is seen.

    Parameters
    ----------
    request
        Of the version that is tried; it needs its approval to start.
    wanted
        As :func:`deployments.services.trial_plans.checked` takes them.

    Raises
    ------
    Invalid
        Naming the field and its limit.
    Conflict
        When the request is closed, or nothing is live that it could be compared with.
    """
    require(by, Permission.ENDPOINT_DEPLOY, request.project)
    values = trial_plans.checked(wanted, version=request.version)
    with transaction.atomic():
        held = holds.lock(request)
        if held.state not in (PromotionRequest.State.PENDING, PromotionRequest.State.APPROVED):
            raise holds.closed_error(held)
        found = Endpoint.objects.filter(model=held.version.model_id, environment=held.environment_id).first()
        if found is None:
            raise Missing(f"Nothing answers in {held.environment.name} yet, so there is no control.", field="promotion")
        endpoint = endpoints.lock(found)
        dividing.check_divisible(endpoint, held.version)
        _check_kept(endpoint, values)
        made = Trial.objects.create(
            endpoint=endpoint, promotion=held, salt=dividing.salt(), planned_by=by.user, **values
        )
        events.record(by, "trial.registered", project=held.project, target=made, data=plan_of(made))
    return made


@again.after_deadlock
def start(by: Actor, *, trial: Trial) -> Trial:
    """Freeze the plan and divide the units. Asks for all that a switch asks for.

    Raises
    ------
    Conflict
        As :func:`deployments.services.rollouts.start`.
    """
    require(by, Permission.ENDPOINT_DEPLOY, trial.endpoint.project)
    return divisions.begin(trial, partial(_lay_first, actor=by), actor=by)


@again.after_deadlock
def stop(by: Actor, *, trial: Trial, decision: str, reason: str) -> Trial:
    """Decide: the treatment goes live by the switch its approval allows, or the control gets all requests back.

    A trial may always be ended with ``keep``. ``promote`` needs the duration or the units of the plan, or the judgement
    of a trial that is judged once; and an interval on the better side of nothing.

    Raises
    ------
    Conflict
        When it does not run, or ``promote`` is too early or not what was found.
    """
    require(by, Permission.ENDPOINT_DEPLOY, trial.endpoint.project)
    if decision not in Decision.values:
        raise Invalid(
            f"decision must be one of {', '.join(Decision.values)}.", field="decision", limit=Decision.values,
            got=str(decision)[:50],
        )  # fmt: skip
    text = names.reason(reason)
    with transaction.atomic():
        held = divisions.hold(trial)
        if held.state != State.RUNNING:
            raise Conflict(f"{held} is {held.get_state_display()}.", code="not_running")
        if decision == Decision.PROMOTE and (trouble := too_early(held, timezone.now())):
            raise Conflict(trouble, code="not_decided")
        if decision == Decision.KEEP:
            divisions.lay(held, Kind.TRIAL, f"Trial {held.pk} ended: {text}"[:4000], [], actor=by)
        dividing.close_trial(held, decision, text, actor=by)
        if decision == Decision.PROMOTE:
            endpoints.switch(by, request=held.promotion)
    return held


def start_registered(by: Actor, *, request: PromotionRequest) -> bool:
    """Start the trial registered for a request that was just approved; tells whether there was one."""
    require(by, Permission.ENDPOINT_DEPLOY, request.project)
    planned = Trial.objects.with_subject().filter(promotion=request, state=State.DRAFT).first()
    if planned is not None:
        start(by, trial=planned)
    return planned is not None


def tick(*, now: datetime) -> int:
    """Look at the running trials that are due; returns how many looks were kept.

    Parameters
    ----------
    now
        The clock; every comparison uses it.
    """
    rows = Trial.objects.with_subject().filter(state=State.RUNNING).order_by(F("looked_at").asc(nulls_first=True))
    due = [row for row in rows[:AT_ONCE] if row.looked_at is None or now - row.looked_at >= LOOK_EVERY]
    looked = sum(apart.do(partial(_is_looked_at, row, now), what="trial", row=row.pk) for row in due)
    splits.end_left()
    return looked


def _is_looked_at(trial: Trial, now: datetime) -> bool:
    return look(trial, now=now) is not None


def look(trial: Trial, *, now: datetime) -> TrialLook | None:
    """Look at a running trial and keep what was found; gives it back when its approval holds no longer.

    A trial that is judged once is judged by the first look at its horizon, and by no later one.
    """
    by = Actor.system(
        f"trial {trial.pk}", project=trial.endpoint.project,
        grants={Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT}, on_behalf_of=trial.started_by,
    )  # fmt: skip
    judged = judging.judged(trial, now=now) if trial.is_judged_once and judgement_of(trial) is None else None
    with transaction.atomic():
        held = divisions.hold(trial)
        if held.state != State.RUNNING:
            return None
        if trouble := dividing.check_approval(held.promotion):
            divisions.lay(held, Kind.TRIAL, f"Trial {held.pk} ended: {trouble}", [], actor=by)
            dividing.close_trial(held, Decision.KEEP, trouble, actor=by)
            return None
        before = held.looks.order_by("-at").first()
        made = _look(held, now)
        held.looked_at = now
        held.save(update_fields=["looked_at"])
        if made.mismatch_p < SPLIT_ALPHA and (before is None or before.mismatch_p >= SPLIT_ALPHA):
            words = f"{made.assigned_treatment} of {made.assigned_control + made.assigned_treatment} requests"
            facts = {"trial": held.name, "endpoint": held.endpoint.name, "found": words, "share": held.share}
            events.record(by, "trial.mismatch", project=held.endpoint.project, target=held, data=facts)
        if judged is not None and judgement_of(held) is None:
            _keep(judged, held, by)
    splits.tell(held, made)
    return made


def waits_for(trial: Trial, now: datetime) -> str:
    """Say what the judgement of a running trial waits for; empty when there is one, or at every look one."""
    if not trial.is_judged_once or trial.state != State.RUNNING or judgement_of(trial) is not None:
        return ""
    last = trial.looks.order_by("-at").first()
    found = (last.control_units, last.treatment_units) if last else (0, 0)
    return judging.waits_for(trial, *found, now) or judging.AT_HORIZON


def judgement_of(trial: Trial) -> TrialJudgement | None:
    """Return what came of a trial that is judged once, when it was."""
    return TrialJudgement.objects.filter(trial=trial).first()


def too_early(held: Trial, now: datetime) -> str:
    """Say why the treatment may not be put live by what was found, empty when it may."""
    last = held.looks.order_by("-at").first()
    assert held.started_at is not None  # a running trial has started
    if last is None:
        return "Nobody has looked yet."
    if last.mismatch_p < SPLIT_ALPHA:
        return "The split is not the planned one (sample ratio mismatch), so nothing follows from the difference."
    if held.is_judged_once:
        return waits_for(held, now) or guardrails.broken(held, now) or _not_judged_better(held)
    units = last.control_units + last.treatment_units
    if now < held.started_at + timedelta(days=held.minimum_days) and units < held.minimum_units:
        return f"The plan asks for {held.minimum_days} days or {held.minimum_units:,} units; there are {units:,}."
    bound = last.low if held.more_is_better else last.high
    better = bound is not None and (bound > 0 if held.more_is_better else bound < 0)
    return guardrails.broken(held, now) or ("" if better else NOT_BETTER)


def _not_judged_better(held: Trial) -> str:
    judged = judgement_of(held)
    return "" if judged is not None and judged.low > 0 else NOT_BETTER


def plan_of(trial: Trial) -> dict[str, Any]:
    """Return the plan as it is frozen."""
    return {
        "name": trial.name, "hypothesis": trial.hypothesis, "metric": trial.metric, "positive": trial.positive,
        "minimum_effect": trial.minimum_effect, "alpha": trial.alpha, "share": trial.share,
        "minimum_days": trial.minimum_days, "minimum_units": trial.minimum_units, "salt": trial.salt,
        "treatment": trial.version.label,
    }  # fmt: skip


def _lay_first(held: Trial, live: EndpointRevision, *, actor: Actor) -> None:
    held.control, held.state = live.version, State.RUNNING
    held.plan_sha256 = canonical.digest(plan_of(held) | {"control": live.version.label})
    held.save(update_fields=["control", "started_by", "started_at", "state", "plan_sha256"])
    routes = [
        dividing.route(TREATMENT, held.version, held.share), dividing.route(CONTROL, live.version, 1.0 - held.share)
    ]  # fmt: skip
    words = f"Trial {held.pk}: {held.share:.0%} to {held.version.label}"
    made = divisions.lay(held, Kind.TRIAL, words, routes, actor=actor)
    events.record(
        actor, "trial.started", project=held.endpoint.project, target=held,
        data={"plan": held.plan_sha256, "revision": made.number, "endpoint": held.endpoint.name},
    )  # fmt: skip


def _look(held: Trial, now: datetime) -> TrialLook:
    sources = list(EndpointRevision.objects.filter(trial=held).values_list("pk", flat=True))
    arms = outcomes.arms(sources, metric=dividing.counted(held), positive=held.positive)
    control, treatment = arms.get(CONTROL, Arm()), arms.get(TREATMENT, Arm())
    asked = outcomes.seen(sources)
    given, kept = (asked.get(name, Seen()).assigned for name in (TREATMENT, CONTROL))
    units = outcomes.units(sources)
    return TrialLook.objects.create(
        trial=held, at=now, control_units=control.units, treatment_units=treatment.units, assigned_control=kept,
        assigned_treatment=given, **({} if held.is_judged_once else _found(held, control, treatment)),
        mismatch_p=evidence.mismatch(units.get(TREATMENT, 0), units.get(CONTROL, 0), held.share),
    )  # fmt: skip


def _found(held: Trial, control: Arm, treatment: Arm) -> dict[str, float | None]:
    """What a look tells of a metric whose interval holds at every look."""
    rho = sequence.tuned(held.minimum_units / 4, held.alpha)
    found = sequence.difference(control, treatment, alpha=held.alpha, rho=rho)
    return {
        "control_mean": control.mean, "treatment_mean": treatment.mean, "difference": found.difference,
        "low": found.low if math.isfinite(found.low) else None,
        "high": found.high if math.isfinite(found.high) else None,
    }  # fmt: skip


def _keep(judged: TrialJudgement, held: Trial, by: Actor) -> None:
    judged.trial = held
    judged.save()
    facts = {
        "trial": held.name, "endpoint": held.endpoint.name, "metric": held.metric,
        "difference": judged.difference, "low": judged.low, "high": judged.high,
    }  # fmt: skip
    events.record(by, "trial.judged", project=held.endpoint.project, target=held, data=facts)


def _check_kept(endpoint: Endpoint, values: dict[str, Any]) -> None:
    """What is judged at the end is read from the log, which has to reach back to the beginning."""
    days = retention.days_of(endpoint)
    if values["metric"] in trial_plans.JUDGED and days and values["minimum_days"] > days:
        raise Invalid(
            f"Predictions of {endpoint.name} are kept for {days} days, and {values['metric']} is judged from them: "
            f"minimum_days must be at most {days}.", field="minimum_days", limit=days, got=values["minimum_days"],
        )  # fmt: skip
