"""Which alerts are hidden because a worse one of the same endpoint explains them."""

from collections.abc import Iterable

from mlportal.lib import matchers
from monitoring.models import Alert

# An endpoint nobody reaches has no drift, no latency and no labels worth a message.
DOWN = ["metric=traffic.requests, op=below", "metric=traffic.rps, op=below"]
HIDDEN_KINDS = ("drift", "quality", "latency", "performance", "fairness", "labels", "no_data")


def hides(alert: Alert) -> list[str]:
    """Return the matchers of alerts that hide this one: those of its rule, or what fits its kind."""
    given = alert.rule.inhibited_by
    if given is not None:
        return list(given)
    return DOWN if alert.kind in HIDDEN_KINDS else []


def inhibitor(alert: Alert) -> int | None:
    """Return the number of a firing alert of the same endpoint that hides this one."""
    lines = hides(alert)
    if not lines or not alert.endpoint:
        return None
    rows = Alert.objects.shown().filter(project=alert.project_id, endpoint=alert.endpoint)
    rows = rows.exclude(rule=alert.rule_id)  # the hundreds of its own rule explain nothing
    return among(alert, rows.select_related("rule"))


def among(alert: Alert, others: Iterable[Alert]) -> int | None:
    """As `inhibitor`, of alerts that were read already."""
    lines = hides(alert)
    for other in others:
        near = other.pk != alert.pk and other.endpoint == alert.endpoint and other.rule_id != alert.rule_id
        if near and alert.endpoint and matchers.any_holds(lines, other.all_labels):
            return other.pk
    return None
