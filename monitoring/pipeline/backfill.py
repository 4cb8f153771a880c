"""Count stored predictions again: on the reference of a monitor that came later, or by segments that were added."""

import structlog
from django.db import transaction
from django.db.models import Sum

from monitoring import drift
from monitoring.drift import performance as engine
from monitoring.drift import shape
from monitoring.models import Backfill, GroundTruth, Monitor, Prediction, PredictionChunk
from monitoring.pipeline import counting
from monitoring.services import backfills, monitors, performance
from monitoring.services.chunks import Columns, read
from projects.actor import Actor
from projects.permissions import Permission

log = structlog.get_logger(__name__)

FIRST_ROWS = 5_000


def run_left() -> int:
    """Go on with every backfill that is not done; returns how many chunks were counted."""
    return sum(run(pk) for pk in Backfill.objects.order_by("pk").values_list("pk", flat=True))


def run(backfill_id: int) -> int:
    """Count chunk by chunk; each chunk's counts commit with the mark that it is done, so a kill repeats nothing."""
    done = 0
    while _step(backfill_id):
        done += 1
    return done


def _step(backfill_id: int) -> bool:
    with transaction.atomic():
        found = Backfill.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=backfill_id).first()
        if found is None:
            return False
        monitor = Monitor.objects.select_related("project").get(pk=found.monitor_id)
        left = backfills.chunks_of(monitor).filter(pk__gt=found.done_chunk, pk__lte=found.until_chunk)
        chunk = left.order_by("pk").first()
        if chunk is None:
            found.delete()
            return False
        _count(found, monitor, chunk)
        Backfill.objects.filter(pk=found.pk).update(done_chunk=chunk.pk)
    return True


def _count(backfill: Backfill, monitor: Monitor, chunk: PredictionChunk) -> None:
    try:
        columns = read(chunk)
    except (OSError, ValueError):
        log.exception("stored predictions could not be read", chunk=chunk.pk)
        return
    rows = list(Prediction.objects.filter(chunk=chunk).order_by("row"))
    columns = {name: [values[row.row] for row in rows] for name, values in columns.items()}
    columns[shape.SCORE] = [row.score for row in rows]
    at_ms = [int(row.at.timestamp() * 1000) for row in rows]
    segments = {name: held for name, held in counting.segments_of(monitor, columns).items() if name in backfill.columns}
    if backfill.whole:
        counting.add_rows(monitor, at_ms, columns, segments)
    else:
        for start, places in counting.by_bucket(monitor, at_ms).items():
            counting.add_segments(monitor, start, columns, segments, places)
    _name_segments(rows, segments)
    _label_segments(rows, segments)


def _name_segments(rows: list[Prediction], segments: dict[str, list[str]]) -> None:
    if not segments:
        return
    for place, row in enumerate(rows):
        row.segments = {**(row.segments or {}), **{column: values[place] for column, values in segments.items()}}
    Prediction.objects.bulk_update(rows, ["segments"], batch_size=500)


def _label_segments(rows: list[Prediction], segments: dict[str, list[str]]) -> None:
    """Add the labels that came before to the cells of the new segments."""
    if not segments:
        return
    chosen = {row.pk: {column: values[place] for column, values in segments.items()} for place, row in enumerate(rows)}
    truths = GroundTruth.objects.filter(prediction__in=list(chosen)).select_related("prediction__chunk").order_by("pk")
    performance.apply_segments(
        (performance.arrived(truth.prediction, truth), chosen[truth.prediction.pk])
        for truth in truths
        if truth.prediction
    )


# --- the first reference ---------------------------------------------------------------------------


def make_references() -> int:
    """Give live monitors without a reference their first 5,000 rows as one; returns how many got it."""
    made = 0
    for monitor in Monitor.objects.live().filter(reference={}).select_related("project"):
        columns = _first_rows(monitor)
        if columns is None:
            continue
        grids = drift.reference(columns, _kinds(monitor, columns))
        by = Actor.system("monitoring", project=monitor.project, grants={Permission.MONITOR_EDIT})
        monitors.set_reference(by, monitor=monitor, reference_grids=grids, source="first rows")
        made += 1
    return made


def _first_rows(monitor: Monitor) -> Columns | None:
    columns: Columns = {}
    rows = 0
    chunks = backfills.chunks_of(monitor)
    if (chunks.aggregate(rows=Sum("rows"))["rows"] or 0) < FIRST_ROWS:
        return None
    for chunk in chunks.order_by("pk").iterator():
        held = read(chunk)
        scores = dict(Prediction.objects.filter(chunk=chunk).values_list("row", "score"))
        held[shape.SCORE] = [scores.get(row) for row in range(chunk.rows)]
        for name, values in held.items():
            columns.setdefault(name, [None] * rows).extend(values)
        rows += chunk.rows
        if rows >= FIRST_ROWS:
            break
    return {name: [*values, *[None] * (rows - len(values))][:FIRST_ROWS] for name, values in columns.items()}


def _kinds(monitor: Monitor, columns: Columns) -> dict[str, str]:
    """Answers by the task; a score only where there is one; features by their values."""
    answers = "numeric" if monitor.is_regression else "categorical"
    kinds = {shape.PREDICTION: answers, shape.SCORE: "numeric"}
    for name, values in columns.items():
        known = next((value for value in values if value is not None), None)
        if name not in kinds:
            kinds[name] = "boolean" if isinstance(known, bool) else "numeric" if isinstance(known, float | int) else ""
    if (
        all(engine.as_number(str(value)) is not None for value in columns[shape.PREDICTION][:100])
        and not monitor.classes
    ):
        kinds[shape.PREDICTION] = "numeric"
    return kinds
