"""How long it takes until somebody looks at an alert and until it is over: MTTA and MTTR."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import mean, median
from typing import Any

from django.db.models import Min, Q, QuerySet
from django.utils import timezone

from monitoring.models import Alert, AlertTransition
from monitoring.models.alerts import AlertState

DAYS = 30
MOST = 20_000
NEVER_FIRED = (AlertState.INACTIVE, AlertState.PENDING)


@dataclass(frozen=True)
class Waits:
    """Seconds on average and in the middle, over how many alerts; None without one."""

    mean_seconds: float | None = None
    median_seconds: float | None = None
    count: int = 0


@dataclass(frozen=True)
class Times:
    """What the alerts that fired in the last days took."""

    days: int
    fired: int
    acknowledge: Waits
    resolve: Waits

    def plain(self) -> dict[str, Any]:
        """Return it for the API."""
        return asdict(self)


def of_alerts(rows: QuerySet[Alert], *, days: int = DAYS, now: datetime | None = None) -> Times:
    """Measure the alerts that fired in the last days; one query.

    The time to acknowledge ends with the first acknowledgement, whether it was taken back later or not; one that was
    over before anybody looked counts for the time to resolve only.
    """
    since = (now or timezone.now()) - timedelta(days=days)
    seen = Min("transitions__at", filter=Q(transitions__kind=AlertTransition.Kind.ACKNOWLEDGED))
    fired = rows.filter(opened_at__gt=since).exclude(state__in=NEVER_FIRED).annotate(first_seen=seen)
    held = list(fired.order_by("-pk").values_list("opened_at", "first_seen", "resolved_at")[:MOST])
    return Times(
        days, len(held),
        _waits(first - opened for opened, first, _over in held if first),
        _waits(over - opened for opened, _first, over in held if over),
    )  # fmt: skip


def _waits(spans: Iterable[timedelta]) -> Waits:
    seconds = [max(span.total_seconds(), 0.0) for span in spans]
    return Waits(mean(seconds), median(seconds), len(seconds)) if seconds else Waits()
