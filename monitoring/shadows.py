"""How a version that only listens compares with what answers, in the minutes that both were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.drift import distance, shape
from monitoring.drift.measures import Measure
from monitoring.models import Monitor, VariantCount

MOST_MINUTES = 1_500  # a version listens for a day at most
LEAST_SCORES = 200
WARN, ALERT = 0.10, 0.25


@dataclass(frozen=True, slots=True)
class Side:
    """What one of both was asked; latencies in milliseconds."""

    label: str
    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    mean_score: float | None

    @property
    def error_share(self) -> float:
        """Share of requests without a prediction."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Beside:
    """A shadow beside what answered.

    Parameters
    ----------
    rows, differing : int
        Rows the shadow answered, and how many of them otherwise than the caller heard.
    dropped : int
        Requests it had no time for.
    psi : float or None
        Of its scores against those of what answered; None under 200 of either.
    limit : float
        What chance alone may reach.
    """

    shadow: Side
    live: Side
    since: datetime
    until: datetime
    rows: int
    differing: int
    dropped: int
    psi: float | None
    limit: float

    @property
    def differing_share(self) -> float:
        """Share of rows answered otherwise."""
        return self.differing / self.rows if self.rows else 0.0

    @property
    def sides(self) -> tuple[Side, Side]:
        """What answered, then the shadow."""
        return self.live, self.shadow

    @property
    def icon(self) -> str:
        """Name of the icon of the state."""
        return {"ok": "circle-check", "warn": "alert-triangle", "bad": "circle-x"}.get(self.state, "circle-dashed")

    @property
    def state(self) -> str:
        """How far the scores lie apart, as drift is judged: bad, warn, ok, or empty when too few."""
        if self.psi is None:
            return ""
        return "bad" if self.psi > max(ALERT, self.limit) else "warn" if self.psi > max(WARN, self.limit) else "ok"


def beside(monitor: Monitor, since: datetime, until: datetime) -> Beside | None:
    """Compare the newest shadow of an endpoint with what answered beside it; one query without a shadow, else two."""
    rows = VariantCount.objects.filter(
        project=monitor.project_id, endpoint=monitor.endpoint, minute__gte=since, minute__lt=until
    )
    heard = list(rows.filter(mode=VariantCount.Mode.SHADOW).order_by("-minute", "-pk")[:MOST_MINUTES])
    if not heard:
        return None
    own = [row for row in heard if (row.label, row.variant) == (heard[0].label, heard[0].variant)]
    first, last = own[-1].minute, own[0].minute
    sources = {row.source for row in own}
    beside_it = rows.filter(mode=VariantCount.Mode.LIVE, source__in=sources, minute__gte=first, minute__lte=last)
    answered = list(beside_it.filter(label=monitor.version))
    if not answered:
        return None
    psi, limit = _apart(answered, own)
    return Beside(
        _side(own), _side(answered), first, last, sum(row.rows for row in own), sum(row.differing for row in own),
        sum(row.dropped for row in own), psi, limit,
    )  # fmt: skip


def measures(monitor: Monitor, since: datetime, until: datetime) -> dict[str, Measure]:
    """Figures of the shadow of what is live by name; empty without one."""
    found = None if monitor.variant else beside(monitor, since, until)
    if found is None:
        return {}
    told = f"{found.shadow.label} beside {found.live.label}."
    p99 = found.shadow.p99_ms
    return {
        "shadow.psi": Measure(found.psi, found.rows, told),
        "shadow.differing_share": Measure(found.differing_share, found.rows, told),
        "shadow.error_rate": Measure(found.shadow.error_share, found.shadow.requests, told),
        "shadow.latency_p99": Measure(p99, found.shadow.requests, told),
        "shadow.dropped": Measure(float(found.dropped), found.shadow.requests, told),
    }


def _side(rows: Sequence[VariantCount]) -> Side:
    latency = _sum([row.latency for row in rows])
    scores = sum(sum(row.scores) for row in rows)
    counts: shape.Counts = {"counts": latency or [0], "nulls": 0}
    return Side(
        rows[0].label, sum(row.requests for row in rows), sum(row.errors for row in rows), _ms(counts, 0.5),
        _ms(counts, 0.99), sum(row.score_sum for row in rows) / scores if scores else None,
    )  # fmt: skip


def _ms(counts: shape.Counts, share: float) -> float | None:
    found = shape.latency_us(counts, share)
    return None if found is None else found / 1000


def _apart(live: Sequence[VariantCount], shadow: Sequence[VariantCount]) -> tuple[float | None, float]:
    before, after = _sum([row.scores for row in live]), _sum([row.scores for row in shadow])
    if len(before) != len(after) or len(before) < 2 or min(sum(before), sum(after)) < LEAST_SCORES:
        return None, 0.0
    return distance.psi(before, after), distance.psi_limit(len(before), sum(before), sum(after))


def _sum(rows: Sequence[list[int]]) -> list[int]:
    """Counts of the same bins added; those that were counted otherwise are left out."""
    filled = [row for row in rows if row]
    return [sum(column) for column in zip(*(row for row in filled if len(row) == len(filled[0])), strict=True)]
