"""Monitors, windows and alerts."""

import secrets
from datetime import UTC, datetime, timedelta

import numpy as np

from monitoring import drift
from monitoring.drift import shape
from monitoring.drift.lifecycle import Sample
from monitoring.models import Alert, AlertRule, Bucket, Monitor, Window
from monitoring.services import monitors
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission
from tests.factories.projects import system

RNG = np.random.default_rng(3)
ROWS = 2000
SAMPLE = {
    "age": RNG.normal(40, 10, ROWS),
    "plan": RNG.choice(["a", "b", "c"], ROWS, p=[0.5, 0.3, 0.2]),
    "on": RNG.random(ROWS) < 0.5,
    shape.SCORE: RNG.beta(2, 5, ROWS),
}
KINDS = {"age": "numeric", "plan": "categorical", "on": "boolean", shape.SCORE: "numeric"}
GRIDS = drift.reference(SAMPLE, KINDS, {"age": 0.6, "plan": 0.3, "on": 0.1})
PACE = {"bucket_seconds": 60, "step_seconds": 60, "window_seconds": 60, "min_samples": 200}
LABELS = {"endpoint": "churn-production", "version": "churn v1"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def watcher(project: Project) -> Actor:
    return system(project, Permission.MONITOR_EDIT, Permission.ALERT_HANDLE, Permission.COMMENT_ADD)


def make_monitor(project: Project, *, since: datetime = NOON, **changes: object) -> Monitor:
    """A monitor bound at a moment of the test's choice, with a step of a minute."""
    fields = {"endpoint": "churn-production", "version": "churn v1", "reference_grids": GRIDS, "pace": PACE} | changes
    monitor = monitors.bind(watcher(project), project=project, **fields)
    Monitor.objects.filter(pk=monitor.pk).update(valid_from=since)
    monitor.refresh_from_db()
    return monitor


def make_window(monitor: Monitor, number: int = 1, *, rows: int = 500) -> Window:
    ends_at = NOON + timedelta(minutes=number)
    return Window.objects.create(
        monitor=monitor, starts_at=ends_at - timedelta(minutes=1), ends_at=ends_at, rows=rows, verdict="ok",
        computed_at=ends_at,
    )  # fmt: skip


def make_rule(project: Project, name: str = "Test rule", **fields: object) -> AlertRule:
    defaults = {"metric": "drift.psi", "warn": 0.1, "critical": 0.25, "needed": 1, "of": 1, "severity": "critical"}
    return AlertRule.objects.create(project=project, name=name, name_key=name.casefold(), **(defaults | fields))


def make_alert(rule: AlertRule, **fields: object) -> Alert:
    """A firing alert of a rule."""
    values = {"fingerprint": secrets.token_hex(32), "state": "firing", "level": "critical", "title": "It fires"}
    return Alert.objects.create(project=rule.project, rule=rule, opened_at=NOON, changed_at=NOON, **(values | fields))


def sample(signal: str, value: float = 0.3) -> Sample:
    return Sample(LABELS, signal, value, 0.25, f"age drifted, PSI {value:.2f}", "Its mean moved.")


def requests(size: int = 300, **changes: object) -> dict:
    """Counts of quiet requests; a keyword replaces the values of a column."""
    draw = RNG.choice(ROWS, size)
    values = {name: np.asarray(column, dtype=object)[draw] for name, column in SAMPLE.items()} | changes
    counts = {name: drift.fill(GRIDS[name], column) for name, column in values.items()}
    return counts | {shape.TRAFFIC: shape.traffic([2000.0] * size, errors=0)}


def fill_traffic(project: Project, *, endpoint: str, at: datetime, requests: int, variant: str = "") -> None:
    """Count requests of a live endpoint, or of a variant, in the hour of a moment, as the shipper adds them."""
    monitor = Monitor.objects.live().get(project=project, endpoint=endpoint, variant=variant)
    hour = at.replace(minute=0, second=0, microsecond=0)
    bucket, _ = Bucket.objects.get_or_create(
        monitor=monitor, hour=hour, column=shape.TRAFFIC, defaults={"counts": {}, "rows": 0}
    )
    Bucket.objects.filter(pk=bucket.pk).update(rows=bucket.rows + requests)
