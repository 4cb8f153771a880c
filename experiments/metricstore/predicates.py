"""Conditions of the filter language as SQL on one run's primary key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.db import connection

from . import keys
from .meaning import Age, Condition, FilterError, Group, Node, number
from .scope import Scope

HEAD_CHARS = 250
Params = list[object]
Start = tuple[str, str, Params]
_COMPARE = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
PATTERNS = ("like", "ilike", "contains")
_ORDERED = (">", "<", ">=", "<=", "range")
TABLES = {"metric": "experiments_runmetric", "param": "experiments_runparam", "tag": "experiments_runtag"}


@dataclass(frozen=True, slots=True)
class Context:
    """What a filter needs to know from outside: the experiments, the clock, the reader."""

    scope: Scope
    now_ms: int
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition ready to run: SQL over `r` (a run row), and where its own index could start.

    ``start`` is the FROM and WHERE that yields ``x.run_id`` from the condition's index, if it has one;
    ``bounded`` says that the index holds the test itself, so that counting reads no more than it counts.
    A group has no index of its own; ``parts`` are what it joins by ``op``. ``narrow`` says that of the run only its
    id is asked: such a test is made before the wide row is read. ``near`` is a start that keeps these runs and perhaps
    a few more, and reads nothing but an index.
    """

    sql: str
    params: Params
    start: Start | None = None
    bounded: bool = True
    op: str = ""
    parts: tuple[Predicate, ...] = ()
    narrow: bool = False
    near: Start | None = None

    def on(self, run_id: str) -> str:
        """The SQL of a narrow test over another expression for the run's id."""
        return self.sql.replace("r.id", run_id)


def compiled(node: Node, context: Context, *, turned: bool = False) -> Predicate:
    """Return the SQL of a condition, or of a tree of them.

    Parameters
    ----------
    turned : bool
        Whether the opposite is wanted: a not is carried down to the conditions, whose indexes then still serve.

    Raises
    ------
    FilterError
        If a bare name is neither a metric nor a parameter of the experiments.
    """
    turned ^= node.negated
    if isinstance(node, Group):
        return _joined(node, context, turned=turned)
    condition = replace(node, negated=turned)
    if condition.kind == "bare":
        condition = _resolved(condition, context)
    if condition.kind in TABLES:
        return _keyed(condition, context)
    sql, params = _ATTRIBUTES[condition.kind](condition, context)
    return Predicate(f"NOT ({sql})" if condition.negated else f"({sql})", params)


def _joined(group: Group, context: Context, *, turned: bool) -> Predicate:
    parts = tuple(compiled(part, context, turned=turned) for part in group.parts)
    op = {"and": "or", "or": "and"}[group.op] if turned else group.op
    sql = f" {op.upper()} ".join(part.sql if not part.parts else f"({part.sql})" for part in parts)
    narrow = all(part.narrow for part in parts)
    return Predicate(f"({sql})", [value for part in parts for value in part.params], op=op, parts=parts, narrow=narrow)


def head(alias: str = "x") -> str:
    """SQL of the indexed first characters of a text value, in byte order."""
    collate = ' COLLATE "C"' if connection.vendor == "postgresql" else ""
    return f"(substr({alias}.value, 1, {HEAD_CHARS}){collate})"


def _resolved(condition: Condition, context: Context) -> Condition:
    """Decide what a bare name is: numbers prefer the metric, words the parameter."""
    key_id = keys.find([condition.key]).get(condition.key)
    order = ("metric", "param", "tag") if condition.op in _ORDERED else ("param", "tag", "metric")
    for kind in order:
        if key_id is not None and _exists(TABLES[kind], context.scope, key_id):
            return _as_kind(condition, kind)
    place = condition.name or condition.span
    raise FilterError(f"No run here has a metric, parameter or tag called {condition.key!r}.", *place)


def _as_kind(condition: Condition, kind: str) -> Condition:
    values = condition.values
    if kind == "metric" and condition.op in ("=", "!="):
        values = tuple(number(str(v)) for v in values)
        if None in values:
            raise FilterError(f"{condition.key} is a metric; compare it with a number.", *condition.span)
    elif kind == "metric" and condition.op in PATTERNS:
        written = "~" if condition.op == "contains" else condition.op.upper()
        raise FilterError(f"{condition.key} is a metric; it does not know {written}.", *condition.span)
    elif kind == "tag" and condition.op in _ORDERED:
        raise FilterError(f"{condition.key} is a tag; tags are text and have no order.", *condition.span)
    return replace(condition, kind=kind, values=values)


def _exists(table: str, scope: Scope, key_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {table} WHERE {scope.holds('experiment_id')} AND key_id = %s LIMIT 1", [key_id])
        return cursor.fetchone() is not None


def _keyed(condition: Condition, context: Context) -> Predicate:
    key_id = keys.find([condition.key]).get(condition.key)
    missing_holds = condition.negated != (condition.op == "null")
    if key_id is None:
        return Predicate("1 = 1" if missing_holds else "1 = 0", [], narrow=True)
    table = TABLES[condition.kind]
    test, params = _VALUE_TESTS[condition.kind](condition)
    found = look(table, test)
    own = f"{context.scope.holds('x.experiment_id')} AND x.key_id = %s{test}"
    given, tested = [key_id, *params], [*params, key_id]
    if missing_holds:
        rest = f"""(SELECT z.id AS run_id FROM experiments_run z WHERE {context.scope.holds("z.experiment_id")}
                    AND NOT EXISTS (SELECT 1 FROM {table} x WHERE {own} AND x.run_id = z.id)) x"""
        start = (rest, "1 = 1", given)
        return Predicate(f"{found} IS NOT TRUE", tested, start, bounded=False, narrow=True)
    start = (f"{table} x", own, given)
    bounded = condition.op not in ("!=", *PATTERNS)
    return Predicate(f"{found} IS TRUE", tested, start, bounded, narrow=True, near=_near(condition, context, key_id))


def _near(condition: Condition, context: Context, key_id: int) -> Start | None:
    """Start from the numbers that parameters spell: texts are indexed by their heads, so each would be read as well."""
    if condition.kind != "param" or condition.op != "=":
        return None
    numbers: Params = [number(str(value)) for value in condition.values]
    if None in numbers:
        return None
    test = f"{context.scope.holds('x.experiment_id')} AND x.key_id = %s AND x.number IN ({_marks(numbers)})"
    return (f"{TABLES['param']} x", test, [key_id, *numbers])


def look(table: str, test: str) -> str:
    """SQL that is true where a run has a key (the last parameter) and its row passes a test that begins with AND.

    The test stands outside the WHERE, since with it PostgreSQL would take the index of values, of which it reads
    a page for each experiment; LIMIT keeps it from hashing the whole table for what is one look by primary key.
    """
    shown = test.removeprefix(" AND ") or "1 = 1"
    return f"(SELECT {shown} FROM {table} x WHERE x.run_id = r.id AND x.key_id = %s LIMIT 1)"


def _metric_test(condition: Condition) -> tuple[str, Params]:
    values = list(condition.values)
    if condition.op in ("null", "known"):
        return "", []
    if condition.op == "range":
        test, params = _between("x.value", condition)
        return f" AND x.is_nan = %s AND {test}", [False, *params]
    if condition.op == "!=":  # NaN differs from every number
        return f" AND (x.is_nan = %s OR x.value NOT IN ({_marks(values)}))", [True, *values]
    if condition.op == "=":
        return f" AND x.is_nan = %s AND x.value IN ({_marks(values)})", [False, *values]
    return f" AND x.is_nan = %s AND x.value {_COMPARE[condition.op]} %s", [False, values[0]]


def _between(column: str, condition: Condition) -> tuple[str, Params]:
    """SQL of a range, whose open ends are None."""
    ends = [(sign, value) for sign, value in zip((">=", "<="), condition.values, strict=True) if value is not None]
    return " AND ".join(f"{column} {sign} %s" for sign, _ in ends), [value for _, value in ends]


def _param_test(condition: Condition) -> tuple[str, Params]:
    if condition.op == "range":
        test, params = _between("x.number", condition)
        return f" AND {test}", params
    if condition.op in (">", "<", ">=", "<="):
        return f" AND x.number {_COMPARE[condition.op]} %s", [condition.values[0]]
    return _text_test(condition)


def _text_test(condition: Condition) -> tuple[str, Params]:
    if condition.op in ("null", "known"):
        return "", []
    values = [str(v) for v in condition.values]
    if condition.op in PATTERNS:
        tests = [matched("x.value", str(v), condition.op) for v in values]
        return f" AND ({' OR '.join(sql for sql, _ in tests)})", [p for _, params in tests for p in params]
    tests, params = [], []
    for value in values:
        sharp = " AND x.value = %s" if len(value) >= HEAD_CHARS else ""
        tests.append(f"({head()} = %s{sharp})")
        params += [value[:HEAD_CHARS], *([value] if sharp else [])]
    joined = " OR ".join(tests)
    return f" AND NOT ({joined})" if condition.op == "!=" else f" AND ({joined})", params


def _tagged(condition: Condition, context: Context) -> tuple[str, Params]:
    """Any tag of that name or value, as ``tag:sweep-07`` is written."""
    if condition.op in PATTERNS:
        return _tagged_like(condition)
    values = [str(v) for v in condition.values]
    ids = list(keys.find(values).values())
    by_key = f"x.key_id IN ({_marks(ids)}) OR " if ids else ""
    sql = (
        f"EXISTS (SELECT 1 FROM experiments_runtag x WHERE x.run_id = r.id AND ({by_key}x.value IN ({_marks(values)})))"
    )
    return f"NOT {sql}" if condition.op == "!=" else sql, [*ids, *values]


def _tagged_like(condition: Condition) -> tuple[str, Params]:
    columns = ("n.name", "x.value")
    found = [matched(c, str(v), condition.op) for v in condition.values for c in columns]
    test = " OR ".join(sql for sql, _ in found)
    sql = f"""EXISTS (SELECT 1 FROM experiments_runtag x JOIN experiments_key n ON n.id = x.key_id
              WHERE x.run_id = r.id AND ({test}))"""
    return sql, [p for _, params in found for p in params]


def compare_text(column: str, pattern: str, *, fold: bool) -> tuple[str, Params]:
    """SQL of a match with % and _, no escape: PostgreSQL by LIKE, SQLite by GLOB where case matters."""
    if connection.vendor == "postgresql":
        return f"{column} {'ILIKE' if fold else 'LIKE'} %s ESCAPE ''", [pattern]
    if fold:
        return f"{column} LIKE %s", [pattern]
    glob = "".join(f"[{c}]" if c in "*?[" else {"%": "*", "_": "?"}.get(c, c) for c in pattern)
    return f"{column} GLOB %s", [glob]


def matched(column: str, text: str, op: str) -> tuple[str, Params]:
    """SQL of one of `PATTERNS`."""
    return contains(column, text) if op == "contains" else compare_text(column, text, fold=op == "ilike")


def contains(column: str, text: str) -> tuple[str, Params]:
    """SQL of a text that is in a column, in any case of letters."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    operator = "ILIKE" if connection.vendor == "postgresql" else "LIKE"
    return f"{column} {operator} %s ESCAPE '\\'", [f"%{escaped}%"]


def _texts(column: str) -> Callable[[Condition, Context], tuple[str, Params]]:
    def build(condition: Condition, context: Context) -> tuple[str, Params]:
        values = [str(v) for v in condition.values]
        if condition.op == "like":
            tests = [compare_text(column, v, fold=False) for v in values]
        elif condition.op == "ilike":
            # name:word means contains; a pattern of one's own keeps its wildcards.
            tests = [compare_text(column, v, fold=True) if "%" in v else contains(column, v) for v in values]
        elif condition.op == "contains":
            tests = [contains(column, v) for v in values]
        else:
            negative = "NOT " if condition.op == "!=" else ""
            return f"{column} {negative}IN ({_marks(values)})", list(values)
        return " OR ".join(sql for sql, _ in tests), [p for _, params in tests for p in params]

    return build


def _words(condition: Condition, context: Context) -> tuple[str, Params]:
    tests, params = [], []
    for value in (str(v) for v in condition.values):
        for column in ("r.name", "r.notes"):
            sql, given = contains(column, value)
            tests.append(sql)
            params += given
        if value.isascii() and value.isdigit() and len(value) < 19:
            tests.append("r.id = %s")
            params.append(int(value))
    return " OR ".join(tests), params


def _user(condition: Condition, context: Context) -> tuple[str, Params]:
    if condition.op in _PRESENCE:
        return f"r.created_by_id {_PRESENCE[condition.op]}", []
    if condition.op in PATTERNS:
        tests = [matched("u.username", str(v), condition.op) for v in condition.values]
        test = " OR ".join(sql for sql, _ in tests)
        sql = f"EXISTS (SELECT 1 FROM projects_user u WHERE u.id = r.created_by_id AND ({test}))"
        return sql, [p for _, params in tests for p in params]
    tests, params = [], []
    for value in (str(v) for v in condition.values):
        if value == "me":
            tests.append("r.created_by_id = %s")
            params.append(context.user_id)
        else:
            tests.append("r.created_by_id IN (SELECT u.id FROM projects_user u WHERE lower(u.username) = %s)")
            params.append(value.lower())
    sql = f"COALESCE({' OR '.join(tests)}, {'1 = 0' if connection.vendor == 'sqlite' else 'FALSE'})"
    return f"r.created_by_id IS NOT NULL AND NOT {sql}" if condition.op == "!=" else sql, params


def _data(condition: Condition, context: Context) -> tuple[str, Params]:
    if condition.op in _PRESENCE:
        return f"r.dataset_version_id {_PRESENCE[condition.op]}", []
    if condition.op in PATTERNS:
        found = [matched("d.name", str(v), condition.op) for v in condition.values]
        test = " OR ".join(sql for sql, _ in found)
        sql = f"""EXISTS (SELECT 1 FROM projects_datasetversion v JOIN projects_dataset d ON d.id = v.dataset_id
                  WHERE v.id = r.dataset_version_id AND ({test}))"""
        return sql, [p for _, params in found for p in params]
    tests, params = [], []
    for value in (str(v) for v in condition.values):
        name, _, version = value.rpartition("@v")
        exact = bool(name) and version.isascii() and version.isdigit() and len(version) < 10
        tests.append("(d.name_key = %s AND v.number = %s)" if exact else "d.name_key = %s")
        params += [name.casefold(), int(version)] if exact else [value.casefold()]
    sql = f"""EXISTS (SELECT 1 FROM projects_datasetversion v JOIN projects_dataset d ON d.id = v.dataset_id
              WHERE v.id = r.dataset_version_id AND ({" OR ".join(tests)}))"""
    return f"r.dataset_version_id IS NOT NULL AND NOT {sql}" if condition.op == "!=" else sql, params


def _experiment(condition: Condition, context: Context) -> tuple[str, Params]:
    """By exact name or by number; a pattern is one of names."""
    sql, params = experiments_named(condition, "p")
    negative = "NOT " if condition.op == "!=" else ""
    return f"{negative}EXISTS (SELECT 1 FROM experiments_experiment p WHERE p.id = r.experiment_id AND ({sql}))", params


def experiments_named(condition: Condition, alias: str) -> tuple[str, Params]:
    """SQL of the test that an experiment has one of the names or numbers, or a name like one of the patterns."""
    if condition.op in PATTERNS:
        found = [matched(f"{alias}.name", str(v), condition.op) for v in condition.values]
    else:
        found = [(f"{alias}.{'name' if isinstance(v, str) else 'id'} = %s", [v]) for v in condition.values]
    return " OR ".join(sql for sql, _ in found), [p for _, params in found for p in params]


def _numbers(column: str, scale: float = 1) -> Callable[[Condition, Context], tuple[str, Params]]:
    """Compare a number of the run; one that it lacks passes nothing, and the opposite of nothing is all."""
    known = f"{column} IS NOT NULL AND "

    def build(condition: Condition, context: Context) -> tuple[str, Params]:
        if condition.op in _PRESENCE:
            return f"{column} {_PRESENCE[condition.op]}", []
        values = [_moment(v, context) if isinstance(v, Age) else v and float(v) * scale for v in condition.values]
        if condition.op == "day":
            return f"{known}{column} >= %s AND {column} < %s", values
        if condition.op == "range":
            sql, params = _between(column, replace(condition, values=tuple(values)))
            return known + sql, params
        if condition.op in ("=", "!="):
            return f"{known}{column} {'NOT ' if condition.op == '!=' else ''}IN ({_marks(values)})", values
        return f"{known}{column} {_COMPARE[condition.op]} %s", values[:1]

    return build


def _moment(age: Age, context: Context) -> float:
    return context.now_ms - age.seconds * 1000


def _marks(items: list[object]) -> str:
    return ", ".join(["%s"] * len(items))


_PRESENCE = {"null": "IS NULL", "known": "IS NOT NULL"}
_VALUE_TESTS = {"metric": _metric_test, "param": _param_test, "tag": _text_test}
_ATTRIBUTES: dict[str, Callable[[Condition, Context], tuple[str, Params]]] = {
    "state": _texts("r.state"),
    "name": _texts("r.name"),
    "uuid": _texts("r.uuid"),
    "source": _texts("r.source"),
    "text": _words,
    "tagged": _tagged,
    "user": _user,
    "data": _data,
    "experiment": _experiment,
    "number": _numbers("r.id"),
    "started": _numbers("r.started_ms"),
    "ended": _numbers("r.ended_ms"),
    "took": _numbers("(r.ended_ms - r.started_ms)", 1000),
}
