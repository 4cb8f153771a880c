"""The requests an hour that an approval allows a version, counted after they were answered."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from deployments.models import Condition, PromotionRequest
from monitoring.drift import shape
from monitoring.models import Bucket, Monitor

HOUR = timedelta(hours=1)
SECONDS = 3600
Stretch = tuple[datetime, int]


def broken(item: Condition, *, now: datetime) -> str:
    """Say which clock hour had more requests than allowed, the present one or the one before; else empty.

    The hour before is looked at too: its last requests are counted after it is over.
    """
    assert item.limit is not None  # the database asks for it
    for (start, seconds), seen in sorted(_answered(item.request, now=now).items()):
        if seen > item.limit * max(seconds / SECONDS, 1):
            length = "hour" if seconds <= SECONDS else f"{seconds / SECONDS:g} hours"
            return f"{seen:,} requests in the {length} from {start:%H:%M} UTC."
    return ""


def _answered(request: PromotionRequest, *, now: datetime) -> Counter[Stretch]:
    """Count the requests of a version by stretch, those it got as a share included, those of other versions not.

    A stretch is a clock hour. Where people chose to count in pieces that no hour is made of, each piece is one: so
    many requests in two hours are certainly too many when they would be in two times one.
    """
    name = {"project": request.project_id, "endpoint": request.endpoint_name, "version": request.version.label}
    pieces = dict(Monitor.objects.filter(**name).values_list("pk", "bucket_seconds"))
    earliest = max(_hour(now) - HOUR, _hour(request.decided_at or now))
    reach = timedelta(seconds=max(pieces.values(), default=0))
    rows = Bucket.objects.filter(monitor__in=list(pieces), column=shape.TRAFFIC, hour__gt=earliest - reach)
    held: Counter[Stretch] = Counter()
    for start, monitor, seen in rows.order_by().values_list("hour", "monitor", "rows"):
        seconds = pieces[monitor]
        stretch = (_hour(start), SECONDS) if SECONDS % seconds == 0 else (start, seconds)
        if stretch[0] + timedelta(seconds=stretch[1]) > earliest:
            held[stretch] += seen
    return held


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
