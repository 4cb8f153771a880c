"""The fitted ColumnTransformer of a pipeline compiled to arrays and look-ups.

scikit-learn spends about 4 ms a call on checks and frames whatever the number of rows; the same arithmetic
on plain columns takes some 20 us. A step that is not known here is not guessed: `compile_encoder` returns
None and the pipeline runs as it is. Whether the compiled form is right is not assumed either, see `exact`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deployments.runtime.signature import Columns

Array = NDArray[np.float64]
Row = list[Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_A_DAY = 86_400_000_000
_NO_DATE = (math.nan,) * 6


class Block(Protocol):
    """Writes its share of the encoded matrix."""

    @property
    def start(self) -> int:
        """First of its places in the matrix."""

    def write(self, columns: Columns, out: Array) -> None:
        """Fill the block's columns of ``out``."""

    def row(self, row: Row, places: list[int], values: list[float]) -> None:
        """Add what a single row has in the block's columns, zeros left out where there are many."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of numbers: on arrays (columns, rows), and on the plain numbers of one row with the same bits.

    For one row an array operation costs more than the dozen divisions it makes.
    """

    many: Callable[[Array], Array]
    one: Callable[[list[float]], list[float]]


@dataclass(frozen=True, slots=True)
class NumberBlock:
    """Numeric columns through a chain of operations."""

    inputs: tuple[int, ...]
    operations: tuple[Operation, ...]
    start: int
    stop: int
    dates: bool = False

    def write(self, columns: Columns, out: Array) -> None:
        """Fill the block's columns of ``out``."""
        sent = [columns[index] for index in self.inputs]
        values = _date_parts(sent) if self.dates else np.array(sent, dtype=np.float64)
        for operation in self.operations:
            values = operation.many(values)
        out[:, self.start : self.stop] = values.T

    def row(self, row: Row, places: list[int], values: list[float]) -> None:
        """Add the numbers of one row."""
        places += range(self.start, self.stop)
        values += self.numbers(row)

    def numbers(self, row: Row) -> list[float]:
        """Return the numbers of one row in the block's columns."""
        if self.dates:
            found: list[float] = _date_parts([[row[index]] for index in self.inputs])[:, 0].tolist()
        else:
            sent = [row[index] for index in self.inputs]
            found = [math.nan if value is None else float(value) for value in sent]
        for operation in self.operations:
            found = operation.one(found)
        return found


@dataclass(frozen=True, slots=True)
class OneHotBlock:
    """One categorical column: the value's place among the output columns, or nowhere."""

    input: int
    places: dict[Any, int]
    fill: Any
    start: int = 0

    def write(self, columns: Columns, out: Array) -> None:
        """Set a one at each value's place."""
        places, fill = self.places, self.fill
        for row, value in enumerate(columns[self.input]):
            place = places.get(fill if value is None else value, -1)
            if place >= 0:
                out[row, place] = 1.0

    def row(self, row: Row, places: list[int], values: list[float]) -> None:
        """Add the one of one row."""
        value = row[self.input]
        place = self.places.get(self.fill if value is None else value, -1)
        if place >= 0:
            places.append(place)
            values.append(1.0)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One categorical column as one number a value."""

    input: int
    codes: dict[Any, float]
    unknown: float
    fill: Any
    start: int

    def write(self, columns: Columns, out: Array) -> None:
        """Write each value's number."""
        codes, unknown, fill = self.codes, self.unknown, self.fill
        out[:, self.start] = [codes.get(fill if value is None else value, unknown) for value in columns[self.input]]

    def row(self, row: Row, places: list[int], values: list[float]) -> None:
        """Add the number of one row."""
        value = row[self.input]
        places.append(self.start)
        values.append(self.codes.get(self.fill if value is None else value, self.unknown))


@dataclass(frozen=True, slots=True)
class Encoder:
    """Raw columns to the matrix that the estimator was fitted on."""

    blocks: tuple[Block, ...]
    width: int

    def encode(self, columns: Columns) -> Array:
        """Return float64, shape (rows, width), C order."""
        out = np.zeros((len(columns[0]), self.width))
        for block in self.blocks:
            block.write(columns, out)
        return out

    def row(self, columns: Columns) -> tuple[list[int], list[float]]:
        """Return what a single row has: ascending places in the matrix, and the numbers there; the rest is zero."""
        places: list[int] = []
        values: list[float] = []
        row = [held[0] for held in columns]
        for block in self.blocks:
            block.row(row, places, values)
        return places, values


def compile_encoder(transformer: Any, names: Sequence[str]) -> Encoder | None:
    """Compile a fitted ``ColumnTransformer``.

    Parameters
    ----------
    transformer : sklearn.compose.ColumnTransformer
        Fitted on a frame with the columns ``names``.
    names : sequence of str
        Raw input columns in request order.

    Returns
    -------
    Encoder or None
        None when a step is not one that can be compiled.
    """
    places = {name: index for index, name in enumerate(names)}
    blocks: list[Block] = []
    width = 0
    for name, step, columns in transformer.transformers_:
        inputs = _inputs(columns, places, transformer)
        if inputs is None:
            return None
        output = transformer.output_indices_[name]
        width = max(width, output.stop)
        compiled = _compile_step(step, inputs, output.start, output.stop)
        if compiled is None:
            return None
        blocks += compiled
    return Encoder(tuple(sorted(blocks, key=lambda block: block.start)), width)


def _inputs(columns: Any, places: dict[str, int], transformer: Any) -> tuple[int, ...] | None:
    if isinstance(columns, str):
        columns = [columns]
    names = getattr(transformer, "feature_names_in_", None)
    named = [names[column] if isinstance(column, int) and names is not None else column for column in columns]
    if any(name not in places for name in named):
        return None
    return tuple(places[name] for name in named)


def _compile_step(step: Any, inputs: tuple[int, ...], start: int, stop: int) -> list[Block] | None:
    if not inputs or (isinstance(step, str) and step == "drop"):
        return []
    chain = _flat(step)
    last = type(chain[-1]).__name__
    if last in ("OneHotEncoder", "OrdinalEncoder"):
        return _compile_categories(chain, inputs, start, stop)
    dates = type(chain[0]).__name__ == "DateParts"
    operations = [_operation(part) for part in chain[dates:]]
    if any(operation is None for operation in operations):
        return None
    return [NumberBlock(inputs, tuple(operation for operation in operations if operation), start, stop, dates)]


def _flat(step: Any) -> list[Any]:
    """Steps of a pipeline, those of pipelines inside it too."""
    if not hasattr(step, "steps"):
        return [step]
    return [part for _, inner in step.steps for part in _flat(inner)]


def _date_parts(columns: Columns) -> Array:
    """Six numbers for each column of ISO texts, as the trainer's ``DateParts``; shape (6 x columns, rows)."""
    parts = [[_parts(value) for value in values] for values in columns]
    return np.array(parts, dtype=np.float64).transpose(0, 2, 1).reshape(len(columns) * 6, -1)


def _parts(text: str | None) -> tuple[float, ...]:
    if text is None:
        return _NO_DATE
    moment = datetime.fromisoformat(text)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    days = (moment - _EPOCH) // _MICROSECOND / _MICROSECONDS_A_DAY
    return (days, moment.year, moment.month, moment.day, moment.weekday(), moment.hour)


def _operation(part: Any) -> Operation | None:
    """Array operation of a numeric step; arrays are (columns, rows), so parameters become columns."""
    if isinstance(part, str):
        return _SAME if part == "passthrough" else None
    make = _OPERATIONS.get(type(part).__name__)
    return make(part) if make else None


_SAME = Operation(lambda values: values, lambda values: values)


def _column(parameter: Any) -> Array:
    return np.asarray(parameter, dtype=np.float64)[:, None]


def _plain(parameter: Any, size: int, usual: float) -> list[float]:
    return [usual] * size if parameter is None else [float(value) for value in parameter]


def _identity(part: Any) -> Operation | None:
    return _SAME if part.func is None else None


def _imputer(part: Any) -> Operation | None:
    statistics = np.asarray(part.statistics_)
    usable = statistics.dtype.kind == "f" and not np.isnan(statistics).any() and not part.add_indicator
    if not usable or not _is_nan(part.missing_values):
        return None
    filler = _column(statistics)
    fillers = [float(value) for value in statistics]
    return Operation(
        lambda values: np.where(np.isnan(values), filler, values),
        lambda values: [fill if value != value else value for value, fill in zip(values, fillers, strict=True)],  # noqa: PLR0124 - NaN
    )


def _standard(part: Any) -> Operation | None:
    return _scaling(part.mean_ if part.with_mean else None, part.scale_ if part.with_std else None)


def _robust(part: Any) -> Operation | None:
    return _scaling(part.center_ if part.with_centering else None, part.scale_ if part.with_scaling else None)


def _scaling(centres: Any, scales: Any) -> Operation | None:
    """Take the centre away and divide; scikit-learn never leaves a scale of zero."""
    if centres is None and scales is None:
        return _SAME
    size = len(centres if centres is not None else scales)
    centre = _column(centres) if centres is not None else None
    scale = _column(scales) if scales is not None else None
    middles, widths = _plain(centres, size, 0.0), _plain(scales, size, 1.0)
    if 0.0 in widths:
        return None

    def many(values: Array) -> Array:
        centred = values if centre is None else values - centre
        return centred if scale is None else centred / scale

    def one(values: list[float]) -> list[float]:
        return [(value - middle) / width for value, middle, width in zip(values, middles, widths, strict=True)]

    return Operation(many, one)


def _min_max(part: Any) -> Operation:
    scale, offset, clip, (low, high) = _column(part.scale_), _column(part.min_), part.clip, part.feature_range
    factors, terms = _plain(part.scale_, 0, 1.0), _plain(part.min_, 0, 0.0)

    def many(values: Array) -> Array:
        scaled = values * scale + offset
        return np.clip(scaled, low, high) if clip else scaled

    def one(values: list[float]) -> list[float]:
        scaled = [value * factor + term for value, factor, term in zip(values, factors, terms, strict=True)]
        return [min(max(value, low), high) for value in scaled] if clip else scaled

    return Operation(many, one)


_OPERATIONS: dict[str, Callable[[Any], Operation | None]] = {
    "FunctionTransformer": _identity,
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "RobustScaler": _robust,
}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _compile_categories(chain: list[Any], inputs: tuple[int, ...], start: int, stop: int) -> list[Block] | None:
    fills = _fills(chain[:-1], len(inputs))
    encoder = chain[-1]
    one_hot = type(encoder).__name__ == "OneHotEncoder"
    tolerant = encoder.handle_unknown == ("ignore" if one_hot else "use_encoded_value")
    if fills is None or not tolerant:
        return None
    table = _table(encoder)
    if table.shape[1] != stop - start:
        return None
    build = _one_hot if one_hot else _codes
    return build(encoder, table, inputs, fills, start)


def _fills(chain: list[Any], width: int) -> list[Any] | None:
    """Value that stands for null in each column: an imputer's, else None itself."""
    if not chain:
        return [None] * width
    if len(chain) > 1 or type(chain[0]).__name__ != "SimpleImputer" or chain[0].add_indicator:
        return None
    fills = [None if _is_nan(value) else value for value in chain[0].statistics_]
    return None if any(fill is None for fill in fills) or not _is_nan(chain[0].missing_values) else fills


def _table(encoder: Any) -> Array:
    """Encode every known category once: row j holds category j of each column (its last one when it has fewer)."""
    longest = max(len(known) for known in encoder.categories_)
    places = np.arange(longest)
    columns = [known[np.minimum(places, len(known) - 1)] for known in encoder.categories_]
    names = getattr(encoder, "feature_names_in_", range(len(columns)))
    encoded = encoder.transform(pd.DataFrame(dict(zip(names, columns, strict=True))))
    return np.asarray(encoded.toarray() if hasattr(encoded, "toarray") else encoded, dtype=np.float64)


def _keys(known: Any) -> list[Any]:
    """Categories as the values of a request: NaN is null."""
    plain = known.tolist() if hasattr(known, "tolist") else list(known)
    return [None if _is_nan(value) else value for value in plain]


def _one_hot(encoder: Any, table: Array, inputs: tuple[int, ...], fills: list[Any], start: int) -> list[Block] | None:
    blocks: list[Block] = []
    begin = 0
    for index, known, fill in zip(inputs, encoder.categories_, fills, strict=True):
        ending = begin + int(encoder._n_features_outs[len(blocks)])
        part = table[: len(known), begin:ending]
        if not np.isin(part, (0.0, 1.0)).all() or (part.sum(axis=1) > 1).any():
            return None
        places = {
            value: start + begin + int(row.argmax()) for value, row in zip(_keys(known), part, strict=True) if row.any()
        }
        blocks.append(OneHotBlock(index, places, fill, start + begin))
        begin = ending
    return blocks


def _codes(encoder: Any, table: Array, inputs: tuple[int, ...], fills: list[Any], start: int) -> list[Block]:
    blocks: list[Block] = []
    for offset, (index, known, fill) in enumerate(zip(inputs, encoder.categories_, fills, strict=True)):
        codes = dict(zip(_keys(known), table[: len(known), offset].tolist(), strict=True))
        blocks.append(CodeBlock(index, codes, float(encoder.unknown_value), fill, start + offset))
    return blocks
