"""Decide which channel hears of which alerts and when: groups wait, repeat and escalate.

The state of a group is a row, marked in the transaction that moves an alert; a beat looks at the rows that are due
and writes the messages down in the same transaction, so a crash between the two loses and doubles nothing.
Source: serving-monitoring.md, section 6.2; the pipeline is Alertmanager's.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mlportal.lib import apart, matchers
from monitoring.drift.lifecycle import RANKS
from monitoring.models import Alert, AlertGroup, AlertRoute
from monitoring.models.alerts import SHOWN
from monitoring.models.rules import Severity
from monitoring.services import alert_facts, inhibition
from projects.models import Project
from projects.services import deliveries

MOST_ALERTS = 200
VERBS = {"firing": "alert.firing", "resolved": "alert.resolved"}


def routes_of(project: Project) -> list[AlertRoute]:
    """Routes of a project in their order, with their channels."""
    rows = AlertRoute.objects.in_force().filter(project=project, channel__removed_at=None)
    return list(rows.select_related("channel", "project"))


def has_routes(project: Project) -> bool:
    """Whether routes decide about the alerts of a project; without any, each channel is told by its own choice."""
    return AlertRoute.objects.in_force().filter(project=project, channel__removed_at=None).exists()


def matching(routes: Sequence[AlertRoute], alert: Alert, at: datetime) -> list[AlertRoute]:
    """Return the route that takes an alert, and those it was passed on to because nobody acknowledged it."""
    fitting = _fitting(routes, alert)
    return fitting[: 1 + stage(fitting, alert, at)]


def stage(fitting: Sequence[AlertRoute], alert: Alert, at: datetime) -> int:
    """How many times an unacknowledged critical alert was passed on by now."""
    if not fitting or alert.critical_since is None or is_acknowledged(alert, at) or not fitting[0].escalate_after:
        return 0
    return int((at - alert.critical_since) / timedelta(seconds=fitting[0].escalate_after))


def is_acknowledged(alert: Alert, at: datetime) -> bool:
    """Whether somebody has seen it, and the time of that is not over."""
    until = alert.acknowledged_until
    return alert.acknowledged_at is not None and (until is None or until > at)


def key_of(route: AlertRoute, alert: Alert) -> tuple[str, dict[str, str]]:
    """Return the key and the labels of the group that an alert belongs to on a route."""
    labels = alert.all_labels
    shared = {name: str(labels.get(name, "")) for name in route.group_by or ["endpoint"]}
    body = json.dumps(sorted(shared.items()), ensure_ascii=False)
    return hashlib.sha256(body.encode()).hexdigest(), shared


def mark(alert: Alert, at: datetime, routes: Sequence[AlertRoute] | None = None) -> None:
    """Have the groups of an alert looked at: a new group after ``group_wait``, a known one by ``group_interval``.

    ``routes`` are those of its project, when they were read already.
    """
    if alert.state not in (*SHOWN, "resolved"):
        return
    for route in matching(routes_of(alert.project) if routes is None else routes, alert, at):
        _mark(route, alert, at)


def _mark(route: AlertRoute, alert: Alert, at: datetime, *, wait: float | None = None) -> None:
    key, labels = key_of(route, alert)
    first = at + timedelta(seconds=route.group_wait if wait is None else wait)
    group, new = AlertGroup.objects.get_or_create(route=route, key=key, defaults={"labels": labels, "due_at": first})
    if new:
        return
    paced = group.told and group.sent_at is not None and wait is None
    due = max(first, group.sent_at + timedelta(seconds=route.group_interval)) if paced and group.sent_at else first
    rows = AlertGroup.objects.filter(pk=group.pk).filter(Q(due_at=None) | Q(due_at__gt=due))
    rows.update(due_at=due)


# --- looking at groups that are due ----------------------------------------------------------------


@dataclass
class Look:
    """What a group holds now."""

    firing: list[Alert] = field(default_factory=list)
    hushed: list[Alert] = field(default_factory=list)
    resolved: list[Alert] = field(default_factory=list)


def flush_due(now: datetime | None = None, *, limit: int = 500) -> int:
    """Look at every group whose time has come. Returns how many messages were written down."""
    now = now or timezone.now()
    due = AlertGroup.objects.filter(due_at__lte=now).order_by("due_at").values_list("pk", flat=True)
    return sum(apart.do(partial(flush, pk, now), what="group of alerts", row=pk) for pk in list(due[:limit]))


def flush(group_id: int, now: datetime) -> int:
    """Tell the channel of one group what is new, or again when it is time to repeat; once, whoever calls."""
    with transaction.atomic():
        rows = AlertGroup.objects.select_for_update(of=("self",), no_key=True)
        group = rows.select_related("route__project", "route__channel").filter(pk=group_id, due_at__lte=now).first()
        if group is None:
            return 0
        routes = routes_of(group.route.project)
        look = _look(group, routes, now)
        sent = _tell(group, look, now) if _has_news(group, look, now) else 0
        group.told = {key: level for key, level in group.told.items() if _still_told(key, look)}
        group.due_at = _next(group, look, routes, now)
        group.save(update_fields=["told", "due_at", "sent_at", "sent"])
        _escalate(group, look, routes, now)
    return sent


def _look(group: AlertGroup, routes: list[AlertRoute], now: datetime) -> Look:
    project = group.route.project
    told = [int(key) for key in group.told]
    wanted = Q(state__in=SHOWN) | Q(pk__in=told)
    rows = Alert.objects.in_project(project).with_silence(now).filter(wanted).select_related("rule", "project")
    shown = list(rows.worst_first())
    look = Look()
    for alert in shown:
        if alert.state not in SHOWN:
            look.resolved.append(alert)
        elif str(alert.pk) in group.told or _is_here(group, routes, alert, now):
            (look.hushed if _is_hushed(alert, shown, now) else look.firing).append(alert)
    return look


def _is_here(group: AlertGroup, routes: list[AlertRoute], alert: Alert, now: datetime) -> bool:
    if group.route_id not in [route.pk for route in matching(routes, alert, now)]:
        return False
    return key_of(group.route, alert)[0] == group.key


def _is_hushed(alert: Any, others: Iterable[Alert], now: datetime) -> bool:
    """Whether nobody shall hear of it now: silenced, hidden by a worse one, or within the cooldown of its rule."""
    muted = alert.muted_until is not None and alert.muted_until > now
    open_ones = [other for other in others if other.state in SHOWN]
    return bool(alert.silenced) or muted or inhibition.among(alert, open_ones) is not None


def _still_told(key: str, look: Look) -> bool:
    return any(str(alert.pk) == key for alert in (*look.firing, *look.hushed))


def _has_news(group: AlertGroup, look: Look, now: datetime) -> bool:
    if look.resolved or any(RANKS[alert.level] > group.told.get(str(alert.pk), -1) for alert in look.firing):
        return True
    loud = [alert for alert in look.firing if not is_acknowledged(alert, now)]
    return bool(loud) and group.sent_at is not None and group.sent_at + _repeat(group.route, loud) <= now


def _repeat(route: AlertRoute, alerts: Sequence[Alert]) -> timedelta:
    critical = any(alert.severity == Severity.CRITICAL for alert in alerts)
    return timedelta(seconds=route.repeat_critical if critical else route.repeat)


def _tell(group: AlertGroup, look: Look, now: datetime) -> int:
    """Write the messages down and remember what was told."""
    told = [*look.firing, *look.resolved][:MOST_ALERTS]
    status = "firing" if look.firing else "resolved"
    facts = [alert_facts.facts_at(alert, now) | _moments(alert) for alert in told]
    data = {
        "status": status, "group_key": f"{group.route_id}:{group.key}", "group_labels": group.labels,
        "receiver": group.route.channel.name, "route": group.route.name, "severity": told[0].severity,
        "title": _title(look), "alerts": facts, "alert": told[0].pk, "sent": group.sent + 1,
    }  # fmt: skip
    made = deliveries.owe_group(group.route.channel, verb=VERBS[status], data=data)
    group.sent_at, group.sent = now, group.sent + 1
    group.told = {str(alert.pk): RANKS[alert.level] for alert in look.firing} | {
        str(alert.pk): group.told[str(alert.pk)] for alert in look.hushed if str(alert.pk) in group.told
    }
    return made


def _moments(alert: Alert) -> dict[str, Any]:
    over = alert.resolved_at.isoformat() if alert.resolved_at and alert.state not in SHOWN else None
    link = f"{settings.BASE_URL}/p/{alert.project.slug}/alerts/{alert.pk}/"
    status = "resolved" if alert.state not in SHOWN else "firing"
    return {"status": status, "starts_at": alert.opened_at.isoformat(), "ends_at": over, "link": link}


def _title(look: Look) -> str:
    shown = look.firing or look.resolved
    more = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    return f"{shown[0].title}{more}"


def _next(group: AlertGroup, look: Look, routes: list[AlertRoute], now: datetime) -> datetime | None:
    """When to look again: to repeat, to pass on, or to see whether what hushed an alert is over."""
    times = []
    loud = [alert for alert in look.firing if not is_acknowledged(alert, now)]
    if loud and group.sent_at is not None:
        times.append(group.sent_at + _repeat(group.route, loud))
    if look.hushed:
        times.append(now + timedelta(seconds=group.route.group_interval))
    times += [at for alert in loud if (at := _next_stage(routes, alert, now)) is not None]
    return max(min(times), now + timedelta(seconds=1)) if times else None


def _fitting(routes: Sequence[AlertRoute], alert: Alert) -> list[AlertRoute]:
    return [route for route in routes if matchers.hold(route.matchers, alert.all_labels)]


def _next_stage(routes: list[AlertRoute], alert: Alert, now: datetime) -> datetime | None:
    fitting = _fitting(routes, alert)
    if alert.critical_since is None or not fitting or not fitting[0].escalate_after:
        return None
    passed = stage(fitting, alert, now)
    if passed >= len(fitting) - 1:
        return None
    return alert.critical_since + timedelta(seconds=fitting[0].escalate_after * (passed + 1))


def _escalate(group: AlertGroup, look: Look, routes: list[AlertRoute], now: datetime) -> None:
    """Mark the groups of the routes that unacknowledged critical alerts are passed on to."""
    for alert in look.firing:
        for route in matching(routes, alert, now):
            if route.pk == group.route_id:
                continue
            key, _labels = key_of(route, alert)
            known = AlertGroup.objects.filter(route=route, key=key).first()
            if known is None or (str(alert.pk) not in known.told and known.due_at is None):
                _mark(route, alert, now, wait=0)
