"""Locks of what watches an endpoint, taken before the first event of a change.

Every event locks the head of the audit log until the commit, so whatever a change locks has to be locked before its
first event. The order is in ``docs/explanation/locks.md``: monitors, then alert rules, then alerts, each by number.
"""

from collections.abc import Iterable

from django.db.models import Q

from monitoring.models import Alert, AlertRule, Incident, Monitor
from projects.models import Project


def hold_endpoint(project: Project, endpoint: str, *, rules: Iterable[int] = ()) -> None:
    """Lock what a version going live moves in monitoring, in the caller's transaction.

    Parameters
    ----------
    endpoint
        Name of the endpoint.
    rules
        Alert rules that will be changed besides those of the endpoint.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    monitors = Monitor.objects.live().filter(project=project, endpoint=endpoint).order_by("pk")
    watched = list(monitors.select_for_update(no_key=True).values_list("pk", flat=True))
    wanted = AlertRule.objects.filter(Q(project=project, endpoint=endpoint) | Q(pk__in=list(rules))).order_by("pk")
    held = list(wanted.select_for_update(no_key=True).values_list("pk", flat=True))
    alerts = Alert.objects.open().filter(Q(monitor__in=watched) | Q(rule__in=held)).order_by("pk")
    list(alerts.select_for_update(no_key=True).values_list("pk", flat=True))


def hold_rule(rule_id: int, monitor_id: int, *, fingerprints: Iterable[str]) -> AlertRule:
    """Lock what the verdict about one window moves, in the caller's transaction. Returns the rule, read again.

    Parameters
    ----------
    fingerprints
        Of the alerts that the verdict is about; those the rule has open are locked as well.
    """
    monitor = Monitor.objects.select_for_update(no_key=True).only("pk", "endpoint").get(pk=monitor_id)
    rows = AlertRule.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    rule = rows.get(pk=rule_id)
    own = Alert.objects.open().filter(rule=rule) | Alert.objects.filter(fingerprint__in=list(fingerprints))
    list(own.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    folded = Incident.objects.open().filter(project=rule.project, endpoint=monitor.endpoint).order_by("pk")
    list(folded.select_for_update(no_key=True).values_list("pk", flat=True))
    return rule
