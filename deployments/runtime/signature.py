"""The input and output schema of a model version and the check of JSON records against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from deployments.runtime.values import READERS, Check, named, read_scalar
from mlportal.lib.errors import Invalid

Columns = list[list[Any]]
Pick = Callable[[list[Any]], Sequence[Any]]

MAX_ROWS = 10_000
KINDS = frozenset({"numeric", "integer", "boolean", "categorical", "text", "datetime", "id"})
NAMES_SHOWN = 10


class RecordInvalid(Invalid):
    """422: a record does not fit the signature; says in which row and column."""

    status = 422
    title = "The records do not fit the model"

    def __init__(self, message: str, *, code: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message, code=code, field="records")
        self.row = row
        self.column = column


@dataclass(frozen=True, slots=True)
class Column:
    """One input column.

    Parameters
    ----------
    name : str
    kind : str
        One of ``KINDS``.
    nullable : bool
        Whether ``null`` is a value.
    categories : frozenset or None
        Known values; None when they are too many to list.
    refuses_unknown : bool
        Whether a value outside ``categories`` is an error (else it is only reported).
    read : callable
        Turns one non-null value into what a model gets, or raises ``ValueError`` with the reason.
    plain : callable
        Tells whether a list of values can be taken as it is, without a look at each.
    """

    name: str
    kind: str
    nullable: bool
    categories: frozenset[Any] | None
    refuses_unknown: bool
    read: Callable[[Any], Any]
    plain: Check


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs in order, the task, and the classes a classifier can answer.

    Parameters
    ----------
    names : tuple of str
        Input names in order; follows from ``columns``, kept because every request asks for it.
    alike : tuple of (callable, callable), or None
        Each check and what picks, of one row, the values of the columns that it covers; None when a column needs a look
        of its own.
    booleans : tuple of int
        Places of the boolean columns.
    """

    task: str
    target: str
    columns: tuple[Column, ...]
    classes: tuple[Any, ...]
    names: tuple[str, ...] = field(init=False)
    alike: tuple[tuple[Check, Pick], ...] | None = field(init=False)
    booleans: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))
        object.__setattr__(self, "alike", _alike(self.columns))
        places = enumerate(self.columns)
        object.__setattr__(self, "booleans", tuple(place for place, column in places if column.kind == "boolean"))


def _alike(columns: tuple[Column, ...]) -> tuple[tuple[Check, Pick], ...] | None:
    if any(column.refuses_unknown for column in columns):
        return None
    checks = dict.fromkeys(column.plain for column in columns)
    return tuple((check, _picks([column.plain is check for column in columns])) for check in checks)


def _picks(wanted: list[bool]) -> Pick:
    places = [place for place, is_wanted in enumerate(wanted) if is_wanted]
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))


def parse(document: Mapping[str, Any]) -> Signature:
    """Read a stored signature.

    Parameters
    ----------
    document : mapping
        ``{"task", "target", "inputs": [{"name", "kind", "nullable", "categories"?}], "outputs": [...]}``.
        ``unknown_category: "refuse"`` in an input (or at the top for all) turns unseen values into errors.

    Raises
    ------
    Invalid
        The document is not a signature.
    """
    try:
        policy = document.get("unknown_category", "accept")
        columns = tuple(_parse_column(entry, policy) for entry in document["inputs"])
        classes = tuple(_classes(document))
        signature = Signature(document["task"], document.get("target", ""), columns, classes)
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid("The signature of this version cannot be read.", code="signature_invalid") from error
    if not columns or len(set(signature.names)) != len(columns):
        raise Invalid("The signature needs at least one column and no name twice.", code="signature_invalid")
    return signature


def _parse_column(entry: Mapping[str, Any], policy: str) -> Column:
    kind = entry["kind"]
    if kind not in KINDS:
        raise Invalid(f"The signature names an unknown kind {kind!r}.", code="signature_invalid")
    read, plain = READERS[kind]
    listed = entry.get("categories") or None
    if kind == "categorical" and not (listed and all(type(value) is str for value in listed)):
        read = read_scalar  # numbers may be categories too
    return Column(
        name=entry["name"],
        kind=kind,
        nullable=bool(entry.get("nullable", False)),
        categories=frozenset(listed) if listed else None,
        refuses_unknown=entry.get("unknown_category", policy) == "refuse",
        read=read,
        plain=plain,
    )


def _classes(document: Mapping[str, Any]) -> Sequence[Any]:
    for output in document.get("outputs", ()):
        if output.get("classes"):
            return output["classes"]
    return ()


def read_records(records: Any, signature: Signature, *, max_rows: int = MAX_ROWS) -> Columns:
    """Check records and turn them into columns.

    Parameters
    ----------
    records : object
        Decoded JSON, expected to be a list of objects with exactly the columns of the signature.
    signature : Signature
    max_rows : int
        Most rows allowed.

    Returns
    -------
    list of list
        One list a column, in signature order; null is ``None``.

    Raises
    ------
    RecordInvalid
        With the first row (from 0) and column that do not fit.
    """
    _check_shape(records, max_rows)
    names = signature.names
    wanted = frozenset(names)
    for row, record in enumerate(records):
        if type(record) is not dict:
            raise RecordInvalid(
                f"Row {row} must be an object of column names and values, got {named(record)}.",
                code="record_not_an_object",
                row=row,
            )
        if record.keys() != wanted:
            _refuse_names(record, names, row)
    return [_read_column([record[column.name] for record in records], column) for column in signature.columns]


def read_columns(columns: Columns, signature: Signature) -> Columns:
    """Check values that came column by column, in signature order and all of one length.

    Raises
    ------
    RecordInvalid
        With the first row (from 0) and column that do not fit.
    """
    if len(columns[0]) == 1 and _row_is_plain(columns, signature):
        return columns
    return [
        values if not column.refuses_unknown and column.plain(values) else _read_column(values, column)
        for column, values in zip(signature.columns, columns, strict=True)
    ]


def _row_is_plain(columns: Columns, signature: Signature) -> bool:
    """Whether one row passes with a check for all columns of a kind; one that does not is looked at by column."""
    if signature.alike is None:
        return False
    row = [held[0] for held in columns]
    for check, pick in signature.alike:  # noqa: SIM110 - a generator costs more than the checks
        if not check(pick(row)):
            return False
    return True


def order_columns(names: Sequence[str], columns: Sequence[list[Any]], signature: Signature) -> Columns:
    """Put named columns into signature order.

    Raises
    ------
    RecordInvalid
        When one is missing, unknown or named twice.
    """
    if tuple(names) == signature.names:
        return list(columns)
    held = dict(zip(names, columns, strict=True))
    if len(held) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise RecordInvalid(f"The column {twice[:100]!r} comes twice.", code="column_twice", column=twice[:100])
    for name in signature.names:
        if name not in held:
            raise RecordInvalid(
                f"There is no column {name!r}. Columns expected: {_listed(signature.names)}.",
                code="column_missing",
                column=name,
            )
    if len(held) > len(signature.columns):
        extra = next(name for name in names if name not in signature.names)
        raise RecordInvalid(
            f"The model does not know a column {extra[:100]!r}. Columns expected: {_listed(signature.names)}.",
            code="column_unknown",
            column=extra[:100],
        )
    return [held[name] for name in signature.names]


def check_rows(rows: int, max_rows: int) -> None:
    """Refuse none and too many rows.

    Raises
    ------
    RecordInvalid
        With the limit and what came.
    """
    if not rows:
        raise RecordInvalid("There are no rows; send at least one.", code="no_rows")
    if rows > max_rows:
        error = RecordInvalid(f"{rows} rows sent, at most {max_rows} are allowed.", code="too_many_rows")
        error.limit, error.got = max_rows, rows
        raise error


def _check_shape(records: Any, max_rows: int) -> None:
    if type(records) is not list:
        raise RecordInvalid(f"records must be a list of objects, got {named(records)}.", code="records_not_a_list")
    check_rows(len(records), max_rows)


def _refuse_names(record: Mapping[str, Any], names: tuple[str, ...], row: int) -> None:
    for name in names:
        if name not in record:
            raise RecordInvalid(
                f"Row {row} has no column {name!r}. Columns expected: {_listed(names)}.",
                code="column_missing",
                row=row,
                column=name,
            )
    extra = next(name for name in record if name not in names)
    raise RecordInvalid(
        f"Row {row} has a column {extra[:100]!r} that the model does not know. Columns expected: {_listed(names)}.",
        code="column_unknown",
        row=row,
        column=extra[:100],
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


def _read_column(values: list[Any], column: Column) -> list[Any]:
    if not column.plain(values):
        values = [_read_value(value, column, row) for row, value in enumerate(values)]
    if column.refuses_unknown and column.categories is not None:
        _refuse_unknown(values, column.name, column.categories)
    return values


def _read_value(value: Any, column: Column, row: int) -> Any:
    if value is None:
        if column.nullable:
            return None
        raise RecordInvalid(
            f"Row {row}, column {column.name!r}: null is not allowed here.",
            code="null_not_allowed",
            row=row,
            column=column.name,
        )
    try:
        return column.read(value)
    except ValueError as error:
        raise RecordInvalid(
            f"Row {row}, column {column.name!r}: {error}.", code="value_invalid", row=row, column=column.name
        ) from None


def _refuse_unknown(values: list[Any], name: str, known: frozenset[Any]) -> None:
    for row, value in enumerate(values):
        if value is not None and value not in known:
            raise RecordInvalid(
                f"Row {row}, column {name!r}: the value was not among the {len(known)} known ones.",
                code="category_unknown",
                row=row,
                column=name,
            )


def unseen(columns: Columns, signature: Signature, *, limit: int = 20) -> list[tuple[int, str]]:
    """List the (row, column) places whose category the model never saw in training, at most ``limit``."""
    found: list[tuple[int, str]] = []
    for column, values in zip(signature.columns, columns, strict=True):
        if column.categories is None or column.categories.issuperset(values):
            continue
        found += [
            (row, column.name)
            for row, value in enumerate(values)
            if value is not None and value not in column.categories
        ]
    return found[:limit]
