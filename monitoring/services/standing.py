"""Alerts that no window measures: a retraining that stopped by itself, a trial that is split wrongly."""

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

RULES = {Metric.RETRAINING: "Retraining stopped", Metric.SPLIT: "Split of a trial"}


def raise_alert(
    by: Actor, *, project: Project, labels: Mapping[str, str], title: str, detail: str,
    metric: Metric = Metric.RETRAINING,
) -> Alert:  # fmt: skip
    """Open an alert that stays until `end_alert`; one that is open already only counts once more."""
    require(by, Permission.ALERT_HANDLE, project)
    with transaction.atomic():
        rule = _rule(project, metric) or _made(project, metric)
        known = timeline.newest(timeline.fingerprint(rule.pk, dict(labels)))
        if known is not None and known.state in OPEN:
            Alert.objects.filter(pk=known.pk).update(seen=known.seen + 1, detail=detail[:1000])
            return known
        alert = timeline.blank(rule, None, dict(labels), Alert.Nature.VALUE)
        alert.title, alert.detail, alert.seen = title[:300], detail[:1000], 1
        life, move = Life(state="firing", level="critical"), Move("inactive", "firing", "critical", "trigger")
        timeline.follow(alert, life, (move,), Happening(by, timezone.now()))
    return alert


def end_alert(
    by: Actor, *, project: Project, labels: Mapping[str, str], text: str, metric: Metric = Metric.RETRAINING
) -> Alert | None:
    """Resolve the alert with these labels, if it is open."""
    require(by, Permission.ALERT_HANDLE, project)
    with transaction.atomic():
        rule = _rule(project, metric)
        known = timeline.newest(timeline.fingerprint(rule.pk, dict(labels))) if rule else None
        if known is None or known.state not in OPEN:
            return None
        life, move = Life(state="resolved", level=known.level), Move("firing", "resolved", known.level, "resolve")
        timeline.follow(known, life, (move,), Happening(by, timezone.now(), text=text))
    return known


def _rule(project: Project, metric: Metric) -> AlertRule | None:
    """Return the rule such alerts hang on; the project is locked first, so that nobody makes a second."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    return AlertRule.objects.filter(project=project, metric=metric).select_related("project").first()


def _made(project: Project, metric: Metric) -> AlertRule:
    usual = RULES[metric]
    taken = AlertRule.objects.in_project(project).filter(name_key=names.key(usual)).exists()
    name = f"{usual} (by the portal)" if taken else usual
    return AlertRule.objects.create(
        project=project, metric=metric, name=name, name_key=names.key(name), built_in=True, critical=1.0,
        severity=Severity.HIGH,
    )  # fmt: skip
