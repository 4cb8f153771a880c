"""What a worker runs: judge the windows that are due and apply the alert rules to them."""

from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from mlportal.lib import apart
from monitoring import history, sums
from monitoring.drift import score, verdict
from monitoring.drift.shape import Counts
from monitoring.models import AlertRule, DriftScore, Monitor, RuleEvaluation, Window
from monitoring.models.rules import UNMEASURED
from monitoring.models.windows import Verdict
from monitoring.pipeline import prompt
from monitoring.services import alerts
from monitoring.services.course import Course
from monitoring.services.waiting import ABOUT_A_SHARE, delay_of
from projects.actor import Actor
from projects.permissions import Permission

log = structlog.get_logger(__name__)

MOST_WINDOWS = prompt.MOST_WINDOWS
SCORE_FIELDS = frozenset(field.name for field in DriftScore._meta.get_fields())


def roll_due(now: datetime | None = None) -> int:
    """Judge every window that has ended, of every live monitor. Returns how many were judged."""
    now = now or timezone.now()
    live = Monitor.objects.live().defer("reference").order_by("pk")
    return sum(apart.do(partial(_roll, monitor, now), what="monitor", row=monitor.pk) for monitor in live)


def _roll(monitor: Monitor, now: datetime) -> int:
    return roll_window(monitor.pk, now) if _waiting(monitor, now) else 0


def roll_window(monitor_id: int, now: datetime | None = None) -> int:
    """Judge the windows of one monitor that are due, oldest first, and settle its alerts.

    Safe to run twice and at the same time: a window is stored once, a rule is applied to it once, and what a crash
    left between the two is finished by the next call. Returns how many windows were judged.
    """
    now = now or timezone.now()
    monitor = Monitor.objects.select_related("project").get(pk=monitor_id)
    _settle_left(monitor, now)
    judged = 0
    for end in due_ends(monitor, now):
        if _judge(monitor, end, now) is not None:
            judged += 1
        _settle_left(monitor, now)
    _settle_prompt(monitor, now)
    return judged


def due_ends(monitor: Monitor, now: datetime) -> list[datetime]:
    """Ends of the windows that are over and not judged, oldest first; of a long pause only the last 200."""
    return prompt.ends(monitor.step_seconds, monitor.rolled_to or monitor.valid_from, now)


def _waiting(monitor: Monitor, now: datetime) -> bool:
    if due_ends(monitor, now) or Window.objects.filter(monitor=monitor, settled_at=None).exists():
        return True
    rules = _rules(monitor)
    if prompt.due(monitor, rules, now):
        return True
    return any(_waited_for(rule, monitor, now) for rule in _with_windows(rules, monitor) if delay_of(rule, monitor))


# --- judging ---------------------------------------------------------------------------------------


def _judge(monitor: Monitor, end: datetime, now: datetime) -> Window | None:
    """Store one window with its scores; None when somebody else did."""
    with transaction.atomic():
        held = Monitor.objects.select_for_update(no_key=True).defer("reference").get(pk=monitor.pk)
        if held.rolled_to is not None and held.rolled_to >= end:
            return None
        start = sums.begin(monitor, end)
        counts = history.counts_of(monitor, start, end)
        window = Window(monitor=monitor, starts_at=start, ends_at=end, computed_at=now, rows=history.rows_of(counts))
        _add_traffic(window, monitor, end)
        scores = _scores(monitor, counts) if window.rows else []
        _add_verdict(window, scores)
        window.save(force_insert=True)
        DriftScore.objects.bulk_create(_row(window, one, counts) for one in scores)
        Monitor.objects.filter(pk=monitor.pk).update(rolled_to=end)
    return window


def _scores(monitor: Monitor, counts: dict[str, Counts]) -> list[score.Score]:
    return score.columns(monitor.reference, counts, min_samples=monitor.min_samples)


def _add_traffic(window: Window, monitor: Monitor, end: datetime) -> None:
    """Requests, errors and latency of the last step: these must not wait for a whole window."""
    history.add_requests(window, history.traffic_of(monitor, end - monitor.step, end))


def _add_verdict(window: Window, scores: list[score.Score]) -> None:
    if not window.rows:
        window.verdict, window.reasons = Verdict.NO_DATA, ["There were no requests in this window."]
        return
    judged = verdict.judge(scores)
    window.verdict, window.reasons = Verdict(judged.state), list(judged.reasons)
    window.drifted, window.weighted_share = judged.drifted, judged.weighted_share


def _row(window: Window, one: score.Score, counts: dict[str, Counts]) -> DriftScore:
    fields: dict[str, Any] = {name: value for name, value in asdict(one).items() if name in SCORE_FIELDS}
    held = counts.get(one.column)
    others = held.get("others", {}) if held else {}
    return DriftScore(window=window, others=others, **fields)


# --- settling --------------------------------------------------------------------------------------


def _settle_left(monitor: Monitor, now: datetime | None = None) -> None:
    now = now or timezone.now()
    rules = _with_windows(_rules(monitor), monitor)
    without_delay = [rule for rule in rules if not delay_of(rule, monitor)]
    for window in Window.objects.filter(monitor=monitor, settled_at=None).order_by("ends_at"):
        window.monitor = monitor
        _settle(window, without_delay)
        Window.objects.filter(pk=window.pk).update(settled_at=timezone.now())
    for rule in rules:
        if delay_of(rule, monitor):
            for window in _waited_for(rule, monitor, now):
                window.monitor = monitor
                _settle(window, [rule])


def _settle_prompt(monitor: Monitor, now: datetime) -> None:
    """Apply the rules whose own windows are shorter than the step of the monitor to each of them that ended."""
    for rule, end in prompt.due(monitor, _rules(monitor), now):
        _settle(Window(monitor=monitor, starts_at=end, ends_at=end), [rule])


def _with_windows(rules: list[AlertRule], monitor: Monitor) -> list[AlertRule]:
    """Rules that look whenever the monitor is judged."""
    return [rule for rule in rules if rule.pace_on(monitor) is None]


def _waited_for(rule: AlertRule, monitor: Monitor, now: datetime) -> list[Window]:
    """Windows that a rule waited for long enough and that it was not applied to, oldest first."""
    delay = timedelta(seconds=delay_of(rule, monitor))
    ready = now - delay
    last = RuleEvaluation.objects.filter(rule=rule, monitor=monitor).aggregate(last=Max("window_end"))["last"]
    since = last or max(monitor.valid_from, rule.created_at - delay)
    rows = Window.objects.filter(monitor=monitor, ends_at__gt=since, ends_at__lte=ready)
    return list(rows.order_by("ends_at")[:MOST_WINDOWS])


def _settle(window: Window, rules: list[AlertRule]) -> None:
    monitor = window.monitor
    by = Actor.system("monitoring", project=monitor.project, grants={Permission.ALERT_HANDLE, Permission.MONITOR_EDIT})
    course = Course(window)
    for rule in rules:
        finding = course.ask(rule)
        alerts.settle(
            by, rule=rule, window=window, outcome=finding.outcome, samples=finding.samples, reason=finding.reason
        )


def _rules(monitor: Monitor) -> list[AlertRule]:
    rows = AlertRule.objects.in_project(monitor.project).filter(
        enabled=True, endpoint__in=["", monitor.endpoint], version__in=["", monitor.version]
    )
    rows = rows.filter(ABOUT_A_SHARE) if monitor.variant else rows
    found = rows.exclude(metric__in=UNMEASURED).select_related("project").order_by("pk")
    return [rule for rule in found if rule.concerns(monitor)]
