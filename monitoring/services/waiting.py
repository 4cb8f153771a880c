"""How long a rule waits before it looks at a window: its own delay, or as long as labels take."""

from django.db.models import Q

from monitoring.models import AlertRule, Monitor

# Asked about an endpoint. Of a version only "at most" is asked: few requests are what a small share is for.
OF_THE_WHOLE = ("traffic.requests", "traffic.rps")
ABOUT_A_SHARE = ~Q(metric__in=OF_THE_WHOLE) | (~Q(version="") & Q(op=AlertRule.Op.ABOVE))
LABELLED_FAIRNESS = ("fairness.tpr", "fairness.fpr", "fairness.accuracy")


def of_one_version(rule: AlertRule) -> bool:
    """Whether a rule asks how many requests a version got, not its endpoint."""
    return rule.metric in OF_THE_WHOLE and bool(rule.version) and rule.op == AlertRule.Op.ABOVE


def needs_labels(metric: str) -> bool:
    """Whether a metric can only be told once labels have come; the wait itself and estimates need none."""
    if metric.startswith("performance."):
        return not metric.startswith("performance.estimated.")
    return metric == "label.coverage" or metric.startswith(LABELLED_FAIRNESS)


def delay_of(rule: AlertRule, monitor: Monitor) -> int:
    """Seconds from the end of a window to the moment a rule may judge it."""
    due = monitor.label_delay_seconds if needs_labels(rule.metric) else 0
    return max(rule.evaluation_delay, due)
