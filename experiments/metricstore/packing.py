"""The latest points of a run as one text, so that a page of runs reads them with the runs (ADR 90)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import orjson

from mlportal.lib.sql import Statement

_ROWS = Statement(
    """
    SELECT k.name, m.value, m.is_nan, m.step, m.stamp_ms
    FROM experiments_runmetric m JOIN experiments_key k ON k.id = m.key_id WHERE m.run_id = %s
    """,
    binary=True,
)
_SAVE = Statement("UPDATE experiments_run SET latest = %s WHERE id = %s")
Row = tuple[str, float, bool, int, int]
"""(name, value, whether it is NaN, step, timestamp in ms)"""


def pack(run_id: int) -> None:
    """Write the text anew; call where the rows were changed, in the transaction that has locked the run."""
    _SAVE.count([packed(_ROWS.rows([run_id])), run_id])


def packed(rows: Iterable[Row]) -> str | None:
    """Return the text of some points: MLflow's JSON list of key, value, timestamp and step, None of none.

    A number that JSON cannot write is a word.
    """
    points = [
        {"key": name, "value": "NaN" if is_nan else _number(value), "timestamp": stamp, "step": step}
        for name, value, is_nan, step, stamp in rows
    ]
    return orjson.dumps(points).decode() if points else None


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
