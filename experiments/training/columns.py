"""Which columns can teach, and why the others are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.training.spec import TrainingSpec, listed
from mlportal.lib.errors import Unprocessable

MAX_CATEGORIES: Final = 50
MAX_DISTINCT_TEXT: Final = 1_000
MAX_ENCODED_COLUMNS: Final = 5_000
DATE_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Columns:
    """Feature columns by how they are encoded.

    Attributes
    ----------
    all : tuple of str
        All feature columns in the order of the data, or as the person named them.
    numbers, flags, categories, dates : tuple of str
        Column names.
    warnings : tuple of str
        One sentence for each column left out.
    """

    all: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def choose(spec: TrainingSpec, frame: pd.DataFrame, schema: Sequence[Mapping[str, Any]]) -> Columns:
    """Decide which columns are learned from.

    With ``spec.features`` left open, identifiers and long texts are left out with
    a warning; columns named by the person are used, or refused with the reason.

    Raises
    ------
    Unprocessable
        When nothing is left to learn from, or encoding would need too many columns.
    """
    kinds = {str(column["name"]): str(column["kind"]) for column in schema}
    names = spec.features or tuple(name for name in kinds if name != spec.target)
    groups: dict[str, list[str]] = {"numbers": [], "flags": [], "categories": [], "dates": []}
    dropped: list[tuple[str, str]] = []
    for name in names:
        reason = _useless(frame[name]) or _unasked(spec, frame[name], kinds[name])
        if reason:
            dropped.append((name, reason))
        else:
            groups[_group(frame[name], kinds[name])].append(name)
    _refuse_nothing_left(groups, dropped)
    _refuse_wide(frame, groups)
    kept = {name for members in groups.values() for name in members}
    return Columns(
        all=tuple(name for name in names if name in kept),
        **{group: tuple(members) for group, members in groups.items()},
        warnings=tuple(f'Column "{name}" is left out: {reason}.' for name, reason in dropped),
    )


def _useless(column: pd.Series) -> str:
    known = column.dropna()
    if known.empty:
        return "all values are missing"
    if len(known) == len(column) and known.nunique() == 1:
        return "all values are equal"
    return ""


def _unasked(spec: TrainingSpec, column: pd.Series, kind: str) -> str:
    """Reason to leave out a column nobody asked for by name."""
    if spec.features is not None:
        return ""
    if kind == "id":
        return "it looks like an identifier"
    if _is_text(column) and kind != "datetime" and column.nunique() > MAX_DISTINCT_TEXT:
        return f"it holds {column.nunique():,} different texts, more than {MAX_DISTINCT_TEXT:,}"
    if kind == "text" and column.nunique() > max(MAX_CATEGORIES, len(column) // 2):
        return f"it holds free text, {column.nunique():,} different values"
    return ""


def _is_text(column: pd.Series) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(column)
        or pd.api.types.is_bool_dtype(column)
        or pd.api.types.is_datetime64_any_dtype(column)
    )


def _group(column: pd.Series, kind: str) -> str:
    if kind == "boolean" or pd.api.types.is_bool_dtype(column):
        return "flags"
    if kind == "datetime" or pd.api.types.is_datetime64_any_dtype(column):
        return "dates"
    if pd.api.types.is_numeric_dtype(column) and kind != "categorical":
        return "numbers"
    return "categories"


def _refuse_nothing_left(groups: dict[str, list[str]], dropped: list[tuple[str, str]]) -> None:
    if any(groups.values()):
        return
    reasons = listed([f"{name} ({reason})" for name, reason in dropped])
    raise Unprocessable(
        f"No feature is left to learn from. Left out: {reasons}.",
        code="no_features",
        field="features",
        got=[name for name, _ in dropped],
    )


def _refuse_wide(frame: pd.DataFrame, groups: dict[str, list[str]]) -> None:
    distinct = {name: int(frame[name].nunique()) for name in groups["categories"]}
    for name, count in distinct.items():
        if count > MAX_DISTINCT_TEXT:
            sample = str(frame[name].dropna().iloc[0])[:40]
            raise Unprocessable(
                f'Column "{name}" holds {count:,} different texts such as "{sample}". Encoding it '
                f"would make {count:,} columns and the limit is {MAX_DISTINCT_TEXT:,}. "
                "Remove it from the features.",
                code="too_many_categories",
                field="features",
                limit=MAX_DISTINCT_TEXT,
                got=count,
            )
    width = sum(min(count, MAX_CATEGORIES) for count in distinct.values())
    width += len(groups["numbers"]) + len(groups["flags"]) + DATE_COLUMNS * len(groups["dates"])
    if width > MAX_ENCODED_COLUMNS:
        raise Unprocessable(
            f"Encoding these features would make {width:,} columns and the limit is "
            f"{MAX_ENCODED_COLUMNS:,}. Choose fewer features.",
            code="too_many_columns",
            field="features",
            limit=MAX_ENCODED_COLUMNS,
            got=width,
        )


def typed(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Return the feature columns in the types the recipe is fitted on.

    Numbers and flags become float64, categories plain text or numbers with NaN
    for missing, dates UTC timestamps.

    Raises
    ------
    Unprocessable
        When a numeric column holds infinite values.
    """
    out = {}
    for name in columns.all:
        column = frame[name]
        if name in columns.numbers or name in columns.flags:
            out[name] = _floats(column)
        elif name in columns.dates:
            out[name] = pd.to_datetime(column, utc=True, errors="coerce")
        elif pd.api.types.is_numeric_dtype(column):
            out[name] = column.astype("float64")
        else:
            out[name] = column.astype(object).where(column.notna(), np.nan)
    return pd.DataFrame(out, index=frame.index)


def _floats(column: pd.Series) -> pd.Series:
    values = column.astype("float64")
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise Unprocessable(
            f'Column "{column.name}" has {infinite:,} infinite values. Replace them, or leave the column out.',
            code="infinite_values",
            field="features",
            got=infinite,
        )
    return values
