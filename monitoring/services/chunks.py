"""Read the file of a chunk of predictions. Workers only: it is Parquet."""

from typing import Any

from mlportal.lib import blobs
from monitoring.drift import shape
from monitoring.models import PredictionChunk

Columns = dict[str, list[Any]]


def read(chunk: PredictionChunk) -> Columns:
    """Return features and answers of a chunk, column by column."""
    from pyarrow import parquet

    table = parquet.read_table(blobs.local_path(chunk.sha256), columns=[*chunk.columns, shape.PREDICTION])
    return {str(name): table.column(name).to_pylist() for name in table.column_names}
