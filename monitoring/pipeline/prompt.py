"""Rules with a window of their own that is shorter than the step of their monitor: when they look."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import Exists, Max, OuterRef

from monitoring.models import AlertRule, Monitor, RuleEvaluation
from monitoring.services.waiting import delay_of

MOST_WINDOWS = 200
GRACE_SHARE = 0.25
MOST_GRACE_SECONDS = 30
KEPT = timedelta(days=30)
BATCH = 5_000


def ends(seconds: int, since: datetime, now: datetime) -> list[datetime]:
    """Ends of the stretches of this length that are over, oldest first; of a long pause only the last 200.

    The shipper gets a quarter of the length, at most half a minute, to take over what came in them.
    """
    first = int(since.timestamp()) // seconds + 1
    last = int(now.timestamp() - min(seconds * GRACE_SHARE, MOST_GRACE_SECONDS)) // seconds
    return [
        datetime.fromtimestamp(number * seconds, tz=UTC)
        for number in range(max(first, last - MOST_WINDOWS + 1), last + 1)
    ]


def due(monitor: Monitor, rules: Iterable[AlertRule], now: datetime) -> list[tuple[AlertRule, datetime]]:
    """Which rules have to look at which of their own windows, oldest first; one query, none without such rules."""
    paces = [(rule, pace) for rule in rules if (pace := rule.pace_on(monitor))]
    if not paces:
        return []
    seen = RuleEvaluation.objects.filter(monitor=monitor, rule__in=[rule for rule, _pace in paces])
    last = dict(seen.order_by().values_list("rule").annotate(last=Max("window_end")))
    found = []
    for rule, pace in paces:
        since = last.get(rule.pk) or max(monitor.valid_from, rule.created_at)
        ready = now - timedelta(seconds=delay_of(rule, monitor))
        found += [(rule, end) for end in ends(pace, since, ready)]
    return sorted(found, key=lambda one: (one[1], one[0].pk))


def forget_old(now: datetime) -> int:
    """Drop what rules with windows of their own noted of each one more than 30 days ago; the newest note stays."""
    newer = RuleEvaluation.objects.filter(
        rule=OuterRef("rule"), monitor=OuterRef("monitor"), window_end__gt=OuterRef("window_end")
    )
    old = RuleEvaluation.objects.filter(Exists(newer), rule__window_seconds__isnull=False, window_end__lt=now - KEPT)
    gone = 0
    while keys := list(old.values_list("pk", flat=True)[:BATCH]):
        gone += RuleEvaluation.objects.filter(pk__in=keys).delete()[0]
    return gone
