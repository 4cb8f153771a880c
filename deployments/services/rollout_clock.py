"""Judge the open rollouts by what the log has counted, and move, hold or abort them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F

from deployments.models import EndpointRevision, Rollout, RolloutCheck, Trial
from deployments.services import conditions, dividing, divisions, outcomes, rollouts, shares
from deployments.traffic import criteria
from deployments.traffic.criteria import Criterion, Pair, Seen
from deployments.traffic.sequence import Arm
from mlportal.lib import apart
from mlportal.lib.errors import DomainError
from projects.actor import Actor
from projects.permissions import Permission

State = Rollout.State
AT_ONCE = 200
EVERY = timedelta(seconds=55)
SILENT = timedelta(hours=24)
WINDOW = timedelta(minutes=5)
RECENT = timedelta(hours=1)
SHIPPED = timedelta(minutes=1)  # what was asked until then has been counted
SHADOW_REQUESTS = 1_000
SHADOW_TIME = timedelta(hours=24)


@dataclass(frozen=True)
class Found:
    """What one look found."""

    criteria: list[Criterion]
    requests: int

    @property
    def verdict(self) -> str:
        """The gravest state of all."""
        states = {item.state for item in self.criteria}
        return next((state for state in (criteria.ABORT, criteria.PAUSE, criteria.WAITING) if state in states), "ok")

    def words(self, state: str) -> str:
        """What was found, of the criteria in a state."""
        return "; ".join(f"{item.title}: {item.found}" for item in self.criteria if item.state == state)


def tick(*, now: datetime) -> int:
    """Look at every open rollout once; returns how many moved.

    Parameters
    ----------
    now
        The clock; every comparison uses it.
    """
    rows = Rollout.objects.open().with_subject().order_by(F("judged_at").asc(nulls_first=True))
    return sum(apart.do(partial(look, row, now=now), what="rollout", row=row.pk) for row in list(rows[:AT_ONCE]))


def look(rollout: Rollout, *, now: datetime) -> bool:
    """Judge one rollout and do what follows; tells whether it moved."""
    by = _clock(rollout)
    with transaction.atomic():
        held = divisions.hold(rollout)
        if not held.is_open or _was_judged(held, now):
            return False
        before = (held.state, held.step)
        finished = _judge(by, held, now)
        moved = before != (held.state, held.step)
    return _finish(by, held) if finished else moved


def _was_judged(held: Rollout, now: datetime) -> bool:
    """Whether it was judged less than a minute ago; a version that loads is waited for without a pause."""
    return held.state != State.VALIDATING and held.judged_at is not None and now - held.judged_at < EVERY


def _judge(by: Actor, held: Rollout, now: datetime) -> bool:
    """Judge and move a rollout that is held; tells whether its last step is done."""
    if trouble := dividing.check_approval(held.promotion) or _over(held, now):
        rollouts.give_back(held, trouble, actor=by)
        return False
    sources = list(EndpointRevision.objects.filter(rollout=held).values_list("pk", flat=True))
    found = _found(held, sources, now)
    if held.state != State.VALIDATING or found.verdict == criteria.ABORT:
        _keep(held, found, now)
    if found.verdict == criteria.ABORT:
        rollouts.give_back(held, found.words(criteria.ABORT), actor=by)
    elif held.state != State.PAUSED:
        return _go_on(by, held, found, now, sources)
    return False


def _over(held: Rollout, now: datetime) -> str:
    date = conditions.broken_date(held.promotion, now=now)
    return f"The approval held {date.words} only." if date is not None else ""


def _go_on(by: Actor, held: Rollout, found: Found, now: datetime, sources: list[int]) -> bool:
    loaded = outcomes.loaded(_newest(sources), rollouts.CANARY)
    if note := _why_hold(held, found, now, loaded=loaded):
        rollouts.set_paused(held, note, actor=by)
    elif held.state == State.VALIDATING:
        if loaded:
            rollouts.move(held, State.SHADOW if held.shadow else State.CANARY, actor=by)
    elif held.state == State.SHADOW:
        if found.requests >= SHADOW_REQUESTS or _since(held, now) >= SHADOW_TIME:
            rollouts.move(held, State.CANARY, actor=by)
    elif found.requests >= held.present["requests"] and held.step_ends_at <= now:
        onward = rollouts.next_step(held)
        if note := shares.over(held.promotion, 1.0 if onward is None else held.steps[onward]["share"]):
            rollouts.set_paused(held, note, actor=by)
            return False
        if onward is None:
            return True
        rollouts.move(held, State.CANARY, onward, actor=by)
    return False


def _why_hold(held: Rollout, found: Found, now: datetime, *, loaded: bool) -> str:
    """Say why a rollout waits for a person, empty when it does not."""
    stopped = [item for item in found.criteria if item.state == criteria.PAUSE and item.key not in held.accepted]
    if stopped:
        return "; ".join(f"{item.title}: {item.found}" for item in stopped)
    if held.endpoint.frozen_at is not None:
        return f"{held.endpoint.name} is frozen."
    if held.state == State.SHADOW or _since(held, now) <= SILENT:
        return ""
    if held.state == State.VALIDATING:
        return "" if loaded else "No serving process has loaded the version in 24 h."
    needed = held.present["requests"]
    return "" if found.requests >= needed else f"{found.requests} of {needed} requests in 24 h: too few to judge."


def _since(held: Rollout, now: datetime) -> timedelta:
    assert held.entered_at is not None  # every open state was entered
    return now - held.entered_at


def _finish(by: Actor, held: Rollout) -> bool:
    try:
        rollouts.promote(by, rollout=held)
    except DomainError as error:
        rollouts.abort(by, rollout=held, reason=f"It could not go live: {error.message}")
    return True


def _found(held: Rollout, sources: list[int], now: datetime) -> Found:
    beside = rollouts.SHADOW if State.SHADOW in (held.state, held.paused_in) else rollouts.CANARY
    whole, step = outcomes.seen(sources), outcomes.seen(_newest(sources))
    end = now.replace(second=0, microsecond=0) - SHIPPED
    recent = outcomes.distributions(sources, since=end - RECENT, until=end + SHIPPED * 2)
    pair = _pair(whole, beside)
    for name, side in ((rollouts.CHAMPION, pair.stable), (beside, pair.canary)):
        side.scores = recent.get(name, Seen()).scores
    windows = [
        _pair(outcomes.distributions(sources, since=start, until=start + WINDOW), beside)
        for start in (end - 2 * WINDOW, end - WINDOW)
    ]
    judged = criteria.judge(
        pair, windows, share=held.share, assigned=_pair(step, beside), labels=_labels(held, sources),
        margin=held.label_margin,
    )  # fmt: skip
    return Found(judged, step.get(beside, Seen()).requests)


def _pair(found: dict[str, Seen], beside: str) -> Pair:
    return Pair(found.get(rollouts.CHAMPION) or Seen(), found.get(beside) or Seen())


def _newest(sources: list[int]) -> list[int]:
    """The revision of the present step."""
    return sources and [max(sources)]


def _labels(held: Rollout, sources: list[int]) -> tuple[Arm, Arm] | None:
    metric = dividing.metric_of(held.version)
    found = outcomes.arms(sources, metric=metric, sign=-1.0 if metric == Trial.Metric.ERROR else 1.0)
    if rollouts.CANARY not in found or rollouts.CHAMPION not in found:
        return None
    return found[rollouts.CHAMPION], found[rollouts.CANARY]


def _keep(held: Rollout, found: Found, now: datetime) -> None:
    RolloutCheck.objects.get_or_create(
        rollout=held, at=now,
        defaults={
            "state": held.state, "step": held.step, "verdict": found.verdict, "requests": found.requests,
            "criteria": [item.plain() for item in found.criteria],
        },
    )  # fmt: skip
    held.judged_at = now
    held.save(update_fields=["judged_at"])


def _clock(rollout: Rollout) -> Actor:
    """Return the portal acting for whoever started the rollout, with the right to move this endpoint."""
    return Actor.system(
        f"rollout {rollout.pk}", project=rollout.endpoint.project,
        grants={Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT}, on_behalf_of=rollout.started_by,
    )  # fmt: skip
