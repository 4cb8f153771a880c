"""Rows of a dataset version for a page or a script: sorted, filtered, chosen columns, within bounds."""

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from mlportal.lib.errors import Forbidden, Invalid, Unavailable
from projects.actor import Actor
from projects.models import DatasetVersion
from projects.permissions import Permission, require
from projects.services import marks, tables
from projects.tabular import grid_pool, rowfilter

SHOWN_COLUMNS, MOST_COLUMNS, MOST_ROWS = 24, 200, 1_000
WAIT_SECONDS, EXPORT_WAIT_SECONDS = 8.0, 120.0
WARM_ROWS = 20_000


@dataclass(frozen=True)
class Asked:
    """Which rows of a version.

    Parameters
    ----------
    q : str
        Filter; see ``rowfilter``.
    sort : str
        Column to sort by, with a leading ``-`` for descending; empty for the order of the file.
    columns : tuple of str
        Columns in the order wanted; empty for the first 24.
    limit : int
        Most rows of a page.
    start : int
        Rows before the first one, when nothing is sorted or filtered.
    after, before : int or None
        Number of the row the page follows, or comes before.
    """

    q: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()
    limit: int = 100
    start: int = 0
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True)
class RowPage:
    """Rows with their numbers in the file, counted from 0; ``None`` stands for a value that is missing."""

    columns: list[str]
    numbers: list[int]
    rows: list[list[Any]]
    total: int
    masked: frozenset[str] = frozenset()
    conditions: list[rowfilter.Condition] = field(default_factory=list)


@dataclass(frozen=True)
class _Checked:
    """What was asked, as positions of columns."""

    names: list[str]
    positions: dict[str, int]
    where: list[dict[str, Any]]
    sort: int | None
    descending: bool
    hidden: frozenset[str]
    conditions: list[rowfilter.Condition]


def rows(by: Actor, *, version: DatasetVersion, asked: Asked) -> RowPage:
    """A page of rows, by a reader process within 10 seconds.

    Raises
    ------
    Invalid, Forbidden
        For a column or value that does not fit, naming it, or a column the actor may not see.
    Unavailable
        While the rows are being made ready for the first time.
    """
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    checked = _check(by, version, asked)
    if not 1 <= asked.limit <= MOST_ROWS:
        raise Invalid(f"limit is 1 to {MOST_ROWS:,}.", field="limit", limit=MOST_ROWS, got=asked.limit)
    seen = [name for name in checked.names if name not in checked.hidden]
    page = {
        "columns": [checked.positions[name] for name in seen],
        "sort": checked.sort,
        "descending": checked.descending,
        "limit": asked.limit,
        "start": asked.start,
        "after": asked.after,
        "before": asked.before,
    }
    answer = _unsorted(version, page) if not checked.where and checked.sort is None else None
    if answer is None:
        file = _file(version, WAIT_SECONDS)
        answer = pool().ask({"file": str(file), "where": checked.where, "page": page})
    places = {name: at + 1 for at, name in enumerate(seen)}
    return RowPage(
        columns=checked.names,
        numbers=[row[0] for row in answer["rows"]],
        rows=[
            [marks.MASK if name in checked.hidden else row[places[name]] for name in checked.names]
            for row in answer["rows"]
        ],
        total=answer["total"],
        masked=checked.hidden & frozenset(checked.names),
        conditions=checked.conditions,
    )


def _unsorted(version: DatasetVersion, page: dict[str, Any]) -> dict[str, Any] | None:
    """Rows in the order of the file, from its typed copy while nothing quicker is there; starts to make that."""
    key, files = tables.key(version), tables.paths(version)
    if len(files) > 1 or pool().file(key).exists() or page["after"] is not None or page["before"] is not None:
        return None
    if (version.row_count or 0) > WARM_ROWS:
        pool().ready(key, files, wait_seconds=0)
    from projects.tabular import preview  # pyarrow is loaded by those who look at rows only

    names = [version.schema[at]["name"] for at in page["columns"]]
    found = preview.page(files[0], offset=page["start"], limit=page["limit"], columns=names)
    numbered = [[page["start"] + at, *row] for at, row in enumerate(found.rows)]
    return {"rows": numbered, "total": found.total}


def export(by: Actor, *, version: DatasetVersion, asked: Asked, form: str) -> Iterator[bytes]:
    """All rows that pass the filter, as CSV or Parquet, byte by byte as they are made.

    Raises
    ------
    Invalid, Forbidden, TooMany
        Before the first byte. Values of columns the actor may not see are replaced by the word ``masked``.
    """
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    if form not in ("csv", "parquet"):
        raise Invalid("format is csv or parquet.", field="format", got=form[:40])
    everything = tuple(each["name"] for each in version.schema)
    checked = _check(by, version, asked, default=everything, most=len(everything))
    hidden = checked.hidden
    request = {
        "file": str(_file(version, EXPORT_WAIT_SECONDS)),
        "columns": [marks.MASKED_TEXT if name in hidden else checked.positions[name] for name in checked.names],
        "names": checked.names,
        "where": checked.where,
        "sort": checked.sort,
        "descending": checked.descending,
        "format": form,
    }
    with ExitStack() as stack:
        parts = stack.enter_context(pool().exporting(request))
        kept = stack.pop_all()
    return _closing(parts, kept)


def _closing(parts: Iterator[bytes], kept: ExitStack) -> Iterator[bytes]:
    with kept:
        yield from parts


def pool() -> grid_pool.Pool:
    """The readers of this process."""
    return _pool(os.getpid(), str(settings.GRID_DIR))


@cache
def _pool(owner: int, folder: str) -> grid_pool.Pool:
    made = grid_pool.Pool(
        grid_pool.Settings(
            code=Path(settings.BASE_DIR),
            folder=Path(folder),
            memory_bytes=settings.GRID_MEMORY_MB * 2**20,
            cache_bytes=settings.GRID_CACHE_MB * 2**20,
        ),
        owner=owner,
    )
    atexit.register(made.close)
    return made


def _file(version: DatasetVersion, wait_seconds: float) -> Path:
    readers, key = pool(), tables.key(version)
    files = tables.paths(version)
    if not readers.ready(key, files, wait_seconds=wait_seconds):
        raise Unavailable(
            "The rows are being made ready to be sorted and filtered. Try again in a few seconds.",
            code="rows_not_ready", retry_after=3,
        )  # fmt: skip
    return readers.file(key)


def _check(
    by: Actor,
    version: DatasetVersion,
    asked: Asked,
    *,
    default: tuple[str, ...] = (),
    most: int = MOST_COLUMNS,
) -> _Checked:
    without = marks.hidden(by, dataset=version.dataset)
    positions = {each["name"]: at for at, each in enumerate(version.schema)}
    names = asked.columns or default or tuple(positions)[:SHOWN_COLUMNS]
    for name in names:
        if name not in positions:
            raise Invalid(f"There is no column {name[:100]!r} in {version}.", field="columns", got=name[:200])
    if len(names) > most:
        raise Invalid(f"{len(names)} columns were asked for; at most {most}.", field="columns", limit=most)
    conditions = rowfilter.parse(asked.q, version.schema, hidden=without)
    sort = asked.sort.removeprefix("-") if asked.sort.removeprefix("-") in positions else asked.sort
    if sort and sort not in positions:
        raise Invalid(f"There is no column {sort[:100]!r} to sort by in {version}.", field="sort", got=sort[:200])
    if sort in without:
        raise Forbidden(f"The values of {sort} are marked; sorting by them needs dataset.edit.", field="sort")
    return _Checked(
        names=list(dict.fromkeys(names)),
        positions=positions,
        where=[
            each.as_dict() | {"columns": [positions[name] for name in each.columns]} for each in conditions
        ],
        sort=positions[sort] if sort else None,
        descending=bool(sort) and asked.sort != sort,
        hidden=without,
        conditions=conditions,
    )  # fmt: skip
