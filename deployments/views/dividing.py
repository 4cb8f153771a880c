"""What a page shows of the variants of an endpoint: split, steps, criteria, and pictures by minute."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from deployments.models import Endpoint, EndpointRevision, Rollout, RolloutCheck, Trial
from monitoring.charts import Line, Series
from monitoring.drift import shape
from monitoring.models import VariantCount

HOURS = 4
MOST_POINTS = 120
HISTORY = 12
SIDES = 2


@dataclass(frozen=True)
class Route:
    """One route as it is drawn: where its bar begins and how long it is, of 1000."""

    variant: str
    number: int
    share: float
    colour: int
    start: float
    width: float
    is_shadow: bool = False


@dataclass(frozen=True)
class Step:
    """One step of a rollout."""

    share: float
    words: str
    is_now: bool
    is_done: bool


@dataclass(frozen=True)
class Side:
    """What one variant was asked in the last hours."""

    variant: str
    label: str
    colour: int
    requests: int
    errors: int
    sticky: int
    p50_ms: float | None
    p99_ms: float | None
    mean_score: float | None
    dropped: int
    differing: int
    rows: int

    @property
    def error_share(self) -> float:
        """Share of requests without a prediction."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def differing_share(self) -> float:
        """Of a shadow: share of rows that it answered otherwise."""
        return self.differing / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Stretch:
    """Who answered in a span of time."""

    since: datetime
    until: datetime | None
    words: str
    kind: str
    reason: str


def context(endpoint: Endpoint) -> dict[str, Any]:
    """Return everything about the division of one endpoint's requests; four queries, one more for a rollout."""
    rollout = Rollout.objects.with_subject().filter(endpoint=endpoint).exclude(state="draft").order_by("-pk").first()
    check = RolloutCheck.objects.filter(rollout=rollout).order_by("-at").first() if rollout else None
    live = endpoint.current_revision
    counts = list(_counts(endpoint))
    return {
        "routes": _routes(live) if live else [],
        "rollout": rollout,
        "rollout_steps": _steps(rollout, check) if rollout else [],
        "check": check,
        "sides": _sides(counts),
        "pictures": _pictures(counts),
        "drafts": Rollout.objects.with_subject().filter(
            endpoint=endpoint, state="draft", promotion__state__in=["pending", "approved"]
        ),
        "trials": Trial.objects.filter(endpoint=endpoint).order_by("-pk")[:5],
        "stretches": _stretches(endpoint),
    }


def _routes(live: EndpointRevision) -> list[Route]:
    """The routes, what was live first."""
    drawn: list[Route] = []
    start = 0.0
    for place, row in enumerate(reversed(live.routes), start=1):
        is_shadow = row["mode"] == VariantCount.Mode.SHADOW
        width = 0.0 if is_shadow else 1000 * row["weight"]
        drawn.append(Route(row["variant"], row["version"], row["weight"], place, start, width, is_shadow))
        start += width
    return drawn


def _steps(rollout: Rollout, check: RolloutCheck | None) -> list[Step]:
    moving = rollout.paused_in or rollout.state
    steps = []
    for place, row in enumerate(rollout.steps):
        is_now = rollout.is_open and moving == Rollout.State.CANARY and place == rollout.step
        is_done = rollout.state == Rollout.State.PROMOTED or (moving == Rollout.State.CANARY and place < rollout.step)
        words = f"{row['minutes']} min and {row['requests']:,} requests"
        if is_now and check is not None and check.step == place:
            words = f"{check.requests:,} of {row['requests']:,} requests, {row['minutes']} min"
        steps.append(Step(row["share"], "done" if is_done else words, is_now, is_done))
    return steps


def _counts(endpoint: Endpoint) -> Iterable[VariantCount]:
    since = timezone.now() - timedelta(hours=HOURS)
    rows = VariantCount.objects.filter(project=endpoint.project_id, endpoint=endpoint.name, minute__gte=since)
    return rows.order_by("minute", "pk")


def _sides(counts: list[VariantCount]) -> list[Side]:
    grouped: dict[tuple[str, str], list[VariantCount]] = {}
    for row in counts:
        grouped.setdefault((row.variant, row.label), []).append(row)
    ordered = sorted(grouped.items(), key=lambda item: (item[0][0] not in ("champion", "control"), item[0]))
    return [_side(variant, label, place, rows) for place, ((variant, label), rows) in enumerate(ordered, start=1)]


def _side(variant: str, label: str, colour: int, rows: list[VariantCount]) -> Side:
    whole = shape.merge([{"counts": row.latency, "nulls": 0} for row in rows if row.latency] or [_NOTHING])
    scored = sum(sum(row.scores) for row in rows)
    return Side(
        variant, label, colour, sum(row.requests for row in rows), sum(row.errors for row in rows),
        sum(row.sticky for row in rows), _ms(whole, 0.5), _ms(whole, 0.99),
        sum(row.score_sum for row in rows) / scored if scored else None, sum(row.dropped for row in rows),
        sum(row.differing for row in rows), sum(row.rows for row in rows),
    )  # fmt: skip


_NOTHING: shape.Counts = {"counts": [0], "nulls": 0}


def _ms(counts: shape.Counts, share: float) -> float | None:
    found = shape.latency_us(counts, share)
    return None if found is None else found / 1000


def _pictures(counts: list[VariantCount]) -> list[dict[str, Any]]:
    """Latency, volume and errors of each variant over time, and the scores side by side."""
    if not counts:
        return []
    minutes = sorted({row.minute for row in counts})[-MOST_POINTS:]
    sides = _sides(counts)
    found: dict[tuple[str, str], dict[datetime, list[VariantCount]]] = {}
    for row in counts:
        found.setdefault((row.variant, row.label), {}).setdefault(row.minute, []).append(row)
    wanted = (
        ("latency", "Latency p99", "ms", _p99), ("volume", "Requests a minute", "", _requests),
        ("faults", "Errors", "%", _faults),
    )  # fmt: skip
    drawn = []
    for key, heading, unit, value in wanted:
        series = Series(minutes, [_line(side, minutes, found, value) for side in sides], unit=unit)
        drawn.append({"id": f"dv-{key}", "heading": heading, "series": series, "plot": series.plot()})
    scores = _score_lines(sides, found)
    return [*drawn, scores] if scores else drawn


def _line(side: Side, minutes: list[datetime], found: Any, value: Any) -> Line:
    by_minute = found[side.variant, side.label]
    values = [value(by_minute[minute]) if minute in by_minute else None for minute in minutes]
    return Line(f"{side.label} {side.variant}", values, side.colour)


def _p99(rows: list[VariantCount]) -> float | None:
    filled = [{"counts": row.latency, "nulls": 0} for row in rows if row.latency]
    found = _ms(shape.merge(filled), 0.99) if filled else None
    return None if found is None else round(found, 3)


def _requests(rows: list[VariantCount]) -> float:
    return float(sum(row.requests for row in rows))


def _faults(rows: list[VariantCount]) -> float | None:
    asked = sum(row.requests for row in rows)
    return round(100 * sum(row.errors for row in rows) / asked, 3) if asked else None


def _score_lines(sides: list[Side], found: Any) -> dict[str, Any] | None:
    """Shares of the scores in each bin, what was live first; None unless two variants were counted alike."""
    summed: list[tuple[Side, list[int]]] = []
    for side in sides:
        rows = [row.scores for each in found[side.variant, side.label].values() for row in each if sum(row.scores)]
        if rows and len({len(row) for row in rows}) == 1:
            summed.append((side, [sum(column) for column in zip(*rows, strict=True)]))
    if len(summed) < SIDES or len({len(row) for _, row in summed}) > 1:
        return None
    bins = [f"{place}" for place in range(1, len(summed[0][1]) + 1)]
    sets = [
        {"name": f"{side.label} {side.variant}", "y": [round(count / sum(row), 4) for count in row], "k": side.colour}
        for side, row in summed[:SIDES]
    ]
    rows = [(name, *(each["y"][place] for each in sets)) for place, name in enumerate(bins)]
    return {
        "bins": rows, "names": [each["name"] for each in sets],
        "plot": {"cat": True, "x": bins, "sets": sets, "xt": "Bin of the score", "yt": "Share of predictions"},
    }  # fmt: skip


def _stretches(endpoint: Endpoint) -> list[Stretch]:
    """Who answered, newest first."""
    rows = endpoint.intervals.select_related("revision__version").order_by("-valid_from", "-pk")[:HISTORY]
    return [
        Stretch(row.valid_from, row.valid_to, _words(row.revision, enabled=row.enabled),
                row.revision.get_kind_display(), row.revision.reason)
        for row in rows
    ]  # fmt: skip


def _words(revision: EndpointRevision, *, enabled: bool) -> str:
    if not enabled:
        return "off"
    if not revision.routes:
        return f"100% {revision.version.label}"
    parts = [
        f"v{row['version']} listens"
        if row["mode"] == VariantCount.Mode.SHADOW
        else f"{row['weight']:.0%} v{row['version']}"
        for row in reversed(revision.routes)
    ]
    return ", ".join(parts)
