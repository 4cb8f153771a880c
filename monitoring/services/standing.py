"""Alerts about the portal's own work, such as a retraining that stopped: no window measures them."""

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from monitoring.drift.lifecycle import Life, Move
from monitoring.models import Alert, AlertRule
from monitoring.models.alerts import OPEN
from monitoring.models.rules import Metric, Severity
from monitoring.services import timeline
from monitoring.services.timeline import Happening
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

RULE = "Retraining stopped"


def raise_alert(by: Actor, *, project: Project, labels: Mapping[str, str], title: str, detail: str) -> Alert:
    """Open an alert that stays until `end_alert`; one that is open already only counts once more."""
    require(by, Permission.ALERT_HANDLE, project)
    with transaction.atomic():
        rule = _rule(project) or _made(project)
        known = timeline.newest(timeline.fingerprint(rule.pk, dict(labels)))
        if known is not None and known.state in OPEN:
            Alert.objects.filter(pk=known.pk).update(seen=known.seen + 1, detail=detail[:1000])
            return known
        alert = timeline.blank(rule, None, dict(labels), Alert.Nature.VALUE)
        alert.title, alert.detail, alert.seen = title[:300], detail[:1000], 1
        life, move = Life(state="firing", level="critical"), Move("inactive", "firing", "critical", "trigger")
        timeline.follow(alert, life, (move,), Happening(by, timezone.now()))
    return alert


def end_alert(by: Actor, *, project: Project, labels: Mapping[str, str], text: str) -> Alert | None:
    """Resolve the alert with these labels, if it is open."""
    require(by, Permission.ALERT_HANDLE, project)
    with transaction.atomic():
        rule = _rule(project)
        known = timeline.newest(timeline.fingerprint(rule.pk, dict(labels))) if rule else None
        if known is None or known.state not in OPEN:
            return None
        life, move = Life(state="resolved", level=known.level), Move("firing", "resolved", known.level, "resolve")
        timeline.follow(known, life, (move,), Happening(by, timezone.now(), text=text))
    return known


def _rule(project: Project) -> AlertRule | None:
    """Return the rule such alerts hang on; the project is locked first, so that nobody makes a second."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    return AlertRule.objects.filter(project=project, metric=Metric.RETRAINING).select_related("project").first()


def _made(project: Project) -> AlertRule:
    taken = AlertRule.objects.in_project(project).filter(name_key=names.key(RULE)).exists()
    name = f"{RULE} (by the portal)" if taken else RULE
    return AlertRule.objects.create(
        project=project, metric=Metric.RETRAINING, name=name, name_key=names.key(name), built_in=True, critical=1.0,
        severity=Severity.HIGH,
    )  # fmt: skip
