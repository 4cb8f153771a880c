"""Held-out rows of a version with the answers that training wrote down for them. Loads no model library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from deployments.runtime.signature import Column, Columns, Signature

REFERENCE_ROWS = 1_000
GOLDEN_ROWS = 100
PREDICTION, SCORE = "__prediction__", "__score__"


def reference(path: Path | None, signature: Signature) -> tuple[Columns, list[Any]]:
    """Reference rows that fit the signature, and the prediction recorded for each."""
    columns, recorded, _ = _read(path, signature, [PREDICTION])
    return columns, recorded[0] if recorded else []


def golden(path: Path, signature: Signature) -> dict[str, Any]:
    """The first held-out rows as records, with the prediction and the score that training recorded for each."""
    columns, (predictions, scores), classes = _read(path, signature, [PREDICTION, SCORE])
    rows = list(zip(*(values[:GOLDEN_ROWS] for values in columns), strict=True))
    return {
        "records": [dict(zip(signature.names, row, strict=True)) for row in rows],
        "predictions": predictions[:GOLDEN_ROWS],
        "scores": [None if score is None else float(score) for score in scores[:GOLDEN_ROWS]],
        "score": f"probability of {classes[-1]}" if classes else "the predicted number",
    }


def sent(value: Any, column: Column) -> Any:
    """Value of a reference row as a caller would send it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if column.kind == "boolean":
        return bool(value)
    return int(value) if column.kind == "integer" and float(value).is_integer() else value


def _read(
    path: Path | None, signature: Signature, wanted: list[str]
) -> tuple[Columns, list[list[Any]], tuple[Any, ...]]:
    if path is None:
        return [], [], ()
    from pyarrow import parquet

    table = parquet.ParquetFile(path).read(columns=[*signature.names, *wanted]).slice(0, REFERENCE_ROWS)
    columns = [[sent(value, column) for value in table.column(column.name).to_pylist()] for column in signature.columns]
    usable = [row for row, values in enumerate(zip(*columns, strict=True)) if _fits(values, signature)]
    found = [table.column(name).to_pylist() for name in wanted]
    return (
        [[values[row] for row in usable] for values in columns],
        [[values[row] for row in usable] for values in found],
        signature.classes,
    )


def _fits(values: Sequence[Any], signature: Signature) -> bool:
    return all(value is not None or column.nullable for value, column in zip(values, signature.columns, strict=True))
