"""Finding runs of one experiment or of several: filter, order, page.

A page is found by walking the index of its order and testing the other conditions by primary key.
Where a condition keeps few runs, the search starts from that condition's index instead: its size is
looked up first, up to a small cap, and again, up to the length of the walk, whenever the walk has gone
twice as far. Nothing is ever counted whole.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from mlportal.lib.errors import Invalid

from . import folding, stepping
from .asking import Question, placed, where_of
from .limits import UNSTORABLE
from .orders import Phase, phases_of, step_of
from .predicates import TABLES, Params, Predicate, compiled
from .starting import all_hold, entries, rarest, rows, run_of_each, shortened

FEW = 200
FIRST_WINDOW = 1000
FIRST_CHECK = 800
# Where no index gives the order each window sorts anew, so there are to be few.
SORTED_WINDOW = 8000
COUNT_CAP = 10_000
# A count ends at its cap, so there the index pays for longer.
INDEXED = 30_000
PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """One page: run ids in order, and cursors to the pages around it (empty at an end)."""

    run_ids: list[int]
    after: str
    before: str


def search(question: Question, *, limit: int = 100, after: str = "", before: str = "") -> Found:
    """Return one page of runs.

    Parameters
    ----------
    question : Question
    limit : int
        1 to 1,000.
    after, before : str
        A cursor of an earlier page; at most one of them.

    Raises
    ------
    FilterError
        If a condition names something unknown.
    Invalid
        If a cursor is not one of ours for this order.
    Reading
        If the values at a step are not yet kept of so many runs; asking again reads on.
    """
    folding.fold_experiments(question.context.scope.ids)
    place = _decoded(after or before, question)
    rows = _collect(question, place, limit + 1, backward=bool(before))
    more, rows = len(rows) > limit, rows[:limit]
    if before:
        rows.reverse()
    has_next, has_previous = (True, more) if before else (more, bool(after))
    return Found(
        [row[2] for row in rows],
        _encoded(rows[-1]) if rows and has_next else "",
        _encoded(rows[0]) if rows and has_previous else "",
    )


def first(question: Question) -> int | None:
    """Return the first run of an order, None when no run passes."""
    folding.fold_experiments(question.context.scope.ids)
    rows = _collect(question, None, 1, backward=False)
    return rows[0][2] if rows else None


def count(question: Question) -> int:
    """Count the runs that match, up to 10,001: more is "10,000+"."""
    predicates = [compiled(c, question.context) for c in question.conditions]
    alone = predicates[0] if len(predicates) == 1 and predicates[0].start else None
    rare = alone or rarest(predicates, INDEXED, by_index=True)
    if rare is not None and all(p.narrow for p in predicates) and _has_all(question):
        return _count_entries(rare, [p for p in predicates if p is not rare])
    source, params, where, more = placed(question, predicates, rare)
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {where} LIMIT %s) found"
    return int(rows(sql, [*params, *more, COUNT_CAP + 1])[0][0])


def _has_all(question: Question) -> bool:
    """Whether every run of the experiments is of the lifecycle asked, so that no entry's run need be read for it."""
    scope = question.context.scope
    other = f"SELECT 1 FROM experiments_run r WHERE {scope.holds('r.experiment_id')} AND r.lifecycle = %s LIMIT 1"
    return question.lifecycle == "active" and not rows(other, ["deleted"])


def _count_entries(rare: Predicate, others: Sequence[Predicate]) -> int:
    """Count what a condition's index yields and the others keep."""
    table, test, given = rare.start or ("", "", [])
    where, params = all_hold(others)
    source = f"(SELECT x.run_id FROM {table} WHERE {test}) o"
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE 1 = 1{where} LIMIT %s) found"
    return int(rows(sql, [*given, *params, COUNT_CAP + 1])[0][0])


def numbers(question: Question, *, after: int = 0, limit: int = 20_000) -> list[int]:
    """Return the numbers of the runs that match, in their own order: the next `limit` behind `after`."""
    folding.fold_experiments(question.context.scope.ids)
    predicates = [compiled(c, question.context) for c in question.conditions]
    where, params = where_of(question, predicates)
    found = rows(
        f"SELECT r.id FROM experiments_run r WHERE {where} AND r.id > %s ORDER BY r.id LIMIT %s",
        [*params, after, limit],
    )
    return [row[0] for row in found]


_Row = tuple[int, object, int]  # phase, sort value, run id
_Place = tuple[object, int]


def _collect(question: Question, place: _Row | None, want: int, *, backward: bool) -> list[_Row]:
    order, step = question.order, step_of(question.order.agg)
    passing = None if step is None else stepping.few(question, order.key, step, "sort")
    if passing is not None:
        return stepping.collect(passing, order, place, want, backward=backward)
    predicates = [compiled(c, question.context) for c in question.conditions]
    few = rarest(predicates, FEW)
    phases = phases_of(question.order, question.lifecycle)
    start = place[0] if place else (len(phases) - 1 if backward else 0)
    rows: list[_Row] = []
    for at in range(start, -1, -1) if backward else range(start, len(phases)):
        phase = phases[at].flipped() if backward else phases[at]
        behind = (place[1], place[2]) if place and place[0] == at else None
        look = _Look(question, predicates, phase, few)
        rows.extend((at, value, run_id) for value, run_id in look.rows(behind, want - len(rows)))
        few = look.few
        if len(rows) >= want:
            break
    return rows


@dataclass(slots=True)
class _Look:
    """The search inside one phase; ``few`` is the condition to start from, if one is known to keep few runs."""

    question: Question
    predicates: list[Predicate]
    phase: Phase
    few: Predicate | None

    def rows(self, place: _Place | None, room: int) -> list[tuple[object, int]]:
        """At most `room` (value, run id) behind `place`."""
        if self.few is not None:
            return self._from_condition(self.few, place, room)
        found: list[tuple[object, int]] = []
        walked, check, window = 0, FIRST_CHECK, FIRST_WINDOW if self.predicates else 2 * room
        if not self.phase.is_walked(self.question.context.scope):
            window = max(window, SORTED_WINDOW)
        while True:
            found += self._window(place, window, room - len(found))
            if len(found) >= room:
                return found
            place = self._end(place, window)
            if place is None:
                return found
            walked += window
            # As far again as the share of passing runs so far promises, and a third more.
            window = min(8000, max(FEW, (room - len(found)) * walked * 4 // (3 * max(1, len(found)))))
            ahead = max(walked, window)
            if ahead >= check:
                self.few, self.predicates = shortened(self.predicates, ahead)
                if self.few is not None:
                    return found + self._from_condition(self.few, place, room - len(found))
                check = 2 * ahead

    def _window(self, place: _Place | None, window: int, room: int) -> list[tuple[object, int]]:
        """Walk at most `window` entries of the order's index, to the first `room` runs that pass all conditions."""
        inner, inner_params = self.phase.walk(self.question.context.scope, place, window)
        where, params = self._where(self.predicates)
        return rows(
            f"""SELECT o.v, o.run_id FROM ({inner}) o {run_of_each()}{where}
                ORDER BY {self.phase.outer_order} LIMIT %s""",
            [*inner_params, *params, room],
        )

    def _end(self, place: _Place | None, window: int) -> _Place | None:
        """Where a window that was walked whole ends, None where the index ends before."""
        inner, params = self.phase.walk(self.question.context.scope, place, window)
        sql = f"SELECT o.v, o.run_id FROM ({inner}) o ORDER BY {self.phase.outer_order} LIMIT 1 OFFSET %s"
        found = rows(sql, [*params, window - 1])
        return found[0] if found else None

    def _from_condition(self, rare: Predicate, place: _Place | None, room: int) -> list[tuple[object, int]]:
        """Start from the index of one condition and sort what it keeps."""
        source, source_params = entries(rare)
        others, params = self._where([p for p in self.predicates if p is not rare])
        joined, joined_params = self.phase.joined(place)
        return rows(
            f"""SELECT {self.phase.value} AS v, r.id FROM {source} {joined} {run_of_each()}{others}
                ORDER BY {self.phase.probe_order} LIMIT %s""",
            [*source_params, *joined_params, *params, room],
        )

    def _where(self, predicates: list[Predicate]) -> tuple[str, Params]:
        where, params = all_hold([_inside(self.question), *predicates])
        return f"{where} AND {self.phase.guard}" if self.phase.guard else where, params


def _inside(question: Question) -> Predicate:
    """The condition that a run is in the experiments asked, living or deleted."""
    return Predicate(f"{question.context.scope.holds('r.experiment_id')} AND r.lifecycle = %s", [question.lifecycle])


def _encoded(row: _Row) -> str:
    phase, value, run_id = row
    kept = repr(value) if isinstance(value, float) and not math.isfinite(value) else value
    return base64.urlsafe_b64encode(json.dumps([phase, kept, run_id]).encode()).decode().rstrip("=")


def _decoded(text: str, question: Question) -> _Row | None:
    if not text:
        return None
    kinds = _kinds(question)
    try:
        phase, value, run_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        kind = kinds[phase] if type(phase) is int and phase >= 0 else None
        if type(run_id) is not int or not _storable(run_id) or kind is None:
            raise ValueError(text)
        value = kind(value)
        if not _storable(value):
            raise ValueError(text)
    except (ValueError, TypeError, IndexError, binascii.Error, OverflowError, RecursionError):
        raise Invalid("The page cursor does not belong to this list.", code="bad_cursor", field="cursor") from None
    return phase, value, run_id


def _kinds(question: Question) -> Sequence[type]:
    """What a cursor holds in each stretch of an order."""
    if step_of(question.order.agg) is not None:
        return stepping.KINDS
    return [phase.kind for phase in phases_of(question.order, question.lifecycle)]


def _storable(value: object) -> bool:
    """Whether a database takes the value as a parameter."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, str) or not UNSTORABLE.search(value)


def known_keys(experiment_id: int) -> dict[str, list[str]]:
    """Return the names of metrics, parameters and tags that the experiment's runs have."""
    folding.fold_experiment(experiment_id)
    # Hops from key to key through each index instead of reading a row per run.
    hops = " UNION ALL ".join(
        f"""SELECT '{kind}', k FROM (WITH RECURSIVE hop (k) AS (
              SELECT min(key_id) FROM {table} WHERE experiment_id = %s
              UNION ALL
              SELECT (SELECT min(key_id) FROM {table} WHERE experiment_id = %s AND key_id > hop.k)
              FROM hop WHERE hop.k IS NOT NULL
            ) SELECT k FROM hop WHERE k IS NOT NULL) {kind}s"""
        for kind, table in TABLES.items()
    )
    out: dict[str, list[str]] = {kind: [] for kind in TABLES}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT found.kind, n.name FROM (SELECT '' AS kind, 0 AS k UNION ALL {hops}) found "
            "JOIN experiments_key n ON n.id = found.k ORDER BY n.name",
            [experiment_id] * (2 * len(TABLES)),
        )
        for kind, name in cursor.fetchall():
            out[kind].append(name)
    return out
