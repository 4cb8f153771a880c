"""Keep sums of what came of the units that versions share, in the transactions that store predictions and labels."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from monitoring.models import Division, DivisionArm, DivisionSource, DivisionUnit, Prediction
from monitoring.services.performance import Change, Truth
from projects.models import Project

Metric = Division.Metric
BATCH = 1_000
MOST_FORGOTTEN = 5_000

Held = dict[int, Division]  # by source
Added = dict[int, tuple[int, float]]  # rows and sum of outcomes by unit
Place = tuple[int, str]  # division and variant


def follow(*, project: Project, key: str, source: int, earlier: Sequence[int], metric: str, positive: str = "") -> None:
    """Count the units of a revision from now on, in the transaction that makes it.

    Parameters
    ----------
    key
        What divides the units.
    earlier
        Its revisions before this one. When nobody counted those, as before sums were kept, this one is not either:
        half of the units would be worse than the log read whole.
    metric, positive
        What is measured; of a division that is known they stay as they are.
    """
    known = DivisionSource.objects.filter(source__in=list(earlier)).first()
    if known is not None:
        DivisionSource.objects.create(division_id=known.division_id, source=source)
    elif not earlier:
        made = Division.objects.create(project=project, key=key, metric=metric, positive=positive)
        DivisionSource.objects.create(division=made, source=source)


def end(*, key: str, at: datetime) -> None:
    """Add nothing more to a division; its sums stay."""
    Division.objects.filter(key=key, ended_at=None).update(ended_at=at)


def forget_ended(*, most: int = MOST_FORGOTTEN) -> int:
    """Drop rows of units whose division is over; returns how many, at most ``most``."""
    found = DivisionUnit.objects.filter(division__ended_at__isnull=False).values_list("pk", flat=True)[:most]
    return int(DivisionUnit.objects.filter(pk__in=list(found)).delete()[0])


def count(drafts: Iterable[tuple[dict[str, Any], Iterable[dict[str, Any]]]]) -> None:
    """Add the lines of divided revisions, each with its header; before the labels of their predictions.

    A request that named no unit is one by itself. It needs no row unless a label comes for it.
    """
    told = [(header, [record for record in records if _counts(record)]) for header, records in drafts]
    held = _hold(header["revision_id"] for header, records in told if records)
    for header, records in told:
        division = held.get(header["revision_id"])
        if division is not None and records:
            _count(division, header["variant"], records)


def apply(changes: Iterable[Change]) -> None:
    """Add what labels change about the units of their predictions, in the caller's transaction."""
    kept = [change for change in changes if change.before != change.after and change.prediction.unit is not None]
    held = _hold(change.prediction.chunk.source for change in kept)
    found: dict[Place, Added] = {}
    told: Counter[Place] = Counter()
    for change in kept:
        division = held.get(change.prediction.chunk.source)
        if division is None or division.metric == Metric.LATENCY:
            continue
        place = division.pk, change.prediction.chunk.variant
        told[place] += 1
        added = found.setdefault(place, {})
        for rows, value in _outcomes(division, change):
            _put(added, int(change.prediction.unit or 0), rows, rows * value)
    for (division_id, variant), added in sorted(found.items()):
        arm = _arm(division_id, variant)
        arm.truths += told[division_id, variant]
        _add(arm, added)


def _counts(record: dict[str, Any]) -> bool:
    """Whether a line is an answer that the split assigned; who named a version is left out."""
    return record["kind"] == "prediction" and record.get("unit") is not None


def _hold(sources: Iterable[int]) -> Held:
    """Lock the divisions of some revisions in one order; one that is over is none."""
    wanted = set(sources)
    if not wanted:
        return {}
    of_source = dict(DivisionSource.objects.filter(source__in=wanted).values_list("source", "division_id"))
    rows = Division.objects.filter(pk__in=set(of_source.values()), ended_at=None).order_by("pk")
    locked = {row.pk: row for row in rows.select_for_update(no_key=True)}
    return {source: locked[number] for source, number in of_source.items() if number in locked}


def _count(division: Division, variant: str, records: list[dict[str, Any]]) -> None:
    timed = division.metric == Metric.LATENCY
    arm = _arm(division.pk, variant)
    named: Added = {}
    for record in records:
        rows, value = (len(record["ids"]), math.log(max(record["us"], 1))) if timed else (0, 0.0)
        if record.get("sticky"):
            _put(named, record["unit"], rows, rows * value)
            continue
        arm.met += 1
        if rows:
            _enter(arm, value, 1)
    _add(arm, named, met=True)


def _put(added: Added, unit: int, rows: int, total: float) -> None:
    before = added.get(unit, (0, 0.0))
    added[unit] = (before[0] + rows, before[1] + total)


def _outcomes(division: Division, change: Change) -> Iterator[tuple[int, float]]:
    """What a label takes away and adds: -1 or 1 row, and its outcome."""
    for rows, truth in ((-1, change.before), (1, change.after)):
        value = None if truth is None else _outcome(division, change.prediction, truth)
        if value is not None:
            yield rows, value


def _outcome(division: Division, prediction: Prediction, truth: Truth) -> float | None:
    if division.metric == Metric.ERROR:
        known = truth.number is not None and prediction.score is not None
        return abs(float(truth.number or 0.0) - float(prediction.score or 0.0)) if known else None
    wanted = division.positive if division.metric == Metric.CONVERSION else prediction.value
    return float(truth.label == wanted)


def _arm(division_id: int, variant: str) -> DivisionArm:
    return DivisionArm.objects.get_or_create(division_id=division_id, variant=variant)[0]


def _add(arm: DivisionArm, added: Added, *, met: bool = False) -> None:
    """Change units and the sums over them; the division is locked. ``met`` tells that new ones are new to the arm."""
    places = sorted(added)
    for start in range(0, len(places), BATCH):
        _add_batch(arm, {unit: added[unit] for unit in places[start : start + BATCH]}, met=met)
    arm.save(update_fields=["met", "units", "total", "squares", "truths"])


def _add_batch(arm: DivisionArm, added: Added, *, met: bool) -> None:
    kept = DivisionUnit.objects.filter(division_id=arm.division_id, variant=arm.variant, unit__in=list(added))
    known = {row.unit: row for row in kept}
    changed = []
    for unit, (rows, total) in added.items():
        row = known.get(unit) or DivisionUnit(division_id=arm.division_id, variant=arm.variant, unit=unit)
        arm.met += met and row.pk is None
        if rows or total or row.pk is None:
            _move(arm, row, rows, total)
            # without its number: SQLite settles a conflict of one key only
            changed.append(DivisionUnit(
                division_id=arm.division_id, variant=arm.variant, unit=unit, rows=row.rows, total=row.total
            ))  # fmt: skip
    DivisionUnit.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["division", "variant", "unit"], update_fields=["rows", "total"]
    )  # fmt: skip


def _move(arm: DivisionArm, row: DivisionUnit, rows: int, total: float) -> None:
    """Take the unit's mean out of the arm, change the unit, and put its new mean in."""
    if row.rows:
        _enter(arm, row.total / row.rows, -1)
    row.rows += rows
    row.total = row.total + total if row.rows else 0.0
    if row.rows:
        _enter(arm, row.total / row.rows, 1)


def _enter(arm: DivisionArm, value: float, sign: int) -> None:
    arm.units += sign
    arm.total += sign * value
    arm.squares += sign * value * value
