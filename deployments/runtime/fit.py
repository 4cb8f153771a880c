"""Whether a stored table has what a model reads, and which columns its answers add. Loads no model library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.runtime.signature import Column

ERROR, PREDICTION, SHARE = "scoring_error", "prediction", "probability_"
NUMBERS, TEXTS, TRUTHS, MOMENTS = "numbers", "text", "true or false", "dates"
_TYPES = (
    ("int", NUMBERS), ("uint", NUMBERS), ("float", NUMBERS), ("double", NUMBERS), ("halffloat", NUMBERS),
    ("decimal", NUMBERS), ("string", TEXTS), ("large_string", TEXTS), ("dictionary", TEXTS), ("bool", TRUTHS),
    ("timestamp", MOMENTS), ("date", MOMENTS),
)  # fmt: skip
_TAKES = {
    "numeric": {NUMBERS}, "integer": {NUMBERS}, "boolean": {TRUTHS}, "text": {TEXTS}, "id": {TEXTS},
    "datetime": {MOMENTS},
}  # fmt: skip


def columns_added(document: Mapping[str, Any]) -> list[str]:
    """Name the columns that scoring adds to those that are passed through."""
    outputs = {row["name"]: row for row in document.get("outputs", [])}
    shares = [f"{SHARE}{value}" for value in outputs.get("probability", {}).get("classes", [])]
    return [PREDICTION, *shares, ERROR]


def holds(dtype: str) -> str:
    """Name what a stored type holds, empty for a type that no model reads."""
    return next((found for start, found in _TYPES if dtype.startswith(start)), "")


def takes(column: Column) -> set[str]:
    """Name what a stored column may hold to be read as this input."""
    if column.kind != "categorical":
        return _TAKES[column.kind]
    worded = column.categories is not None and all(type(value) is str for value in column.categories)
    return {TEXTS} if worded else {TEXTS, NUMBERS, TRUTHS}
