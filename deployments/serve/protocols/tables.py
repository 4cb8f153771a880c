"""Rows as other protocols send them, brought into columns in signature order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from deployments.runtime.signature import (
    Columns,
    RecordInvalid,
    Signature,
    check_rows,
    order_columns,
    read_columns,
    read_records,
)
from mlportal.lib.errors import Invalid

NUMBERS = frozenset({"numeric", "integer"})
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
MAX_CSV_COLUMNS = 10_000


def split(document: Any, signature: Signature, max_rows: int) -> Columns:
    """``{"columns": [...], "data": [[...]]}``, an optional index is not looked at."""
    if type(document) is not dict or not {"columns", "data"} <= document.keys() <= {"columns", "data", "index"}:
        raise Invalid('Send {"columns": [...], "data": [[...], ...]}.', code="bad_frame", field="dataframe_split")
    names, rows = document["columns"], document["data"]
    if type(names) is not list or not all(type(name) is str for name in names):
        raise Invalid("columns must be a list of texts.", code="bad_frame", field="dataframe_split.columns")
    _check_table(rows, len(names), max_rows)
    return read_columns(order_columns(names, _turned(rows, len(names)), signature), signature)


def instances(rows: Any, signature: Signature, max_rows: int) -> Columns:
    """A list of objects, of lists in signature order, or of single values of a one-column model."""
    if type(rows) is not list:
        raise RecordInvalid("The rows must be a list.", code="records_not_a_list")
    check_rows(len(rows), max_rows)
    if type(rows[0]) is dict:
        return read_records(rows, signature, max_rows=max_rows)
    if type(rows[0]) is not list:
        rows = [[value] for value in rows]
    width = len(signature.columns)
    _check_table(rows, width, max_rows)
    return read_columns(_turned(rows, width), signature)


def inputs(document: Any, signature: Signature, max_rows: int) -> Columns:
    """``{"column": [...]}``, or whatever `instances` takes."""
    if type(document) is not dict:
        return instances(document, signature, max_rows)
    columns = [values if type(values) is list else [values] for values in document.values()]
    columns = [_flat(values) for values in columns]
    rows = len(columns[0]) if columns else 0
    check_rows(rows, max_rows)
    for name, values in zip(document, columns, strict=True):
        if len(values) != rows:
            raise RecordInvalid(
                f"The column {name[:100]!r} has {len(values)} values, the first one {rows}.",
                code="lengths_differ",
                column=name[:100],
            )
    return read_columns(order_columns(list(document), columns, signature), signature)


def text(body: bytes, signature: Signature, max_rows: int) -> Columns:
    """CSV with a line of names; an empty field is null."""
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = next(lines, [])
        rows = []
        for line in lines:
            if line:
                rows.append(line)
            if len(rows) > max_rows or len(line) > MAX_CSV_COLUMNS:
                break
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"The body is not CSV in UTF-8: {error}.", code="bad_csv", field="body") from None
    _check_table(rows, len(names), max_rows)
    columns = order_columns(names, _turned(rows, len(names)), signature)
    typed = [
        [_cell(value, column.kind) for value in values]
        for column, values in zip(signature.columns, columns, strict=True)
    ]
    return read_columns(typed, signature)


def lenient_json(body: bytes) -> Any:
    """Decode JSON that may hold ``NaN`` for missing values, as MLflow's client writes it.

    Raises
    ------
    Invalid
        When it is none, or holds an infinity.
    """
    try:
        return json.loads(body, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise Invalid(f"The body is not JSON: {said}.", code="bad_json", field="body") from None


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no value of JSON")


def _cell(value: str, kind: str) -> Any:
    if not value:
        return None
    if kind == "boolean":
        return BOOLEANS.get(value.lower(), value)
    if kind not in NUMBERS:
        return value
    try:
        return float(value)
    except ValueError:
        return value  # the check of the column names row and column


def _check_table(rows: Any, width: int, max_rows: int) -> None:
    if type(rows) is not list:
        raise RecordInvalid("The rows must be a list of lists.", code="records_not_a_list")
    check_rows(len(rows), max_rows)
    for place, values in enumerate(rows):
        if type(values) is not list or len(values) != width:
            got = len(values) if type(values) is list else "no list"
            raise RecordInvalid(
                f"Row {place} must be a list of {width} values, got {got}.", code="row_length", row=place
            )


def _turned(rows: Sequence[list[Any]], width: int) -> Columns:
    return [list(values) for values in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _flat(values: list[Any]) -> list[Any]:
    """``[[1], [2]]`` as ``[1, 2]``: arrays of shape (n, 1) arrive so."""
    if values and all(type(value) is list and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values
