"""Values as numbers and as levels: what counts as missing, and which spellings are one. Needs numpy: workers only."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.drift import shape

EMPTY_TYPES = frozenset({"NAType", "NaTType"})
TRUE_TEXTS = frozenset({"true", "1", "yes", "t", "y"})
FALSE_TEXTS = frozenset({"false", "0", "no", "f", "n"})


def numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """Values as floats of at most 1e300 in size; whatever is not a finite number becomes NaN."""
    raw = _of_arrow(values) if hasattr(values, "null_count") else values
    raw = raw if hasattr(raw, "__array__") else np.asarray(list(raw), dtype=object)
    try:
        array = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.fromiter((_number(value) for value in np.asarray(raw, dtype=object)), dtype=np.float64)
    if len(array) and array.min() >= -shape.LARGEST and array.max() <= shape.LARGEST:
        return array  # the usual case: a NaN makes both comparisons false
    return np.where(np.isfinite(array), np.clip(array, -shape.LARGEST, shape.LARGEST), np.nan)


def _of_arrow(column: Any) -> Any:
    """Values of a column of Arrow, the empty ones last. Its own way to numpy would import pandas, 60 MB of a worker."""
    import pyarrow as pa
    from pyarrow import compute

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return column.to_pylist()
    whole = compute.cast(column, pa.float64(), safe=False).drop_null()
    parts = [np.from_dlpack(part) for part in getattr(whole, "chunks", [whole])]
    return (
        parts[0]
        if len(parts) == 1 and not column.null_count
        else np.concatenate([*parts, np.full(column.null_count, math.nan)])
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def text_of(value: Any) -> str | None:
    """Return one spelling a value: 1, 1.0 and "1" are the same level; None, NaN and NaT are no value."""
    if value is None or type(value).__name__ in EMPTY_TYPES or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def truth_of(text: str) -> str:
    """Return "true" or "false" for the usual spellings, anything else as it is."""
    folded = text.casefold()
    if folded in TRUE_TEXTS:
        return "true"
    return "false" if folded in FALSE_TEXTS else text
