"""Read the file of a chunk of predictions. Workers only: it is Parquet."""

import hashlib
from typing import Any

from mlportal.lib import blobs
from monitoring.drift import shape
from monitoring.models import PredictionChunk

Columns = dict[str, list[Any]]
HASH_LENGTH = 16


def hashed(salt: str, text: str) -> str:
    """Return what the log keeps of a value of a masked column; ``salt`` is ``<project>|<column>``."""
    return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()[:HASH_LENGTH]


def read(chunk: PredictionChunk) -> Columns:
    """Return features and answers of a chunk, column by column."""
    from pyarrow import parquet

    table = parquet.read_table(blobs.local_path(chunk.sha256), columns=[*chunk.columns, shape.PREDICTION])
    return {str(name): table.column(name).to_pylist() for name in table.column_names}
