"""Orders of runs as phases: each phase walks one index, phases follow one another.

Runs that have a number come first, then NaN, then runs without the value, newest first, whichever
way the order goes. Within equal values the newer run comes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from django.db import connection

from . import keys
from .meaning import FilterError
from .names import have
from .predicates import TABLES, Params, head
from .scope import Scope

ATTRIBUTES = ("started", "ended", "took", "name", "state", "user", "data", "experiment", "source", "id")
AGGREGATES = ("last", "best", "min", "max")
_STEP = re.compile(r"step:(-?\d{1,18})")
_AGGREGATED = {"last": "value", "min": "low", "max": "high"}
_PREFIXES = (("metrics.", "metric"), ("params.", "param"), ("tags.", "tag"), ("attributes.", "attribute"))
_QUOTED = re.compile(r"(?P<mark>[`\"])(?P<key>.*)(?P=mark)(?:@(?P<agg>[a-z]+(?::-?\d+)?))?", re.DOTALL)
_PLAIN = re.compile(r"(?P<key>.*?)(?:@(?P<agg>last|best|min|max|step:-?\d+))?", re.DOTALL)
# Datasets in the order of their names, versions in the order of their numbers.
_PADDED = {"postgresql": "lpad(w.number::text, 10, '0')", "sqlite": "substr('0000000000' || w.number, -10)"}
_EXPRESSIONS: dict[str, tuple[str, type]] = {
    "started": ("q.started_ms", int),
    "ended": ("q.ended_ms", int),
    "took": ("(q.ended_ms - q.started_ms)", int),
    "name": ("q.name", str),
    "state": ("q.state", str),
    "user": ("COALESCE((SELECT lower(u.username) FROM projects_user u WHERE u.id = q.created_by_id), '')", str),
    "data": (
        "(SELECT d.name_key || ' v' || {padded} FROM projects_datasetversion w JOIN projects_dataset d "
        "ON d.id = w.dataset_id WHERE w.id = q.dataset_version_id)",
        str,
    ),
    "experiment": ("(SELECT lower(p.name) FROM experiments_experiment p WHERE p.id = q.experiment_id)", str),
    "source": ("q.source", str),
    "id": ("q.id", int),
}
_OPTIONAL = {"ended": "q.ended_ms", "took": "q.ended_ms", "data": "q.dataset_version_id"}
KEPT = "experiments_stepvalue"  # see `kept`
_RUNS, _STARTED = "experiments_run", "q.started_ms"
_REST = "r.state IN ('failed', 'queued')"


@dataclass(frozen=True, slots=True)
class Order:
    """What runs are ordered by; ``settled_first`` puts failed and queued runs behind all others.

    ``agg`` says which value of a metric counts: the last, the least or the greatest, or that at a step, as
    ``step:100``; "best" is for the caller to turn into one of these, since only it knows which way is better.
    """

    kind: str = "attribute"
    key: str = "started"
    descending: bool = True
    settled_first: bool = False
    agg: str = "last"


NEWEST_FIRST = Order()


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of an order.

    ``table`` has the alias `q`; ``own`` are its conditions behind that on the experiment, ``own_params`` their values.
    """

    table: str
    run: str
    value: str
    kind: type
    own: str
    own_params: tuple[object, ...]
    descending: bool
    newest_first: bool = True
    guard: str = ""
    # Whether an index gives the order; else each window reads and sorts the index entries of all runs.
    by_index: bool = True

    def flipped(self) -> Phase:
        """The same stretch read backwards."""
        return replace(self, descending=not self.descending, newest_first=not self.newest_first)

    def is_walked(self, scope: Scope) -> bool:
        """Whether an index gives the order over these experiments, so that no more is read than is wanted."""
        return self.by_index and (scope.is_single or self._of_project(scope) or connection.vendor == "postgresql")

    def walk(self, scope: Scope, place: tuple[object, int] | None, window: int) -> tuple[str, Params]:
        """SQL that gives the next `window` of (v, run_id) of this stretch in order, behind `place`.

        Of several experiments each is walked by its own index, and what they give is put in order: no more than
        `window` a experiment. The newest runs of a whole project have an index of their own.
        """
        behind, params = self._behind(place)
        if self._of_project(scope):
            own_place = f"q.project_id = {scope.project_id}"
        else:
            own_place = "q.experiment_id = e.id" if self._by_each(scope) else scope.holds("q.experiment_id")
        sql = f"""SELECT {self.value} AS v, {self.run} AS run_id FROM {self.table} q WHERE {own_place}{self.own}{behind}
                  ORDER BY {self._order(self.value, self.run)} LIMIT %s"""
        given = [*self.own_params, *params, window]
        if not self._by_each(scope):
            return sql, given
        order = self._order("l.v", "l.run_id")
        each = f"SELECT l.v, l.run_id FROM {scope.rows} CROSS JOIN LATERAL ({sql}) l ORDER BY {order} LIMIT %s"
        return each, [*given, window]

    def _by_each(self, scope: Scope) -> bool:
        """Whether each experiment is walked by itself; SQLite cannot, and reads their entries of the index."""
        if scope.is_single or self._of_project(scope):
            return False
        return self.by_index and connection.vendor == "postgresql"

    def _of_project(self, scope: Scope) -> bool:
        by_start = self.table == _RUNS and self.value == _STARTED
        return scope.project_id is not None and not scope.is_single and by_start

    def joined(self, place: tuple[object, int] | None) -> tuple[str, Params]:
        """SQL that joins the row `q` of this stretch to each entry `o` that came from elsewhere, and its values."""
        behind, params = self._behind(place)
        own = f"q.{'id' if self.run == 'q.id' else 'run_id'} = o.run_id{self.own}{behind}"
        if connection.vendor == "postgresql":  # by its primary key, never the whole table to hash it
            sql = f"CROSS JOIN LATERAL (SELECT * FROM {self.table} q WHERE {own} LIMIT 1) q"
        else:
            sql = f"CROSS JOIN {self.table} q ON {own}"
        return sql, [*self.own_params, *params]

    @property
    def outer_order(self) -> str:
        """The order again, on the names the walk gives."""
        return self._order("o.v", "o.run_id")

    @property
    def probe_order(self) -> str:
        """The order on the table itself."""
        return self._order(self.value, self.run)

    def _order(self, value: str, run: str) -> str:
        return f"{value} {_way(self.descending)}, {run} {_way(self.newest_first)}"

    def _behind(self, place: tuple[object, int] | None) -> tuple[str, Params]:
        if place is None:
            return "", []
        ahead, tie = "<" if self.descending else ">", "<" if self.newest_first else ">"
        if ahead == tie:  # one comparison of rows is one step in the index
            return f" AND ({self.value}, {self.run}) {ahead} (%s, %s)", [*place]
        sql = f" AND {self.value} {ahead}= %s AND ({self.value} {ahead} %s OR {self.run} {tie} %s)"
        return sql, [place[0], place[0], place[1]]


def column_of(agg: str) -> str:
    """The column of the metrics' table that holds the last, the least or the greatest value."""
    return _AGGREGATED[agg]


def step_of(agg: str) -> int | None:
    """The step of ``step:<n>``, None for any other aggregate."""
    found = _STEP.fullmatch(agg)
    return int(found[1]) if found else None


def phases_of(order: Order, lifecycle: str) -> list[Phase]:
    """Return the stretches of an order."""
    if order.kind == "attribute":
        found = _attribute_phases(order, lifecycle)
    else:
        key_id = keys.find([order.key]).get(order.key, -1)
        build = {"metric": _metric_phases, "param": _param_phases, "tag": _tag_phases}[order.kind]
        found = [*build(order, key_id), _without(order, key_id, lifecycle)]
    if not order.settled_first:
        return found
    good = [replace(p, guard=f"NOT {_REST}") for p in found]
    return [*good, replace(_newest(lifecycle), guard=_REST)]


def parse_order(text: str, scope: Scope, agg: str = "last") -> Order:
    """Read an order such as ``-auc``, ``params.depth``, ``metrics.auc DESC``, ``loss@min`` or ``loss@step:100``.

    A key that holds an @ of its own stands between backquotes.

    Parameters
    ----------
    text : str
    scope : Scope
    agg : str
        What a metric without an aggregate of its own is ordered by.

    Raises
    ------
    FilterError
        If the name is no metric, parameter, tag or attribute, or the aggregate cannot be sorted by.
    """
    name, _, way = text.strip().rpartition(" ") if text.strip().upper().endswith((" ASC", " DESC")) else (text, "", "")
    descending = way.upper() == "DESC" or name.startswith("-")
    name = name.strip().removeprefix("-")
    for prefix, kind in _PREFIXES:
        if name.startswith(prefix):
            return replace(_ordered(kind, name.removeprefix(prefix), agg, text), descending=descending)
    kind = "attribute" if name in ATTRIBUTES else _kind_of(name, scope)
    if not kind:
        raise FilterError(f"Runs cannot be ordered by {name[:60]!r}.", 0, max(1, len(text)))
    return replace(_ordered(kind, name, agg, text), descending=descending)


def _ordered(kind: str, written: str, page_agg: str, text: str) -> Order:
    key, agg = _key_and_aggregate(written) if kind == "metric" else (written.strip('`"'), "last")
    agg = agg or page_agg
    if agg not in AGGREGATES and step_of(agg) is None:
        raise FilterError(
            "Runs are ordered by the last, best, min or max of a metric, or by its value at a step of up to 18 digits.",
            0, len(text),
        )  # fmt: skip
    if not key or (kind == "attribute" and key not in ATTRIBUTES):
        raise FilterError(f"Runs cannot be ordered by {written[:60]!r}.", 0, max(1, len(text)))
    return Order(kind, key, agg=agg)


def _key_and_aggregate(written: str) -> tuple[str, str]:
    found = _QUOTED.fullmatch(written) or _PLAIN.fullmatch(written)
    return (found["key"], found["agg"] or "") if found else (written, "")


def _kind_of(name: str, scope: Scope) -> str:
    key = _key_and_aggregate(name)[0]
    return next((kind for kind in TABLES if have(scope, kind, [key])), "")


def _metric_phases(order: Order, key_id: int) -> list[Phase]:
    step = step_of(order.agg)
    if step is not None:
        return _step_phases(order, key_id, step)
    column = _AGGREGATED[order.agg]
    # The least and the greatest of a metric that was only ever NaN are null.
    number, no_number = (
        ("q.is_nan = %s", "q.is_nan = %s") if column == "value" else (f"q.{column} IS NOT NULL", f"q.{column} IS NULL")
    )
    params = ((key_id, False), (key_id, True)) if column == "value" else ((key_id,), (key_id,))
    whole = Phase(
        "experiments_runmetric", "q.run_id", f"q.{column}", float,
        f" AND q.key_id = %s AND {number}", params[0], order.descending,
    )  # fmt: skip
    rest = replace(
        whole, value="q.value", own=f" AND q.key_id = %s AND {no_number}", own_params=params[1], descending=True
    )
    return [whole, rest]


def _step_phases(order: Order, key_id: int, step: int) -> list[Phase]:
    """Those of a step that is kept."""
    own = " AND q.key_id = %s AND q.step = %s AND q.is_nan = %s"
    whole = Phase(KEPT, "q.run_id", "q.value", float, own, (key_id, step, False), order.descending)
    return [whole, replace(whole, own_params=(key_id, step, True), descending=True)]


def _tag_phases(order: Order, key_id: int) -> list[Phase]:
    return [Phase("experiments_runtag", "q.run_id", head("q"), str, " AND q.key_id = %s", (key_id,), order.descending)]


def _param_phases(order: Order, key_id: int) -> list[Phase]:
    numbers = Phase(
        "experiments_runparam", "q.run_id", "q.number", float,
        " AND q.key_id = %s AND q.number IS NOT NULL", (key_id,), order.descending,
    )  # fmt: skip
    words = replace(numbers, value=head("q"), kind=str, own=" AND q.key_id = %s AND q.number IS NULL")
    return [numbers, words]


def _attribute_phases(order: Order, lifecycle: str) -> list[Phase]:
    value, kind = _EXPRESSIONS[order.key]
    value = value.replace("{padded}", _PADDED[connection.vendor])
    optional = _OPTIONAL.get(order.key)
    known = f" AND {optional} IS NOT NULL" if optional else ""
    base = _newest(lifecycle)
    by_index = order.key in ("started", "name")
    whole = replace(base, value=value, kind=kind, own=base.own + known, descending=order.descending, by_index=by_index)
    phases = [whole]
    if order.key in ("started", "id"):  # the newer of two equal ones follows the order itself
        phases = [replace(phases[0], newest_first=order.descending)]
    if optional:
        phases.append(replace(base, own=f"{base.own} AND {optional} IS NULL"))
    return phases


def _without(order: Order, key_id: int, lifecycle: str) -> Phase:
    base, step = _newest(lifecycle), step_of(order.agg)
    table, at, given = (TABLES[order.kind], "", ()) if step is None else (KEPT, " AND z.step = %s", (step,))
    absent = f" AND NOT EXISTS (SELECT 1 FROM {table} z WHERE z.run_id = q.id AND z.key_id = %s{at})"
    return replace(base, own=base.own + absent, own_params=(*base.own_params, key_id, *given))


def _newest(lifecycle: str) -> Phase:
    return Phase(_RUNS, "q.id", _STARTED, int, " AND q.lifecycle = %s", (lifecycle,), descending=True)


def _way(descending: bool) -> str:  # noqa: FBT001 - one word for one flag
    return "DESC" if descending else "ASC"
