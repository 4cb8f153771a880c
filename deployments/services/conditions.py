"""Conditions an approver binds to an approval: read them, keep them, and watch them while the version answers.

A date, a cap on requests and a share of them are looked at by the clock; a metric and drift become an alert rule of
monitoring that belongs to the approval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from deployments.models import Condition, Decision, Endpoint, EndpointRevision, PromotionRequest
from mlportal.lib.errors import DomainError, Invalid
from monitoring.models import AlertRule
from monitoring.models.rules import Metric, Severity
from monitoring.services import rules as alert_rules
from projects.actor import Actor
from projects.permissions import Permission

Kind, Action, Op, State = Condition.Kind, Condition.Action, Condition.Op, Condition.State
MOST = 10
MAX_DAYS = 5 * 366
FIELDS = {
    Kind.UNTIL: {"until"},
    Kind.TRAFFIC: {"limit"},
    Kind.SHARE: {"limit"},
    Kind.METRIC: {"metric", "op", "limit", "column"},
    Kind.DRIFT: {"limit", "column"},
}


@dataclass(frozen=True)
class Terms:
    """One condition as it was asked for, checked."""

    kind: str
    action: str
    until: datetime | None = None
    metric: str = ""
    column: str = ""
    op: str = Op.ABOVE
    limit: float | None = None


def parse(given: object, *, now: datetime) -> list[Terms]:
    """Check conditions from outside.

    Parameters
    ----------
    given
        List of ``{"kind": "until", "until": "2027-03-01", "action": "notify"|"freeze"|"rollback"}``,
        ``{"kind": "traffic", "limit": 500}`` (requests an hour), ``{"kind": "share", "limit": 25}`` (percent of the
        endpoint's requests, see :mod:`deployments.services.shares`),
        ``{"kind": "drift", "limit": 0.2, "column": "age"}`` (population stability index),
        ``{"kind": "metric", "metric": "error.rate", "op": "above", "limit": 0.01}``.
        ``op`` is the side of the limit that breaks the condition.

    Raises
    ------
    Invalid
        Naming the condition by its place, what came and what is allowed.
    """
    if not isinstance(given, list | tuple) or len(given) > MOST:
        raise Invalid(f"conditions must be a list of at most {MOST}.", field="conditions", limit=MOST)
    return [_one(item, place, now) for place, item in enumerate(given, start=1)]


def bind(decision: Decision, terms: Sequence[Terms]) -> list[Condition]:
    """Write down the conditions of one approval, in the caller's transaction."""
    made = [Condition(request=decision.request, decision=decision, **vars(item)) for item in terms]
    return [_saved(item) for item in made]


def follow(endpoint: Endpoint, made: EndpointRevision, *, on_behalf_of: Any) -> None:
    """Watch the conditions of what answers now and stop watching those of what did, in the caller's transaction.

    A version that shares the requests is held to its conditions from its first request: it has a monitor of its own.
    """
    by = Actor.system(
        f"conditions of {endpoint.name}", project=endpoint.project, grants={Permission.MONITOR_EDIT},
        on_behalf_of=on_behalf_of,
    )  # fmt: skip
    here = Condition.objects.filter(
        request__version__model=endpoint.model_id, request__environment=endpoint.environment_id
    )
    answering = [pk for pk in (made.promotion_id, _beside(made)) if pk is not None]
    for item in here.filter(state=State.WATCHED).exclude(request__in=answering):
        end(item, actor=by)
    for item in here.filter(request__in=answering, state__in=[State.BOUND, State.ENDED]):
        _watch(by, item, endpoint)


def end(item: Condition, *, actor: Actor, state: str = State.ENDED) -> None:
    """Stop watching a condition, and switch its alert rule off."""
    item.state = state
    item.save(update_fields=["state", "breached_at", "found"])
    rule = AlertRule.objects.filter(pk=item.rule_id, enabled=True).select_related("project").first()
    if rule is not None:
        alert_rules.disable(actor, rule=rule)


def reassert(item: Condition, endpoint: Endpoint) -> bool:
    """Put the alert rule of a watched condition back as it was bound, when somebody changed it or switched it off."""
    rule = AlertRule.objects.filter(pk=item.rule_id).first()
    if (
        rule is not None
        and rule.enabled
        and all(getattr(rule, name) == value for name, value in _of_rule(item).items())
    ):
        return False
    by = Actor.system(f"conditions of {endpoint.name}", project=endpoint.project, grants={Permission.MONITOR_EDIT})
    item.rule_id = _rule(by, item, endpoint).pk
    item.save(update_fields=["rule_id"])
    return True


def broken_date(request: PromotionRequest, *, now: datetime) -> Condition | None:
    """Return the condition whose date is over, if the approval has one."""
    return Condition.objects.filter(request=request, kind=Kind.UNTIL, until__lte=now).order_by("until").first()


def _beside(made: EndpointRevision) -> int | None:
    """Return the promotion of the version that gets a share of the requests; None while none does."""
    divided = made.rollout or made.trial
    sharing = any(
        route["mode"] == "live" and route["weight"] > 0 and route["version_id"] != made.version_id
        for route in made.routes
    )
    return divided.promotion_id if divided and sharing else None


def _watch(by: Actor, item: Condition, endpoint: Endpoint) -> None:
    if item.kind in (Kind.METRIC, Kind.DRIFT):
        item.rule_id = _rule(by, item, endpoint).pk
    item.state = State.WATCHED
    item.save(update_fields=["state", "rule_id"])


def _rule(by: Actor, item: Condition, endpoint: Endpoint) -> AlertRule:
    """Return the alert rule of a condition, switched on: one breach is enough."""
    known = AlertRule.objects.filter(pk=item.rule_id).select_related("project").first()
    if known is not None:
        return alert_rules.update(by, rule=known, endpoint=endpoint.name, enabled=True, **_of_rule(item))
    return alert_rules.create(
        by, project=endpoint.project, name=f"Condition {item.pk} of promotion {item.request_id}",
        endpoint=endpoint.name, **_of_rule(item),
        severity=Severity.HIGH if item.action == Action.NOTIFY else Severity.CRITICAL,
    )  # fmt: skip


def _of_rule(item: Condition) -> dict[str, Any]:
    return {
        "metric": item.metric, "column": item.column, "op": item.op, "critical": item.limit, "warn": None,
        "needed": 1, "of": 1, "min_samples": 0, "version": item.request.version.label,
    }  # fmt: skip


def _saved(item: Condition) -> Condition:
    item.save(force_insert=True)
    return item


def _one(item: object, place: int, now: datetime) -> Terms:
    try:
        if not isinstance(item, Mapping):
            raise Invalid("must be an object.")
        kind = _choice(item, "kind", Kind.values, "")
        action = _choice(item, "action", Action.values, Action.NOTIFY)
        if unknown := sorted(set(item) - FIELDS[Kind(kind)] - {"kind", "action"}):
            raise Invalid(f"{kind} takes no {', '.join(map(str, unknown))[:100]}.")
        return Terms(kind=kind, action=action, **_limits(kind, item, now))
    except DomainError as error:
        raise Invalid(
            f"Condition {place}: {error.message}", field="conditions", limit=error.limit, got=error.got
        ) from error


def _limits(kind: str, item: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    if kind == Kind.UNTIL:
        return {"until": _until(item.get("until"), now)}
    if kind == Kind.TRAFFIC:
        return {"limit": _number(item, least=0)}
    if kind == Kind.SHARE:
        return {"limit": _number(item, least=0, below=100)}
    column = item.get("column") or ""
    if not isinstance(column, str) or len(column) > 500:
        raise Invalid("column must be the name of a column.", got=str(column)[:50])
    if kind == Kind.DRIFT:
        return {"metric": Metric.DRIFT_PSI, "column": column, "limit": _number(item, least=0)}
    metric = _choice(item, "metric", Metric.values, "")
    if column and metric in alert_rules.WITHOUT_COLUMN:
        raise Invalid(f"{metric} is not about a column.", got=column[:50])
    return {
        "metric": metric, "column": column, "op": _choice(item, "op", Op.values, Op.ABOVE), "limit": _number(item)
    }  # fmt: skip


def _choice(item: Mapping[str, Any], field: str, allowed: Sequence[str], default: str) -> str:
    value = item.get(field, default)
    if value not in allowed:
        raise Invalid(f"{field} must be one of {', '.join(allowed)}.", limit=list(allowed), got=str(value)[:50])
    return str(value)


def _number(item: Mapping[str, Any], *, least: float | None = None, below: float | None = None) -> float:
    value = item.get("limit")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e12:
        raise Invalid("limit must be a number.", got=str(value)[:50])
    if least is not None and value <= least:
        raise Invalid(f"limit must be more than {least:g}.", limit=least, got=value)
    if below is not None and value >= below:
        raise Invalid(f"limit must be less than {below:g}.", limit=below, got=value)
    return float(value)


def _until(value: object, now: datetime) -> datetime:
    moment = value if isinstance(value, datetime) else _moment(str(value))
    if moment is None:
        raise Invalid("until must be a date, as 2027-03-01, or a moment with its zone.", got=str(value)[:50])
    if not now < moment <= now + timedelta(days=MAX_DAYS):
        raise Invalid(f"until must lie in the next {MAX_DAYS} days.", limit=MAX_DAYS, got=moment.isoformat())
    return moment


def _moment(text: str) -> datetime | None:
    """Read a moment with its zone, or a date: the approval holds to the end of that day in UTC."""
    try:
        day: date | None = parse_date(text)
        moment = None if day else parse_datetime(text)
        if moment is not None and timezone.is_aware(moment):
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if day is not None:
        return datetime.combine(day + timedelta(days=1), time(), UTC) if day < date.max else None
    return None if moment is None or timezone.is_naive(moment) else moment
