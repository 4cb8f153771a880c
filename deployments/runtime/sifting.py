"""Rows of a stored table as a model takes them: which fit the signature, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployments.runtime.backends import Answer, Backend, ModelFailed
from deployments.runtime.signature import Column, Columns, RecordInvalid, Signature, read_columns

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one row was not scored."""

    row: int
    column: str
    message: str

    def plain(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"row": self.row, "column": self.column, "message": self.message}


@dataclass(slots=True)
class Scored:
    """Answers for some rows, None where there is a fault."""

    labels: list[Any]
    probabilities: list[list[float] | None]
    scores: list[float | None]
    faults: dict[int, Fault] = field(default_factory=dict)


def values(stored: pa.ChunkedArray, column: Column) -> list[Any]:
    """Return stored values as a caller would send them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_decimal(stored.type):
        stored = pc.cast(stored, pa.float64())
    if pa.types.is_floating(stored.type):
        stored = pc.if_else(pc.is_nan(stored), pa.scalar(None, stored.type), stored)
    plain = stored.to_pylist()
    if column.kind == "datetime":
        return [None if value is None else value.isoformat() for value in plain]
    if column.kind == "integer":
        return [int(value) if type(value) is float and value.is_integer() else value for value in plain]
    return plain


def score(backend: Backend, columns: Columns, signature: Signature, *, first_row: int) -> Scored:
    """Answer the rows that fit, and say for each other one which column is at fault.

    Parameters
    ----------
    columns : list of list, shape (columns, rows)
        As `values` gives them, in signature order.
    first_row : int
        Number of the first row in the whole table, from 1.
    """
    size = len(columns[0])
    out = Scored([None] * size, [None] * size, [None] * size)
    for row, column, message in _misfits(columns, signature):
        out.faults.setdefault(row, Fault(first_row + row, column, message))
    fit = [row for row in range(size) if row not in out.faults]
    whole = columns if len(fit) == size else [[held[row] for row in fit] for held in columns]
    if fit:
        _answer(backend, read_columns(whole, signature), fit, out, first_row)
    return out


def _misfits(columns: Columns, signature: Signature) -> list[tuple[int, str, str]]:
    try:
        read_columns(columns, signature)
    except RecordInvalid:
        pass
    else:
        return []
    found = []
    for column, held in zip(signature.columns, columns, strict=True):
        found += [(row, column.name, said) for row, value in enumerate(held) if (said := _fault(value, column))]
    return found


def _fault(value: Any, column: Column) -> str:
    if value is None:
        return "" if column.nullable else "is missing, and the model needs it"
    try:
        read = column.read(value)
    except ValueError as error:
        return str(error)
    if column.refuses_unknown and column.categories is not None and read not in column.categories:
        return "is a category the model does not know"
    return ""


def _answer(backend: Backend, columns: Columns, rows: list[int], out: Scored, first_row: int) -> None:
    """Ask for all rows at once; when the model fails, halve them until the rows at fault stand alone."""
    try:
        answer = backend.predict(columns)
    except ModelFailed as error:
        if len(rows) == 1:
            out.faults[rows[0]] = Fault(first_row + rows[0], "", _sentence(error))
            return
        half = len(rows) // 2
        _answer(backend, [held[:half] for held in columns], rows[:half], out, first_row)
        _answer(backend, [held[half:] for held in columns], rows[half:], out, first_row)
        return
    _place(answer, rows, out)


def _sentence(error: ModelFailed) -> str:
    if error.code == "answer_not_finite":
        return "the model gave no finite number"
    return "the model could not compute an answer"


def _place(answer: Answer, rows: list[int], out: Scored) -> None:
    for place, row in enumerate(rows):
        out.labels[row], out.scores[row] = answer.labels[place], answer.scores[place]
        if answer.probabilities is not None:
            out.probabilities[row] = answer.probabilities[place]
