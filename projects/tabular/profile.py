"""Profile of a table: what each column holds, in numbers and in words."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from . import canonical, counts, findings, moments
from .limits import DEFAULT, Limits

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]
READ_SHARE = 0.65
_NUMBERS = ("integer", "numeric", "datetime")
_FEW, _MOST_LEVELS, _LEVEL_SHARE, _ID_ROWS = 20, 1_000, 0.2, 20
_ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|key|uuid|guid|index|no|nr|row)$)|[a-z](ID|Id|Key|UUID)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stopped(Exception):
    """The caller asked to stop."""


@dataclass(frozen=True)
class Report:
    """Everything that is known about a table.

    Parameters
    ----------
    row_count, column_count : int
        Size of the table.
    schema : list of dict
        ``name``, ``kind``, ``dtype``, ``nullable`` of each column.
    columns : dict
        Profile of each column by name: ``nulls``, ``distinct``, ``histogram``, ``quantiles``, ``top``,
        ``mean``, ``std``, ``min``, ``max``, ``warnings``.
    warnings : list of dict
        Remarks with ``code``, ``message``, ``column``, ``level``.
    facts : dict
        How it was read: ``encoding``, ``delimiter``, ``exact``, ``duplicate_rows``.
    """

    row_count: int
    column_count: int
    schema: list[dict[str, Any]]
    columns: dict[str, dict[str, Any]]
    warnings: list[dict[str, str]]
    facts: dict[str, Any]


def profile_file(
    path: Path,
    target: Path,
    *,
    paths: list[Path] | None = None,
    encoding: str = "",
    delimiter: str = "",
    limits: Limits = DEFAULT,
    on_progress: Progress = lambda _share, _phase: None,
    should_stop: ShouldStop = lambda: False,
    block_bytes: int = canonical.BLOCK_BYTES,  # type: ignore[attr-defined]
) -> Report:
    """Check an upload, write its typed copy to ``target``, and profile it.

    ``paths`` are Parquet files that are read one after the other in its place.

    Raises
    ------
    DomainError
        With what is wrong with the file, where, and what is allowed.
    Stopped
        When ``should_stop`` says so; looked at after each block and each column.
    """

    def step(share: float, phase: str) -> None:
        if should_stop():
            raise Stopped
        on_progress(round(min(1.0, share), 4), phase)

    def reading(share: float, phase: str) -> None:
        step(READ_SHARE * share, phase)

    if paths:
        written = canonical.write_all(paths, target, limits=limits, step=reading)
    else:
        written = canonical.write(
            path, target, encoding=encoding, delimiter=delimiter, limits=limits, step=reading, block_bytes=block_bytes
        )
    return of_canonical(
        written,
        target,
        limits=limits,
        step=lambda share: step(READ_SHARE + (1 - READ_SHARE) * share, "Profiling the columns"),
    )


def of_canonical(
    written: canonical.Canonical,
    path: Path,
    *,
    limits: Limits = DEFAULT,
    step: Callable[[float], None],
) -> Report:
    """Profile a canonical copy that ``canonical.write`` made."""
    rows, width = written.row_count, len(written.names)
    exact = rows <= limits.exact_rows
    schema: list[dict[str, Any]] = []
    columns: dict[str, dict[str, Any]] = {}
    remarks = list(written.warnings)
    with (
        pq.ParquetFile(path) as file,
        counts.opened(file, path.parent, limits=limits) as table,
    ):
        nulls = moments.null_counts(file)
        for at, name in enumerate(written.names):
            facts = {"nulls": nulls[at], **_column(file, table, at, written.kinds[at], exact=exact)}
            kind = _kind(name, written.kinds[at], rows, facts)
            found = findings.of_column(name, kind, rows, facts)
            remarks += found
            schema.append(_field(name, kind, written.types[at], nulls[at]))
            columns[name] = facts
            step((at + 1) / (width + 1))
        duplicates = table.repeated_rows() if exact else None
    remarks = findings.of_table(rows, duplicates) + remarks
    for name, facts in columns.items():
        facts["warnings"] = [remark.message for remark in remarks if remark.column == name]
    step(1.0)
    return Report(
        row_count=rows,
        column_count=width,
        schema=schema,
        columns=columns,
        warnings=[remark.as_dict() for remark in remarks],
        facts={**written.facts, "exact": exact, "duplicate_rows": duplicates},
    )


def _field(name: str, kind: str, dtype: str, nulls: int) -> dict[str, Any]:
    return {"name": name, "kind": kind, "dtype": dtype, "nullable": nulls > 0}


def _column(file: pq.ParquetFile, table: counts.Table, at: int, kind: str, *, exact: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "distinct": table.distinct(at, exact=exact),
        "histogram": None,
        "quantiles": None,
        "top": [],
        "mean": None,
        "std": None,
        "min": None,
        "max": None,
    }
    if kind in _NUMBERS:
        facts |= moments.of_column(file, table.schema.names[at], integer=kind == "integer")
        moment = kind == "datetime"
        facts["quantiles"] = _labelled(table.quantiles(at, moment=moment, exact=exact))
        if kind == "integer" and facts["distinct"] <= counts.TOP:  # codes of classes, most likely
            facts["levels"] = table.top(at)
        return _as_times(facts) if moment else _as_integers(facts) if kind == "integer" else facts
    facts["top"] = table.top(at)
    if kind == "text":
        facts |= table.text(at)
    return facts


def _labelled(values: list[float] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {f"{share:g}": value for share, value in zip(counts.SHARES, values, strict=True)}


def _as_integers(facts: dict[str, Any]) -> dict[str, Any]:
    if facts["min"] is not None:
        facts["min"], facts["max"] = int(facts["min"]), int(facts["max"])
    return facts


def _as_times(facts: dict[str, Any]) -> dict[str, Any]:
    """Microseconds as ISO texts; the spread in seconds."""
    for key in ("mean", "min", "max"):
        facts[key] = _time(facts[key])
    if facts["std"] is not None:
        facts["std"] /= 1e6
    if facts["quantiles"]:
        facts["quantiles"] = {share: _time(value) for share, value in facts["quantiles"].items()}
    if facts["histogram"]:
        facts["histogram"]["edges"] = [_time(edge) for edge in facts["histogram"]["edges"]]
    return facts


def _time(microseconds: float | None) -> str | None:
    if microseconds is None:
        return None
    least, greatest = -62_135_596_800_000_000, 253_402_300_799_000_000
    at = _EPOCH + timedelta(microseconds=round(min(max(microseconds, least), greatest)))
    return at.replace(tzinfo=None).isoformat(timespec="seconds")


def _kind(name: str, stored: str, rows: int, facts: dict[str, Any]) -> str:
    """Kind in the schema: text and integers may turn out to be categories or identifiers."""
    present, distinct = rows - facts["nulls"], facts["distinct"]
    if stored not in ("text", "integer") or not present:
        return stored
    unique = distinct == present == rows and rows >= _ID_ROWS
    if stored == "integer":
        dense = unique and facts["max"] - facts["min"] + 1 == rows
        return "id" if unique and (dense or _ID_NAME.search(name)) else "integer"
    if unique and facts["space_share"] < 0.1 and facts["mean_length"] <= 64:
        return "id"
    few = distinct <= _FEW or (distinct <= _MOST_LEVELS and distinct <= _LEVEL_SHARE * present)
    return "categorical" if few and facts["mean_length"] <= 64 else "text"
