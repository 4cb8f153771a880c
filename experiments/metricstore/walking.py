"""Finding runs of several experiments in any order, lazily.

In each experiment the index of the first sort is walked and the conditions are tested by primary key. Runs
that share a value are one group, put in order by the sorts behind; a group that is long becomes a search of
its own, in which having that value is one more condition. Where a condition keeps few runs, they are all
read and sorted instead; its size is looked up, to a cap, before the walk, and again whenever the walk has gone
twice as far. The first window of a first page looks that up itself, to a low cap, since mostly it fills the page. So no
search costs much more than the better of the two ways. The streams of the experiments are merged.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from . import attributes, folding, predicates
from .meaning import Condition
from .predicates import Context, Params, Predicate
from .scope import Scope
from .sorting import (
    PRESENT,
    Key,
    Ranked,
    Scalar,
    Sort,
    Source,
    Walked,
    columns,
    comparable,
    comparer,
    complete,
    equal,
    ranker,
    ranks,
    walked,
)
from .starting import all_hold, entries, none_rare, planned_rows, rarest, rows, run_of_each, shortened

FEW = 1000
FIRST_FEW = 300
FIRST_WINDOW = 600
FIRST_CHECK = 800
GROUP = 100
WINDOW = 8000
MANY_SOURCES = 8


_ALL: tuple[str, Params] = ("", [])
_Row = tuple[Any, ...]
_Place = tuple[object, int]


class Hit(NamedTuple):
    """A run that was found: its values in the order asked for, its number, and what was to be carried, if it was."""

    key: Key
    run_id: int
    carried: tuple[Any, ...] = ()


def find(
    sources: Sequence[Source],
    conditions: Sequence[Condition],
    sorts: Sequence[Sort],
    *,
    limit: int,
    after: Key | None = None,
    carry: str = "",
) -> list[Hit]:
    """Return the first runs of an order, or those behind a place.

    Parameters
    ----------
    sources : sequence of Source
        Experiments to look in, each with a lifecycle.
    conditions : sequence of Condition
        All must hold.
    sorts : sequence of Sort
        Completed by newest first and run id.
    limit : int
    after : Key, optional
        The key of the last hit of the page before.
    carry : str
        SQL of columns to read of the run `r` with it. Where all runs of a condition are read to be sorted, or those
        of several experiments to be merged, most would be read in vain: then nothing is carried.
    """
    folding.fold_experiments(sorted({s.experiment_id for s in sources if not s.is_folded}))
    sorts = complete(sorts)
    if len(sources) > MANY_SOURCES:
        sources = _not_empty(sources)
    want = max(20, 2 * limit // max(1, len(sources))) if len(sources) > 1 else limit
    if len(sources) == 1:
        only = _Search(sources[0], _compiled(conditions, sources[0]), sorts, want, carry)
        only.is_first = after is None
        return list(islice(only.hits(after), limit))
    walks = [_Search(s, _compiled(conditions, s), sorts, want).hits(after) for s in sources]
    return list(islice(heapq.merge(*walks, key=lambda hit: comparable(sorts, hit.key)), limit))


def _compiled(conditions: Sequence[Condition], source: Source) -> list[Predicate]:
    context = Context(Scope.of(source.experiment_id), 0)
    found = [
        predicates.compiled(c, context) if c.kind in predicates.TABLES else attributes.compiled(c, source)
        for c in conditions
    ]
    return [attributes.lifecycle(source), *found]


def _not_empty(sources: Sequence[Source]) -> list[Source]:
    """Leave out experiments without runs, by one query."""
    ids = sorted({s.experiment_id for s in sources})
    found: set[tuple[int, str]] = set()
    for start in range(0, len(ids), 5000):
        part = ids[start : start + 5000]
        found.update(
            rows(
                f"""SELECT e.id, l.v FROM experiments_experiment e
                    CROSS JOIN (SELECT 'active' AS v UNION ALL SELECT 'deleted') l
                    WHERE e.id IN ({", ".join(["%s"] * len(part))}) AND EXISTS (
                      SELECT 1 FROM experiments_run r WHERE r.experiment_id = e.id AND r.lifecycle = l.v)""",
                [*part],
            )
        )
    return [s for s in sources if (s.experiment_id, s.lifecycle) in found]


@dataclass(slots=True)
class _Group:
    """Runs that share a value, as far as they were walked."""

    value: Scalar
    rows: list[_Row] = field(default_factory=list)


class _Search:
    """The search in one source by the sorts from one level on."""

    def __init__(
        self, source: Source, conditions: list[Predicate], sorts: tuple[Sort, ...], want: int, carry: str = ""
    ) -> None:
        self.source, self.conditions, self.sorts, self.want = source, conditions, sorts, want
        self.carry = carry
        self.is_first = False  # whether a first page is looked for, of which only a low cap was looked up
        self._behind, self._carried = ranker(sorts[1:], 2), 2 + sum(2 if s.kind == "metric" else 1 for s in sorts[1:])

    def hits(self, after: Key | None) -> Iterator[Hit]:
        """Yield the hits in order, those behind `after`."""
        begun = self._begun() if self.is_first else []
        self.is_first = bool(begun)
        few = None if begun else rarest(self.conditions, FEW)
        if few:
            yield from self._gathered(few, after or ())
            return
        for rank in ranks(self.sorts[0]):
            if after and rank < after[0][0]:
                continue
            inside = after if after and after[0][0] == rank else None
            if rank != PRESENT:
                yield from self._group((rank, None), inside)
                continue
            if inside:
                yield from self._group(inside[0], inside)
            if (yield from self._walk(inside[0][1] if inside else None, begun)):
                return

    def _group(self, at: Ranked, after: Key | None) -> Iterator[Hit]:
        """Runs that share the value `at`, ordered by the sorts behind."""
        if len(self.sorts) == 1:
            return
        same = equal(self.sorts[0], self.source, at)
        inner = _Search(self.source, [*self.conditions, same], self.sorts[1:], self.want, self.carry)
        for hit in inner.hits(after[1:] if after else None):
            yield Hit((at, *hit.key), hit.run_id, hit.carried)

    def _begun(self) -> list[_Row]:
        """Return the rows of the first window; none where a condition keeps few runs, so that one starts from it."""
        unless_rare = none_rare(self.conditions, FIRST_FEW)
        return planned_rows(*self._page(walked(self.sorts[0], self.source), None, None, self._first(), unless_rare))

    def _first(self) -> tuple[int, int]:
        """How many entries the first window has, and how many to take of them.

        A window ends where it gave all that is wanted, so it may be long. One run more shows that a group ends.
        """
        return min(WINDOW, max(FIRST_WINDOW, 4 * self.want)), self.want + 1

    def _walk(self, beyond: Scalar, first_rows: list[_Row]) -> Generator[Hit, None, bool]:
        """Walk the present values behind `beyond`; return whether the rest was found in another way."""
        way = walked(self.sorts[0], self.source)
        place: _Place | None = None
        gone, check, found = 0, FIRST_CHECK, 0
        window, room = self._first()
        group = _Group(beyond)
        while True:
            begun, rows = place, first_rows or self._window(way, beyond, place, window, room)
            first_rows = []
            place = (rows[-1][0], rows[-1][1]) if len(rows) == room else self._end(way, beyond, begun, window)
            closed, beyond, group = self._closed(group, rows, beyond)
            yield from closed
            found += len(rows)
            if place is None:
                yield from self._sorted(group)
                return False
            gone += window if len(rows) < room else room
            if self._is_long(group, begun, place):
                yield from self._group((PRESENT, group.value), None)
                beyond, place, group = group.value, None, _Group(group.value)
            window, room = self._next(found, gone)
            if max(gone, window) >= check and place is not None:
                few, self.conditions = shortened(self.conditions, max(gone, window), FEW if self.is_first else 0)
                self.is_first = False
                if few:
                    yield from self._gathered(few, () if beyond is None else ((PRESENT, beyond),))
                    return True
                check = 2 * max(gone, window)

    def _next(self, found: int, gone: int) -> tuple[int, int]:
        """How many entries to walk next, as far again as what passed so far promises, and how many to take of them."""
        promised = (self.want - found) * gone * 4 // (3 * max(1, found))
        return max(2, FEW, min(WINDOW, promised)), max(2, GROUP, self.want + 1 - found)

    def _is_long(self, group: _Group, begun: _Place | None, place: _Place) -> bool:
        """Whether so many runs share the value that they are better searched by the sorts behind."""
        if len(self.sorts) == 1 or group.value != place[0]:
            return False
        return len(group.rows) > GROUP or (begun is not None and begun[0] == place[0])

    def _closed(self, group: _Group, rows: list[_Row], beyond: Scalar) -> tuple[list[Hit], Scalar, _Group]:
        """Return the hits before the last value that was walked, the value before that one, and its group so far."""
        values = {row[0] for row in rows}
        if rows and len(values) == len(rows) and group.value not in values:  # mostly each run has a value of its own
            hits = [*self._sorted(group), *self._hits(rows[:-1])]
            return hits, rows[-2][0] if len(rows) > 1 else group.value, _Group(rows[-1][0], [rows[-1]])
        hits = []
        for row in rows:
            if row[0] != group.value or not group.rows:
                hits += self._sorted(group)
                beyond, group = group.value, _Group(row[0])
            group.rows.append(row)
        return hits, beyond, group

    def _hits(self, rows: list[_Row]) -> list[Hit]:
        behind, at = self._behind, self._carried
        return [Hit(((PRESENT, row[0]), *behind(row)), row[1], row[at:]) for row in rows]

    def _sorted(self, group: _Group) -> list[Hit]:
        """Return a whole group, put in order by the sorts behind."""
        hits = self._hits(group.rows)
        if len(hits) > 1:
            hits.sort(key=lambda hit: comparable(self.sorts, hit.key))
        return hits

    def _window(self, way: Walked, beyond: object, place: _Place | None, window: int, room: int) -> list[_Row]:
        """Walk at most `window` entries of the order's index, to the first `room` runs that pass all conditions."""
        return rows(*self._page(way, beyond, place, (window, room)))

    def _page(
        self, way: Walked, beyond: object, place: _Place | None, size: tuple[int, int], more: tuple[str, Params] = _ALL
    ) -> tuple[str, Params]:
        """SQL of a window, with one condition more."""
        window, room = size
        inner, inner_params = way.sql(beyond, place)
        where, params = all_hold(self.conditions)
        read, read_params = self._columns(self.sorts[1:])
        carry = f", {self.carry}" if self.carry else ""
        sql = f"""SELECT o.v, o.run_id{read}{carry} FROM ({inner} LIMIT {window}) o {run_of_each()}{where}{more[0]}
                  ORDER BY {way.outer_order} LIMIT {room}"""
        return sql, [*read_params, *inner_params, *params, *more[1]]

    def _end(self, way: Walked, beyond: object, place: _Place | None, window: int) -> _Place | None:
        """Where a window that was walked whole ends, None where the index ends before."""
        inner, params = way.sql(beyond, place)
        found = rows(f"{inner} LIMIT 1 OFFSET %s", [*params, window - 1])
        return (found[0][0], found[0][1]) if found else None

    def _gathered(self, rare: Predicate, after: Key) -> Iterator[Hit]:
        """Read all that one condition keeps, and sort it."""
        source, source_params = entries(rare)
        where, params = all_hold([p for p in self.conditions if p is not rare])
        read, read_params = self._columns(self.sorts)
        read_rows = rows(
            f"SELECT r.id{read} FROM {source} {run_of_each()}{where}", [*read_params, *source_params, *params]
        )
        compare, bound = comparer(self.sorts), comparable(self.sorts, after)
        found = [(compare(row), row) for row in {row[0]: row for row in read_rows}.values()]
        if bound:
            found = [pair for pair in found if pair[0][: len(bound)] > bound]
        found.sort()
        key_of = ranker(self.sorts, 1)
        for _, row in found:
            yield Hit(key_of(row), row[0])

    def _columns(self, sorts: Sequence[Sort]) -> tuple[str, Params]:
        """SQL that reads the values of sorts, each column with a comma in front."""
        read = [columns(sort, self.source) for sort in sorts]
        return "".join(f", {c}" for found, _ in read for c in found), [p for _, params in read for p in params]
