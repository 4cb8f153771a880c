"""Take in predictions of models served elsewhere: the same rows, files and counts as the prediction log gives."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from django.db import transaction

from mlportal.lib import blobs
from monitoring import spool
from monitoring.models import IngestedSegment, PredictionUpload
from monitoring.pipeline import ship
from monitoring.pipeline.ship import Draft

log = structlog.get_logger(__name__)

BATCH_ROWS = 10_000
OWN = ("prediction", "score", "id", "at")
MOST_COLUMNS = 1_000
State = PredictionUpload.State
Columns = dict[str, list[Any]]


class UploadFailed(ValueError):
    """A file that cannot be taken in, with the reason for its sender."""


def run_left() -> int:
    """Go on with every upload that waits; returns how many rows came in."""
    return sum(run(pk) for pk in PredictionUpload.objects.filter(state=State.QUEUED).values_list("pk", flat=True))


def run(upload_id: int) -> int:
    """Take in an upload piece by piece; each piece commits under a name of its own, so a kill repeats nothing."""
    upload = PredictionUpload.objects.select_related("monitor").get(pk=upload_id)
    if upload.state != State.QUEUED:
        return 0
    rows = 0
    try:
        for number, columns in enumerate(_pieces(upload)):
            rows += _take(upload, number, columns)
    except (UploadFailed, OSError, ValueError) as error:
        log.info("an upload of predictions failed", upload=upload.pk, error=str(error)[:200])
        PredictionUpload.objects.filter(pk=upload.pk).update(state=State.FAILED, failure=str(error)[:500])
        return rows
    PredictionUpload.objects.filter(pk=upload.pk, state=State.QUEUED).update(state=State.SUCCEEDED)
    return rows


def _take(upload: PredictionUpload, number: int, columns: Columns) -> int:
    name = f"upload-{upload.pk}-{number}"
    draft = _draft(upload, number, columns)
    if IngestedSegment.objects.filter(name=name).exists():
        return 0
    file = ship.store(draft)
    with transaction.atomic():
        held = PredictionUpload.objects.select_for_update(no_key=True).get(pk=upload.pk)
        if IngestedSegment.objects.filter(name=name).exists():
            return 0
        segment = IngestedSegment.objects.create(name=name, rows=len(draft.ids))
        ship.insert(segment, [draft], {draft.header["source"]: file})
        PredictionUpload.objects.filter(pk=held.pk).update(rows=held.rows + len(draft.ids))
    return len(draft.ids)


def _draft(upload: PredictionUpload, number: int, columns: Columns) -> Draft:
    if "prediction" not in columns:
        raise UploadFailed("The column prediction is missing.")
    if len(columns) > MOST_COLUMNS:
        raise UploadFailed(f"{len(columns):,} columns, at most {MOST_COLUMNS:,} are taken.")
    monitor, count = upload.monitor, len(columns["prediction"])
    if None in columns["prediction"]:
        row = number * BATCH_ROWS + columns["prediction"].index(None) + 1
        raise UploadFailed(f"Row {row:,} has no prediction.")
    features = [name for name in columns if name not in OWN]
    header = {
        "source": 0, "project": monitor.project_id, "endpoint": monitor.endpoint, "model": monitor.endpoint,
        "version": 0, "label": monitor.version, "revision": 0, "backend": "elsewhere", "log_mode": "all",
        "columns": features, "kinds": [_kind(columns[name]) for name in features], "classes": monitor.classes,
    }  # fmt: skip
    references, at_ms = columns.get("id", [None] * count), _moments(upload, columns, number)
    return Draft(
        header=header, ids=[spool.new_id() for _ in range(count)], at_ms=at_ms,
        latencies=[0] * count, values=columns["prediction"], scores=_scores(columns, number, count),
        probabilities=[None] * count, kept=[True] * count,
        external_ids=[None if value is None else str(value)[:200] for value in references],
        columns=[columns[name] for name in features], requests=[(at, 0) for at in at_ms],
    )  # fmt: skip


def _kind(values: list[Any]) -> str:
    known = next((value for value in values if value is not None), None)
    if isinstance(known, bool):
        return "boolean"
    return "numeric" if all(isinstance(value, (int, float)) for value in values if value is not None) else "categorical"


def _scores(columns: Columns, number: int, count: int) -> list[float | None]:
    """Scores as numbers; a regression's answers are their own scores."""
    found: list[float | None] = []
    for row, value in enumerate(columns.get("score", [None] * count)):
        held = columns["prediction"][row] if value is None else value
        if isinstance(held, (int, float)) and not isinstance(held, bool):
            found.append(float(held))
        elif value is None:
            found.append(None)
        else:
            raise UploadFailed(f"Row {number * BATCH_ROWS + row + 1:,}: score must be a number.")
    return found


def _moments(upload: PredictionUpload, columns: Columns, number: int) -> list[int]:
    usual = upload.created_at
    return [_milliseconds(value, usual, number * BATCH_ROWS + row + 1)
            for row, value in enumerate(columns.get("at", [None] * len(columns["prediction"])))]  # fmt: skip


def _milliseconds(value: Any, usual: datetime, row: int) -> int:
    if value is None:
        value = usual
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise UploadFailed(f"Row {row:,}: at must be a moment such as 2026-05-31T08:00:00Z.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


# --- formats ---------------------------------------------------------------------------------------


def _pieces(upload: PredictionUpload) -> Iterator[Columns]:
    path = blobs.local_path(upload.sha256)
    if upload.format == PredictionUpload.Format.LINES:
        with path.open("rb") as file:
            while lines := list(itertools.islice(file, BATCH_ROWS)):
                yield _by_column([orjson.loads(line) for line in lines])
        return
    for batch in _batches(upload.format, str(path)):
        for start in range(0, batch.num_rows, BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            yield {str(name): part.column(name).to_pylist() for name in part.schema.names}


def _batches(format: str, path: str) -> Iterator[Any]:  # noqa: A002 - the field
    if format == PredictionUpload.Format.CSV:
        from pyarrow import csv

        with csv.open_csv(path) as reader:
            yield from reader
        return
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        yield from file.iter_batches(BATCH_ROWS)


def _by_column(items: list[dict[str, Any]]) -> Columns:
    found = dict.fromkeys(name for item in items for name in item)
    return {name: [item.get(name) for item in items] for name in found}
