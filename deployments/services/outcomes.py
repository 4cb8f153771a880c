"""What came of each variant: counts by minute, and outcomes by unit with ground truth."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Avg, Case, Count, F, FloatField, Max, Sum, Value, When
from django.db.models.functions import Abs, Greatest, Ln

from deployments.models import Trial
from deployments.traffic.criteria import Seen
from deployments.traffic.sequence import Arm
from monitoring.models import DivisionArm, DivisionSource, Prediction, VariantCount

Metric = Trial.Metric
SUMS = ("requests", "errors", "assigned", "bad_outputs", "load_failures")


def seen(sources: Sequence[int], *, since: datetime | None = None, until: datetime | None = None) -> dict[str, Seen]:
    """Return what each variant of some revisions was asked, without distributions: two queries."""
    rows = _rows(sources, since, until)
    found: dict[str, Seen] = {}
    totals = {name: Sum(name) for name in SUMS} | {"timeouts_in_a_row": Max("timeouts_in_a_row")}
    for row in rows.order_by().values("variant").annotate(**{f"total_{name}": each for name, each in totals.items()}):
        held = found[row["variant"]] = Seen()
        for name in totals:
            setattr(held, name, row[f"total_{name}"] or 0)
    for variant, trouble in rows.exclude(trouble="").order_by("minute").values_list("variant", "trouble"):
        found[variant].trouble = trouble
    return found


def loaded(sources: Sequence[int], variant: str) -> bool:
    """Tell whether a serving process has said that it has a variant of the newest revision ready."""
    return VariantCount.objects.filter(source__in=list(sources), variant=variant, loads__gt=0).exists()


def distributions(sources: Sequence[int], *, since: datetime, until: datetime) -> dict[str, Seen]:
    """Return latencies and scores of each variant over a short time: one query."""
    found: dict[str, Seen] = {}
    rows = _rows(sources, since, until).values_list("variant", "latency", "scores", "requests")
    for variant, latency, scores, requests in rows:
        held = found.setdefault(variant, Seen())
        held.latency, held.scores = _added(held.latency, latency), _added(held.scores, scores)
        held.requests += requests
    return found


def arms(sources: Sequence[int], *, metric: str, positive: str = "", sign: float = 1.0) -> dict[str, Arm]:
    """Return the outcomes of each variant's units: of each unit the mean over its predictions. Two queries.

    Sums are kept where predictions and labels come in, so this reads as many rows as there are variants. What began
    before sums were kept is read from the log.

    Parameters
    ----------
    sign : float
        -1 turns a metric of which less is better around.
    """
    kept = _kept(sources)
    if kept is not None:
        return {row.variant: Arm(row.units, sign * row.total, row.squares) for row in kept if row.units}
    rows = Prediction.objects.filter(chunk__source__in=list(sources), unit__isnull=False)
    if metric != Metric.LATENCY:
        rows = rows.filter(truths__isnull=False)
    if metric == Metric.ERROR:
        rows = rows.filter(truths__number__isnull=False, score__isnull=False)
    grouped = rows.order_by().values_list("chunk__variant", "unit").annotate(mean=Avg(_outcome(metric, positive)))
    return _summed(((variant, sign * mean) for variant, _, mean in grouped.iterator(chunk_size=5_000)))


def units(sources: Sequence[int]) -> dict[str, int]:
    """Return how many different units each variant got: two queries."""
    kept = _kept(sources)
    if kept is not None:
        return {row.variant: row.met for row in kept}
    rows = Prediction.objects.filter(chunk__source__in=list(sources), unit__isnull=False).order_by()
    counted = rows.values("chunk__variant").annotate(units=Count("unit", distinct=True))
    return {row["chunk__variant"]: row["units"] for row in counted}


def truths(sources: Sequence[int]) -> int | None:
    """Return how often ground truth of some revisions came or changed; None when nobody counted. Two queries."""
    kept = _kept(sources)
    return None if kept is None else sum(row.truths for row in kept)


def _kept(sources: Sequence[int]) -> list[DivisionArm] | None:
    """The sums of some revisions; None when nobody kept any."""
    known = DivisionSource.objects.filter(source__in=list(sources)).values_list("division_id", flat=True).first()
    return None if known is None else list(DivisionArm.objects.filter(division_id=known))


def _outcome(metric: str, positive: str) -> Any:
    if metric == Metric.LATENCY:
        return Ln(Greatest(F("latency_us"), Value(1)), output_field=FloatField())
    if metric == Metric.ERROR:
        return Abs(F("truths__number") - F("score"), output_field=FloatField())
    hit = When(truths__label=F("value"), then=Value(1.0))
    if metric == Metric.CONVERSION:
        hit = When(truths__label=positive, then=Value(1.0))
    return Case(hit, default=Value(0.0), output_field=FloatField())


def _summed(outcomes: Iterable[tuple[str, float]]) -> dict[str, Arm]:
    held: dict[str, list[float]] = {}
    for variant, value in outcomes:
        sums = held.setdefault(variant, [0, 0.0, 0.0])
        sums[0] += 1
        sums[1] += value
        sums[2] += value * value
    return {variant: Arm(int(units), total, squares) for variant, (units, total, squares) in held.items()}


def _rows(sources: Sequence[int], since: datetime | None, until: datetime | None) -> Any:
    rows = VariantCount.objects.filter(source__in=list(sources))
    if since is not None:
        rows = rows.filter(minute__gte=since)
    return rows.filter(minute__lt=until) if until is not None else rows


def _added(held: list[int], more: list[int]) -> list[int]:
    if not held or len(held) != len(more):
        return list(more) or held
    return [one + other for one, other in zip(held, more, strict=True)]
