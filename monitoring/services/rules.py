"""Make, change and switch off alert rules."""

import re
from math import isfinite
from typing import Any

from django.db import IntegrityError, transaction

from mlportal.lib import matchers, names
from mlportal.lib.errors import Conflict, DomainError, Invalid
from monitoring.models import AlertRule
from monitoring.models.rules import OF_ALL, UNMEASURED, Metric, Severity
from monitoring.services import alerts, segments
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

TEXTS = {"name": 100, "endpoint": 210, "version": 200, "column": 500, "segment": 710}
NUMBERS = ("warn", "critical", "clear")
COUNTS = {
    "needed": (1, 20),
    "of": (1, 20),
    "keep_firing": (0, 20),
    "min_samples": (0, 10**9),
    "no_data_after": (1, 100),
    "over": (1, 100),
    "evaluation_delay": (0, 90 * 86_400),
    "cooldown": (0, 30 * 86_400),
}
CHOICES: dict[str, Any] = {
    "metric": Metric,
    "op": AlertRule.Op,
    "group_by": AlertRule.GroupBy,
    "compare": AlertRule.Compare,
    "no_data_then": AlertRule.NoData,
    "severity": Severity,
    "action": AlertRule.Action,
}
FIELDS = (*TEXTS, *NUMBERS, *COUNTS, *CHOICES, "enabled", "labels", "inhibited_by", "window_seconds")
LONGEST_WINDOW = 90 * 86_400
SHORTEST_WINDOW = 60
WITH_COLUMN = (Metric.DRIFT_PSI, Metric.PREDICTION_PSI, Metric.NULL_SHARE, Metric.UNSEEN, Metric.OUTSIDE)
WITHOUT_COLUMN = tuple(metric for metric in Metric if metric not in WITH_COLUMN)
MOST_LABELS = 20
LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
OWN_LABELS = ("alertname", "severity", "endpoint", "version", "column", "segment", "kind", "metric", "op")

# What a project watches without setting anything up. Sources: serving-monitoring.md 5.3 and 6.1.
DEFAULTS: tuple[dict[str, Any], ...] = (
    {"name": "Data drift", "metric": Metric.DRIFT_PSI, "warn": 0.1, "critical": 0.25, "severity": Severity.CRITICAL},
    {"name": "Prediction drift", "metric": Metric.PREDICTION_PSI, "warn": 0.1, "critical": 0.25},
    {"name": "Missing values", "metric": Metric.NULL_SHARE, "warn": 0.05, "critical": 0.2},
    {"name": "Unseen values", "metric": Metric.UNSEEN, "warn": 0.01, "critical": 0.1, "severity": Severity.MEDIUM},
    {"name": "Out of range", "metric": Metric.OUTSIDE, "warn": 0.01, "critical": 0.1, "severity": Severity.MEDIUM},
    {
        "name": "Failed requests", "metric": Metric.ERROR_RATE, "warn": 0.01, "critical": 0.05, "min_samples": 20,
        "window_seconds": 300,
    },
    {
        "name": "Slow answers", "metric": Metric.LATENCY_P99, "warn": 1000.0, "critical": 5000.0, "min_samples": 20,
        "window_seconds": 300,
    },
    {
        "name": "Predictions not logged", "metric": Metric.LOG_DROPPED, "critical": 1.0, "needed": 1, "of": 1,
        "severity": Severity.CRITICAL, "window_seconds": 300,
    },
    {
        "name": "No requests", "metric": Metric.REQUESTS, "op": AlertRule.Op.BELOW, "critical": 1.0, "needed": 3,
        "severity": Severity.MEDIUM, "no_data_then": AlertRule.NoData.ALERT,
    },
)  # fmt: skip


def create(by: Actor, *, project: Project, **fields: Any) -> AlertRule:
    """Add a rule.

    Raises
    ------
    Invalid
        Naming every field that is wrong.
    Conflict
        When the project has a rule of that name.
    Forbidden
        When it rolls back and the caller may not do that.
    """
    require(by, Permission.MONITOR_EDIT, project)
    rule = AlertRule(project=project, created_by=by.user, **_checked(fields))
    _check_whole(rule)
    _answer_for(by, rule)
    with transaction.atomic():
        _save(rule)
        events.record(by, "rule.created", project=project, target=rule, data=_facts(rule))
    return rule


def draft(by: Actor, *, project: Project, **fields: Any) -> AlertRule:
    """Check a rule without keeping it, to play it back; raises as `create`."""
    require(by, Permission.MONITOR_VIEW, project)
    rule = AlertRule(project=project, **_checked(fields))
    _check_whole(rule)
    return rule


def update(by: Actor, *, rule: AlertRule, revision: int | None = None, **fields: Any) -> AlertRule:
    """Change a rule; alerts that it opened go on under the new limits.

    Raises
    ------
    Invalid
        Naming every field that is wrong.
    Conflict
        When the name is taken, or ``revision`` is given and somebody changed the rule in between.
    """
    require(by, Permission.MONITOR_EDIT, rule.project)
    with transaction.atomic():
        held = AlertRule.objects.select_for_update(no_key=True).get(pk=rule.pk)
        if revision is not None and revision != held.revision:
            at = f"{held.updated_at:%H:%M} UTC"
            raise Conflict(f"{held.name!r} was changed at {at}. Look at it again.", field="revision")
        for field, value in _checked(fields).items():
            setattr(held, field, value)
        held.revision += 1
        _check_whole(held)
        _answer_for(by, held)
        _save(held)
        if not held.enabled:
            alerts.close_of_rule(by, rule=held)
        events.record(by, "rule.updated", project=held.project, target=held, data=_facts(held))
    return held


def disable(by: Actor, *, rule: AlertRule) -> AlertRule:
    """Stop applying a rule; the alerts it has open are resolved with that reason."""
    require(by, Permission.MONITOR_EDIT, rule.project)
    return update(by, rule=rule, enabled=False)


def add_defaults(by: Actor, *, project: Project) -> int:
    """Give a project without rules the default ones, inside the caller's transaction and event."""
    require(by, Permission.MONITOR_EDIT, project)
    if AlertRule.objects.in_project(project).exists():
        return 0
    made = [
        AlertRule(project=project, created_by=by.user, built_in=True, name_key=names.key(fields["name"]), **fields)
        for fields in DEFAULTS
    ]
    AlertRule.objects.bulk_create(made)
    return len(made)


def _answer_for(by: Actor, rule: AlertRule) -> None:
    """Keep in whose name a rule rolls back: whoever set it last, who must be allowed to do it by hand."""
    rolls_back = rule.enabled and rule.action == AlertRule.Action.ROLLBACK
    if rolls_back:
        require(by, Permission.ENDPOINT_DEPLOY, rule.project)
    rule.on_behalf_of = by.user if rolls_back else None


def _save(rule: AlertRule) -> None:
    rule.name_key = names.key(rule.name)
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError as error:
        raise Conflict(f"This project has a rule named {rule.name!r}.", field="name") from error


def _facts(rule: AlertRule) -> dict[str, Any]:
    return {field: getattr(rule, field) for field in FIELDS} | {"segment": segments.told(rule)}


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Check each field alone and report all faults at once."""
    clean: dict[str, Any] = {}
    faults: list[dict[str, str]] = []
    for field, value in fields.items():
        try:
            clean[field] = _check_one(field, value)
        except DomainError as error:
            faults.append({"field": field, "message": error.message})
    if faults:
        raise Invalid(faults[0]["message"], field=faults[0]["field"], errors=faults)
    return clean


def _check_one(field: str, value: Any) -> Any:
    if field in TEXTS:
        return names.clean_text(value, field=field, limit=TEXTS[field], required=field == "name")
    if field in NUMBERS:
        return _number(field, value)
    if field in COUNTS:
        return _count(field, value)
    if field in CHOICES:
        if value not in CHOICES[field].values:
            known = ", ".join(CHOICES[field].values)
            raise Invalid(f"{field} must be one of: {known}.", field=field, got=str(value)[:100])
        return value
    if field in ("window_seconds", "labels"):
        return _labels(value) if field == "labels" else _window(value)
    if field == "inhibited_by":
        return None if value is None else matchers.lines(value, field=field)
    if field == "enabled" and isinstance(value, bool):
        return value
    if field == "enabled":
        raise Invalid("enabled is true or false.", field=field)
    raise Invalid(f"A rule has no setting {field!r}.", field=field, limit=list(FIELDS))


def _window(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not SHORTEST_WINDOW <= value <= LONGEST_WINDOW:
        limits = f"{SHORTEST_WINDOW} to {LONGEST_WINDOW:,}"
        raise Invalid(f"window_seconds must be a whole number from {limits}, or empty.", field="window_seconds")
    return value


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_LABELS:
        raise Invalid(f"labels is an object of at most {MOST_LABELS} names and texts.", field="labels")
    for name, text in value.items():
        if not LABEL.fullmatch(str(name)) or not isinstance(text, str) or len(text) > 200:
            raise Invalid(
                "A label has a name of letters, digits and _ and a text of at most 200 characters.", field="labels",
                got=str(name)[:100],
            )  # fmt: skip
        if name in OWN_LABELS:
            raise Invalid(f"Every alert carries {name!r} by itself.", field="labels", got=name)
    return dict(value)


def _number(field: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or abs(value) > 1e12:
        raise Invalid(f"{field} must be a number between -1e12 and 1e12, or empty.", field=field)
    return float(value)


def _count(field: str, value: Any) -> int:
    least, most = COUNTS[field]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{field} must be a whole number from {least} to {most:,}.", field=field)
    return value


def _check_whole(rule: AlertRule) -> None:
    if not rule.name or not rule.metric:
        field = "metric" if rule.name else "name"
        raise Invalid(f"A rule needs a {field}.", field=field)
    if rule.metric in UNMEASURED:
        raise Invalid("This metric belongs to alerts that no window opens; choose another.", field="metric")
    limits = [limit for limit in (rule.warn, rule.critical) if limit is not None]
    if not limits:
        raise Invalid("Give a warning limit, a critical limit or both.", field="warn")
    rising = rule.op == AlertRule.Op.ABOVE or rule.compare == AlertRule.Compare.CUSUM
    if len(limits) == 2 and (limits[0] > limits[1]) == rising and limits[0] != limits[1]:
        word = "at least" if rising else "at most"
        raise Invalid(f"The critical limit must be {word} the warning limit of {limits[0]:g}.", field="critical")
    if rule.clear is not None and (rule.clear > limits[0] if rising else rule.clear < limits[0]):
        raise Invalid("The clear limit must lie on the quiet side of the other limits.", field="clear")
    if rule.window_seconds and (rule.compare != AlertRule.Compare.STATIC or rule.over > 1):
        raise Invalid(
            "A window of its own goes with the value itself; comparisons take the windows of the endpoint.",
            field="window_seconds",
        )
    if rule.action == AlertRule.Action.ROLLBACK and rule.critical is None:
        raise Invalid("A rule that rolls back needs a critical limit; it acts at that one.", field="critical")
    if rule.needed > rule.of:
        raise Invalid(f"{rule.needed} of {rule.of} windows is not possible.", field="needed", limit=rule.of)
    _check_part(rule)


def _check_part(rule: AlertRule) -> None:
    """Check the column and the segment of a rule; those of one that is off may have gone."""
    if rule.column and rule.metric in WITHOUT_COLUMN:
        raise Invalid("This metric is not measured by column.", field="column")
    if rule.segment and rule.metric in OF_ALL:
        raise Invalid("This metric is measured of all requests together.", field="segment")
    if rule.segment and rule.enabled:
        segments.check(rule)
