"""Find the rows of one person in the files of the prediction log, and blank them."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from mlportal.lib import blobs, rowfile
from monitoring.models import GroundTruth, Prediction, PredictionChunk
from monitoring.services import chunks, retention
from projects.models import Project
from projects.services import legal_holds

ID = "__id__"
BATCH = 1_000


@dataclass(frozen=True)
class Hits:
    """Rows of one chunk: the places in its file, the ids of its predictions, and in which columns they were found."""

    chunk: PredictionChunk
    rows: list[int]
    keys: list[str]
    columns: dict[str, int]


def same(column: Any, value: str) -> Any:
    """Return for each cell of an Arrow column whether it is a value, whatever its type."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_floating(column.type):
        try:
            return compute.equal(column, float(value))
        except ValueError:
            return compute.equal(column, float("nan"))
    text = column if pa.types.is_string(column.type) else compute.cast(column, pa.string())
    return compute.equal(text, value)


def found(path: Path, names: Iterable[str], value: str) -> dict[str, list[int]]:
    """Return the rows of a Parquet file that hold a value, by column; bounded memory."""
    from pyarrow import parquet

    rows: dict[str, list[int]] = {}
    with parquet.ParquetFile(path) as file:
        wanted, start = [name for name in names if name in file.schema_arrow.names], 0
        for batch in file.iter_batches(batch_size=65_536, columns=wanted) if wanted else ():
            for name in wanted:
                hits = same(batch.column(name), value)
                rows.setdefault(name, []).extend(start + at for at, hit in enumerate(hits.to_pylist()) if hit)
            start += batch.num_rows
    return {name: places for name, places in rows.items() if places}


def look(chunk: PredictionChunk, columns: Iterable[str], value: str) -> Hits | None:
    """Return the rows of a chunk that are about the person; None when there is none."""
    from pyarrow import parquet

    path, names = blobs.local_path(chunk.sha256), [name for name in columns if name in chunk.columns]
    by_column = found(path, names, value)
    for name in names:  # of masked columns the log keeps hashes
        for hit, places in found(path, [name], chunks.hashed(f"{chunk.project_id}|{name}", value)).items():
            by_column.setdefault(hit, []).extend(places)
    rows = sorted({row for places in by_column.values() for row in places})
    if not rows:
        return None
    ids = parquet.read_table(path, columns=[ID]).column(ID).to_pylist()
    return Hits(chunk, rows, [ids[row] for row in rows], {name: len(places) for name, places in by_column.items()})


def by_own_id(project: Project, value: str) -> list[Hits]:
    """Return the rows of predictions whose caller gave the person's id as theirs, chunk by chunk."""
    rows = (
        Prediction.objects.filter(project=project, external_id=value).select_related("chunk").order_by("chunk", "row")
    )
    by_chunk: dict[int, list[Prediction]] = {}
    for row in rows:
        by_chunk.setdefault(row.chunk_id, []).append(row)
    return [
        Hits(found[0].chunk, [row.row for row in found], [str(row.pk) for row in found], {"inference_id": len(found)})
        for found in by_chunk.values()
    ]


def forget(project: Project, keys: list[str], external_id: str) -> tuple[int, int]:
    """Delete predictions with their labels and explanations, and labels that wait for the person's id."""
    predictions = labels = 0
    for start in range(0, len(keys) or 1, BATCH):
        part = [uuid.UUID(key) for key in keys[start : start + BATCH]]
        with transaction.atomic():
            legal_holds.refuse(project, what="What the prediction log holds")
            about = Q(prediction__in=part) | Q(project=project, external_id=external_id)
            gone, _ = GroundTruth.objects.filter(about).delete()
            retention.drop_what_hangs_on(part)
            rows = Prediction.objects.filter(project=project, pk__in=part)
            predictions += int(rows._raw_delete(rows.db) or 0)
            labels += gone
    return predictions, labels


def blank(hits: Hits) -> bool:
    """Write the file of a chunk anew without the features of some rows. Returns whether the chunk was still there."""
    import pyarrow as pa
    from pyarrow import parquet

    before = PredictionChunk.objects.filter(pk=hits.chunk.pk).values_list("sha256", flat=True).first()
    if before is None:
        return False
    table = parquet.read_table(blobs.local_path(before))
    lost = set(hits.rows)
    for name in hits.chunk.columns:
        at = table.schema.get_field_index(name)
        values = [None if row in lost else value for row, value in enumerate(table.column(name).to_pylist())]
        table = table.set_column(at, table.schema.field(name), pa.array(values, type=table.schema.field(name).type))
    fresh = blobs.put_bytes(rowfile.packed(table))
    return bool(PredictionChunk.objects.filter(pk=hits.chunk.pk, sha256=before).update(sha256=fresh.sha256))
