"""Take in alerts that an Alertmanager sends, so that they are triaged, silenced and routed like the portal's own."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from mlportal.lib import again, names
from mlportal.lib.errors import Invalid, TooLarge
from monitoring.drift.lifecycle import Life, Move
from monitoring.models import Alert, AlertRule
from monitoring.models.alerts import OPEN
from monitoring.models.rules import SEVERITY_RANK, Metric, Severity
from monitoring.services import timeline
from monitoring.services.timeline import Happening
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

MOST_ALERTS = 500
MOST_LABELS = 60
RULE = "Alertmanager"
SEVERITIES = {
    "critical": Severity.CRITICAL, "page": Severity.CRITICAL, "error": Severity.HIGH, "high": Severity.HIGH,
    "warning": Severity.MEDIUM, "medium": Severity.MEDIUM, "info": Severity.LOW, "low": Severity.LOW,
}  # fmt: skip


@again.after_deadlock
def receive(by: Actor, *, project: Project, body: Any) -> list[Alert]:
    """Open or resolve an alert for each of a webhook body of Alertmanager (version 4); a repeat changes nothing.

    Returns
    -------
    list of Alert
        Those that changed.

    Raises
    ------
    Invalid
        When the body is not of that shape.
    TooLarge
        For more than 500 alerts in one body.
    """
    require(by, Permission.ALERT_HANDLE, project)
    told = [_checked(number, one) for number, one in enumerate(_alerts(body))]
    now = timezone.now()
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        rule = _rule(project)
        known = timeline.newest_of([_print(one["labels"]) for one in told])
        moved = []
        for one in told:
            alert = _apply(Happening(by, now), rule, one, known.get(_print(one["labels"])))
            if alert is not None:
                known[alert.fingerprint] = alert
                moved.append(alert)
    return moved


def _alerts(body: Any) -> list[Any]:
    if not isinstance(body, Mapping) or not isinstance(body.get("alerts"), list):
        raise Invalid("The body must be that of Alertmanager's webhook: an object with a list of alerts.",
                      field="alerts")  # fmt: skip
    if str(body.get("version", "4")) != "4":
        raise Invalid("Only version 4 of the webhook is understood.", field="version", got=str(body["version"])[:20])
    if len(body["alerts"]) > MOST_ALERTS:
        raise TooLarge(f"At most {MOST_ALERTS} alerts in one body.", field="alerts", limit=MOST_ALERTS)
    return list(body["alerts"])


def _checked(number: int, one: Any) -> dict[str, Any]:
    place = f"alerts[{number}]"
    if not isinstance(one, Mapping) or one.get("status") not in ("firing", "resolved"):
        raise Invalid(f"{place} needs a status: firing or resolved.", field=f"{place}.status")
    labels, notes = one.get("labels"), one.get("annotations") or {}
    for field, given in (("labels", labels), ("annotations", notes)):
        if not isinstance(given, Mapping) or len(given) > MOST_LABELS:
            raise Invalid(f"{place}.{field} is an object of at most {MOST_LABELS} texts.", field=f"{place}.{field}")
        if not all(isinstance(name, str) and isinstance(text, str) for name, text in given.items()):
            raise Invalid(f"{place}.{field} holds something that is no text.", field=f"{place}.{field}")
    clean = {names.clean_text(name, field=place, limit=200): names.clean_text(text, field=place, limit=2000)
             for name, text in (labels or {}).items()}  # fmt: skip
    if not clean.get("alertname"):
        raise Invalid(f"{place}.labels needs an alertname.", field=f"{place}.labels")
    return {"status": one["status"], "labels": clean, "notes": dict(notes)}


def _print(labels: Mapping[str, str]) -> str:
    body = json.dumps(["alertmanager", sorted(labels.items())], ensure_ascii=False)
    return hashlib.sha256(body.encode()).hexdigest()


def _rule(project: Project) -> AlertRule:
    """The rule that alerts from outside hang on; it is never applied to a window."""
    found, _new = AlertRule.objects.get_or_create(
        project=project, metric=Metric.EXTERNAL,
        defaults={"name": _free_name(project), "name_key": names.key(_free_name(project)), "built_in": True},
    )  # fmt: skip
    return found


def _free_name(project: Project) -> str:
    taken = AlertRule.objects.in_project(project).filter(name_key=names.key(RULE)).exists()
    return f"{RULE} (incoming)" if taken else RULE


def _apply(happening: Happening, rule: AlertRule, one: dict[str, Any], known: Alert | None) -> Alert | None:
    is_open = known is not None and known.state in OPEN
    if (one["status"] == "firing") == is_open:
        return None
    if known is not None and is_open:
        move = Move("firing", "resolved", known.level, "resolve")
        timeline.follow(known, Life(state="resolved", level=known.level), (move,), happening)
        return known
    alert = _new(rule, one)
    level = "critical"
    timeline.follow(
        alert, Life(state="firing", level=level), (Move("inactive", "firing", level, "trigger"),), happening
    )
    return alert


def _new(rule: AlertRule, one: dict[str, Any]) -> Alert:
    labels, notes = one["labels"], one["notes"]
    alert = timeline.blank(rule, None, labels, Alert.Nature.EXTERNAL)
    alert.fingerprint = _print(labels)
    alert.endpoint, alert.version = labels.get("endpoint", "")[:210], labels.get("version", "")[:200]
    alert.column = labels.get("column", "")[:500]
    alert.title = str(notes.get("summary") or labels["alertname"])[:300]
    alert.detail = str(notes.get("description") or notes.get("message") or "")[:1000]
    alert.seen = 1
    alert.severity = SEVERITIES.get(labels.get("severity", "").lower(), Severity.MEDIUM)
    alert.severity_rank = SEVERITY_RANK[alert.severity]
    return alert
