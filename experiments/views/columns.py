"""Columns of the runs table: which there are, which are shown, what stands in a cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments import queries
from experiments.metricstore import Order
from experiments.queries import RunFacts
from mlportal.lib import ui

CONTEXT = {"data": "Data", "user": "By", "started": "Started", "took": "Took"}
NUMERIC_CONTEXT = frozenset({"started", "took"})
GROUPS = {"m": "Metrics", "p": "Parameters that vary", "c": "Context"}
MAX_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its token in the address, its head, its way of sorting."""

    token: str
    group: str
    name: str
    label: str
    sort: str
    numeric: bool
    arrow: str = ""
    opens_group: bool = False
    sorted_as: str = ""
    next_sort: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table; the cells are ready HTML."""

    facts: RunFacts
    cells: SafeString
    labels: list[str]
    children: int = 0
    is_open: bool = False
    is_child: bool = False
    toggle: str = ""


@dataclass(frozen=True, slots=True)
class Families:
    """The rows of a page with the children of opened runs right below them.

    Parameters
    ----------
    rows : list of RunFacts
        In the order shown; a child that stands below its parent does not stand elsewhere too.
    counts : dict of int to int
        How many children each run of the page has.
    opened : list of int
        Runs whose children are shown.
    placed : set of int
        Children that stand below their parent.
    query : QueryDict
        What the address asks for, to open or close one more.
    """

    rows: list[RunFacts]
    counts: dict[int, int]
    opened: list[int]
    placed: set[int]
    query: QueryDict


def available(metrics: Sequence[str], params: Sequence[str]) -> dict[str, Column]:
    """Return all columns an experiment offers, by token."""
    found = {}
    for at, name in enumerate(metrics):
        arrow = queries.arrow_of(name)
        found[f"m.{name}"] = Column(f"m.{name}", "m", name, queries.label_of(name), f"metrics.{name}", True, arrow)
        if at == 0:
            found["m~"] = Column("m~", "m", name, f"{queries.label_of(name)} curve", "", False)
    for name in params:
        found[f"p.{name}"] = Column(f"p.{name}", "p", name, name, f"params.{name}", True)
    for name, label in CONTEXT.items():
        found[f"c.{name}"] = Column(f"c.{name}", "c", name, label, f"attributes.{name}", name in NUMERIC_CONTEXT)
    return found


def chosen(all_columns: Mapping[str, Column], asked: str, varying: Sequence[str], order: Order) -> list[Column]:
    """Return the columns to show, in groups, each with its sorting state."""
    tokens = (
        [t for t in asked.split(",") if t in all_columns][:MAX_COLUMNS] if asked else defaults(all_columns, varying)
    )
    shown = []
    for group in GROUPS:
        members = [all_columns[t] for t in dict.fromkeys(tokens) if all_columns[t].group == group]
        shown += [_with_state(column, order, opens=at == 0) for at, column in enumerate(members)]
    return shown


def defaults(all_columns: Mapping[str, Column], varying: Sequence[str]) -> list[str]:
    """Return the first metrics with the curve of the first, the parameters that vary, the context."""
    metrics = [t for t in all_columns if t.startswith("m.")][: queries.SHOWN_METRICS]
    curve = [t for t in ("m~",) if t in all_columns]
    params = [f"p.{name}" for name in varying[: queries.SHOWN_PARAMS]]
    return [*metrics[:1], *curve, *metrics[1:], *params, *(f"c.{name}" for name in CONTEXT)]


def _with_state(column: Column, order: Order, *, opens: bool) -> Column:
    kinds = {"m": "metric", "p": "param", "c": "attribute"}
    mine = column.sort and order.kind == kinds[column.group] and order.key == column.name
    first = f"{column.sort} {'ASC' if column.arrow == '↓' or column.group == 'p' else 'DESC'}"
    state, following = "", first
    if mine:
        state = "descending" if order.descending else "ascending"
        following = f"{column.sort} {'ASC' if order.descending else 'DESC'}"
    return Column(
        column.token, column.group, column.name, column.label, column.sort, column.numeric, column.arrow,
        opens, state, following,
    )  # fmt: skip


def groups_of(columns: Sequence[Column]) -> list[tuple[str, str, int]]:
    """Return (token, heading, number of columns) of each group that is shown."""
    counts = {group: sum(c.group == group for c in columns) for group in GROUPS}
    return [(group, GROUPS[group], count) for group, count in counts.items() if count]


def lines(
    rows: Sequence[RunFacts],
    columns: Sequence[Column],
    best: Mapping[str, float | None],
    sparks: Mapping[int, Sequence[float]],
    families: Families,
) -> list[Line]:
    """Fill the rows of a page.

    Cells are written here and not in the template: 2,600 cells of a page cost the template engine
    five times as long.
    """
    first = next((c.name for c in columns if c.group == "m"), "")
    low, high = _range(rows, first)
    out = []
    for row in rows:
        cells = []
        for column in columns:
            if column.token == "m~":
                cells.append(format_html("<td>{}</td>", ui.spark(sparks.get(row.run.pk, ()), 72, 18)))
            elif column.group == "m":
                span = (low, high) if column.name == first else (0.0, 0.0)
                cells.append(_metric(column, row.value(column.name), best.get(column.name), span))
            elif column.group == "p":
                cells.append(
                    _td(column, format_html('<span class="trunc val">{}</span>', row.params.get(column.name, "–")))
                )
            else:
                cells.append(_td(column, _context(column.name, row), "muted"))
        out.append(_line(row, SafeString("".join(cells)), families))
    return out


def families(rows: Sequence[RunFacts], asked: Sequence[int], query: QueryDict) -> Families:
    """Put the children of the asked runs below them; two more queries, or four when some are open."""
    counts = queries.child_counts([row.run.pk for row in rows])
    opened = [number for number in dict.fromkeys(asked) if number in counts]
    if not opened:
        return Families(list(rows), counts, [], set(), query)
    below = queries.children_of(opened)
    children = {f.run.pk: f for f in queries.facts_of([run.pk for family in below.values() for run in family.rows])}
    placed = set(children) - set(opened)
    out = []
    for row in rows:
        if row.run.pk in placed:
            continue
        out.append(row)
        if row.run.pk in below:
            out += [children[run.pk] for run in below[row.run.pk].rows if run.pk in placed and run.pk in children]
    return Families(out, {**counts, **queries.child_counts(list(placed))}, opened, placed, query)


def _line(row: RunFacts, cells: SafeString, families: Families) -> Line:
    number = row.run.pk
    labels, count = sorted(queries.own_tags(row.tags))[:2], families.counts.get(number, 0)
    is_open, is_child = number in families.opened, number in families.placed
    toggle = _toggled(families.query, families.opened, number) if count and not is_child else ""
    return Line(row, cells, labels, count if toggle else 0, is_open, is_child, toggle)


def _toggled(query: QueryDict, opened: Sequence[int], number: int) -> str:
    """Return the address with one family opened or closed."""
    kept = [n for n in opened if n != number] if number in opened else [*opened, number]
    changed = query.copy()
    changed.pop("open", None)
    if kept:
        changed["open"] = ",".join(map(str, kept))
    return f"?{changed.urlencode()}"


def _metric(column: Column, value: float | None, best: float | None, span: tuple[float, float]) -> SafeString:
    if value is None or not math.isfinite(value):
        text = "–" if value is None else "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
        return _td(column, format_html('<span class="dim">{}</span>', text))
    low, high = span
    if high <= low:
        return _td(column, ui.metric(value), "best" if value == best else "")
    share = f"{15 + 85 * (value - low) / (high - low):.1f}"
    bar = format_html(
        '<span class="cellbar"><svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="4"/></svg>{}</span>',
        share,
        ui.metric(value),
    )
    return _td(column, bar, "best" if value == best else "")


def _context(name: str, row: RunFacts) -> SafeString | str:
    run = row.run
    if name == "data":
        return format_html('<span class="trunc val">{}</span>', queries.dataset_label(run) or "–")
    if name == "user" and run.created_by is not None:
        shown = format_html('<span aria-hidden="true">{}</span>', run.created_by.username)
        return format_html('<span class="row gap1">{}{}</span>', ui.avatar(run.created_by), shown)
    if name == "started":
        return ui.age(run.started_at)
    return ui.duration(run.took_seconds) if name == "took" else "–"


def _td(column: Column, content: SafeString | str, more: str = "") -> SafeString:
    numeric = column.numeric or column.group in ("m", "p")
    classes = " ".join(part for part in ("n" if numeric else "", "g0" if column.opens_group else "", more) if part)
    return format_html('<td class="{}">{}</td>', classes, content)


def _range(rows: Sequence[RunFacts], metric: str) -> tuple[float, float]:
    values = [v for row in rows if (v := row.value(metric)) is not None and math.isfinite(v)]
    return (min(values), max(values)) if values else (0.0, 0.0)


def without_constant(columns: Sequence[Column], rows: Sequence[RunFacts]) -> list[Column]:
    """Leave out metrics and parameters that are the same in all rows."""

    def varies(column: Column) -> bool:
        if column.group == "p":
            return len({row.params.get(column.name) for row in rows}) > 1
        return column.group == "c" or column.token == "m~" or len({repr(row.value(column.name)) for row in rows}) > 1

    return [c for c in columns if varies(c)] if len(rows) > 1 else list(columns)
