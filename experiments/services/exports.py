"""Exports of runs: who took how many, and the file, written while it is read."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.db import transaction

from experiments.models import Experiment
from experiments.queries import Place, exports, tokens
from experiments.queries.exports import FACTS, Names, Wanted
from experiments.queries.runs import RunFacts
from mlportal.lib.errors import Invalid
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

FORMS = {
    "csv": "text/csv; charset=utf-8", "json": "application/json", "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)
_CELLS_AT_ONCE = 1_000_000


def begin(by: Actor, *, place: Place, wanted: Wanted, form: str) -> Iterator[bytes]:
    """Record that runs were exported, and return the file in parts.

    Raises
    ------
    Invalid
        If the form or the aggregate is unknown.
    """
    require(by, Permission.RUN_VIEW, place.project)
    if form not in FORMS:
        raise Invalid(f"Export as one of {', '.join(FORMS)}.", field="form", got=form[:20])
    tokens.aggregate(wanted.agg)
    exports.prepare(wanted)
    data = {"form": form, "runs": exports.count(wanted), "agg": wanted.agg}
    target = place if isinstance(place, Experiment) else place.project
    with transaction.atomic():
        events.record(by, "runs.exported", project=place.project, target=target, data=data)
    return _WRITERS[form](wanted)


def _csv(wanted: Wanted) -> Iterator[bytes]:
    names = exports.names(wanted)
    yield _lines([[_harmless(head) for head in names.heads]])
    for rows in exports.rows(wanted):
        yield _lines([[_harmless(cell) for cell in line] for line in _cells(rows, names, wanted.agg)])


def _lines(lines: list[list[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue().encode()


def _cells(rows: list[RunFacts], names: Names, agg: str) -> list[list[object]]:
    return [
        [
            *exports.facts_line(row), *(metrics.get(name) for name in names.metrics),
            *(row.params.get(name) for name in names.params), *(row.tags.get(name) for name in names.tags),
        ]
        for row, metrics in zip(rows, exports.metrics_of(rows, agg), strict=True)
    ]  # fmt: skip


def _harmless(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a quote in front."""
    if value is None:
        return ""
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r") or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def _json(wanted: Wanted) -> Iterator[bytes]:
    lead = b"["
    for rows in exports.rows(wanted):
        for row, metrics in zip(rows, exports.metrics_of(rows, wanted.agg), strict=True):
            yield lead + orjson.dumps(_item(row, metrics))
            lead = b",\n"
    yield b"]" if lead == b",\n" else b"[]"


def _item(row: RunFacts, metrics: dict[str, float | None]) -> dict[str, Any]:
    facts = dict(zip(FACTS, exports.facts_line(row), strict=True))
    return {**facts, "metrics": {n: _number(v) for n, v in metrics.items()}, "params": row.params, "tags": row.tags}


def _number(value: float | None) -> float | str | None:
    """JSON has no NaN and no infinities: they are texts."""
    return value if value is None or math.isfinite(value) else repr(value)


def _parquet(wanted: Wanted) -> Iterator[bytes]:
    import pyarrow as pa  # pages that export nothing do not load it
    from pyarrow import parquet

    names = exports.names(wanted)
    kinds = [pa.int64(), *[pa.string()] * 7, pa.float64(), pa.string(), pa.string()]
    kinds += [pa.float64()] * len(names.metrics) + [pa.string()] * (len(names.params) + len(names.tags))
    schema = pa.schema(list(zip(names.heads, kinds, strict=True)))
    sink, at_once = _Sink(), max(exports.ROWS_AT_ONCE, _CELLS_AT_ONCE // len(kinds))
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        waiting: list[list[object]] = []
        for rows in exports.rows(wanted):
            waiting += _cells(rows, names, wanted.agg)
            if len(waiting) >= at_once:
                writer.write_table(_table(pa, schema, waiting))
                waiting = []
                yield sink.taken()
        writer.write_table(_table(pa, schema, waiting))
        yield sink.taken()
    yield sink.taken()


def _table(pa: Any, schema: Any, lines: list[list[object]]) -> Any:
    columns = list(zip(*lines, strict=True)) if lines else [()] * len(schema)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


class _Sink(io.RawIOBase):
    """Takes what a writer writes until it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def taken(self) -> bytes:
        """What was written since the last time."""
        found, self._parts = b"".join(self._parts), []
        return found


_WRITERS: dict[str, Callable[[Wanted], Iterator[bytes]]] = {"csv": _csv, "json": _json, "parquet": _parquet}
