"""Batch scorings of a real model, and stored tables for them, without a profiling process."""

import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deployments import tasks
from deployments.models import Batch
from mlportal.lib import blobs
from projects.models import Dataset, DatasetVersion, Project
from tests.deployments.runtime import recipes


def people(count: int = 60, seed: int = 7) -> pd.DataFrame:
    """Rows that the recipes' model reads, with a key and the true answer."""
    rows = recipes.rows(count, seed=seed)
    member = rows["member"].map({1.0: True, 0.0: False}).astype("boolean")
    keys = [f"k-{place}" for place in range(count)]
    return rows.assign(member=member, key=keys, left=recipes.labels(rows, seed=seed + 1))


def stored(project: Project, frame: pd.DataFrame, *, name: str = "people", **extra: Any) -> DatasetVersion:
    """A ready dataset version with these rows."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    stream = io.BytesIO()
    pq.write_table(table, stream)
    blob = blobs.put_bytes(stream.getvalue())
    dataset, _ = Dataset.objects.get_or_create(
        project=project, name=name, name_key=name, defaults={"created_by": project.created_by}
    )
    schema = [
        {"name": field.name, "kind": "text", "dtype": str(field.type), "nullable": True} for field in table.schema
    ]
    values = {
        "number": dataset.versions.count() + 1, "sha256": blob.sha256, "parquet_sha256": blob.sha256,
        "size_bytes": blob.size_bytes, "filename": f"{name}.parquet", "format": "parquet", "state": "succeeded",
        "row_count": len(frame), "column_count": len(table.schema), "schema": schema, "progress": 1.0,
        "profile": {name: {"nulls": table.column(name).null_count} for name in table.column_names},
        "created_by": project.created_by,
    }  # fmt: skip
    return DatasetVersion.objects.create(dataset=dataset, **{**values, **extra})


def scored(batch: Batch) -> Batch:
    """Let a worker do it, and read the row again."""
    tasks.score_batch(batch.pk)
    return Batch.objects.with_subject().get(pk=batch.pk)


def result(batch: Batch) -> pd.DataFrame:
    """Rows of what came out."""
    assert batch.output is not None
    return pq.ParquetFile(blobs.local_path(batch.output.sha256)).read().to_pandas()
