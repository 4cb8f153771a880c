"""Cells of the runs table as ready HTML, and the rows they stand in.

Cells are written here and not in the template: 3,400 cells of a page cost the template engine five times as long.
They are made column by column, because a column shares its decimals, its range and its best value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.http import QueryDict
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

from experiments import queries
from experiments.models import Run
from experiments.queries import RunFacts, tokens
from experiments.views.columns import Column
from mlportal.lib import quantities, ui

LONGEST_VALUE = 250
FLAGS = frozenset({"", "1", "yes", "true"})  # values of a tag that say no more than its name
LABEL, TELLING = 20, 3  # letters of a tag beside the name of a run, and of a value that stands without its tag
UNSAID = "\0"  # a value that no filter can ask for, such as NaN
MISSING = '<span class="dim">–</span>'
SOURCES = {"job": "Training job", "mlflow": "MLflow client", "api": "REST API"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table; the cells are ready HTML."""

    facts: RunFacts
    cells: SafeString
    labels: list[tuple[str, str]]
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


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the cells of metrics need beside the rows.

    ``best`` is by column; ``curves`` by (run, metric); ``at_step`` by (run, metric, step).
    """

    best: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[tuple[int, str], Sequence[float]] = field(default_factory=dict)
    at_step: Mapping[tuple[int, str, int], float] = field(default_factory=dict)


def lines(columns: Sequence[Column], numbers: Numbers, families: Families) -> list[Line]:
    """Fill the rows of a page."""
    bars = next((c.text for c in columns if c.is_metric), "")
    made = [_column(column, families.rows, numbers, has_bar=column.text == bars) for column in columns]
    cells = ["".join(row) for row in zip(*made, strict=True)] if made else [""] * len(families.rows)
    return [_line(row, SafeString(cell), families) for row, cell in zip(families.rows, cells, strict=True)]


def families(rows: Sequence[RunFacts], asked: Sequence[int], query: QueryDict) -> Families:
    """Put the children of the asked runs below them; two more queries, or four when some are open."""
    counts = queries.child_counts([row.run.pk for row in rows])
    opened = [number for number in dict.fromkeys(asked) if number in counts]
    if not opened:
        return Families(list(rows), counts, [], set(), query)
    below = queries.children_of(opened)
    ids = [run.pk for family in below.values() for run in family.rows]
    children = {f.run.pk: f for f in queries.facts_of(ids, ())}
    placed = set(children) - set(opened)
    out = []
    for row in rows:
        if row.run.pk in placed:
            continue
        out.append(row)
        if row.run.pk in below:
            out += [children[run.pk] for run in below[row.run.pk].rows if run.pk in placed and run.pk in children]
    return Families(out, {**counts, **queries.child_counts(list(placed))}, opened, placed, query)


def value_of(row: RunFacts, column: Column, numbers: Numbers) -> float | None:
    """The number a metric column shows of a run, None when it has none."""
    name = column.token.name
    step = tokens.step_of(column.agg)
    if step is not None:
        return numbers.at_step.get((row.run.pk, name, step))
    return queries.aggregated(row.metrics.get(name), tokens.settled(column.agg, name))


def formatter(values: Sequence[float]) -> Callable[[float], str]:
    """Choose how all numbers of a column are written: with the same decimals, or all in powers of ten."""
    known = [abs(v) for v in values if math.isfinite(v) and v]
    largest, least = max(known, default=0.0), min(known, default=0.0)
    if largest >= 1e9 or (known and largest < 1e-4):
        return lambda value: _signed(f"{value:.3e}")
    if all(v.is_integer() for v in known):
        digits = 0
    elif largest >= 1000:
        digits = 1
    else:
        digits = 4 if least >= 0.001 else 6
    return lambda value: _signed(f"{value:,.{digits}f}")


def _signed(text: str) -> str:
    return f"{quantities.MINUS}{text[1:]}" if text.startswith("-") else text


def _line(row: RunFacts, cells: SafeString, families: Families) -> Line:
    number = row.run.pk
    labels = [_label(*tag) for tag in sorted(queries.own_tags(row.tags).items())[:2]]
    count = families.counts.get(number, 0)
    is_open, is_child = number in families.opened, number in families.placed
    toggle = _toggled(families.query, families.opened, number) if count and not is_child else ""
    return Line(row, cells, labels, count if toggle else 0, is_open, is_child, toggle)


def _label(name: str, value: str) -> tuple[str, str]:
    """A tag beside the name of a run, and in whole: its value tells more than its name, unless it is only set."""
    if value.lower() in FLAGS:
        return name, name
    text = f"{name} {value}" if len(value) < TELLING else value
    return f"{text[:LABEL]}…" if len(text) > LABEL else text, f"{name}: {value[:LONGEST_VALUE]}"


def _toggled(query: QueryDict, opened: Sequence[int], number: int) -> str:
    """Return the address with one family opened or closed."""
    kept = [n for n in opened if n != number] if number in opened else [*opened, number]
    changed = query.copy()
    changed.pop("open", None)
    if kept:
        changed["open"] = ",".join(map(str, kept))
    return f"?{changed.urlencode()}"


def _column(column: Column, rows: Sequence[RunFacts], numbers: Numbers, *, has_bar: bool) -> list[str]:
    if column.token.curve:
        return [_td(column, ui.spark(numbers.curves.get((row.run.pk, column.token.name), ()), 72, 18)) for row in rows]
    if column.token.kind == "m":
        return _metrics(column, [value_of(row, column, numbers) for row in rows], numbers, has_bar=has_bar)
    if column.token.kind == "c":
        known: dict[object, str] = {}
        return [_context(column, row.run, known) for row in rows]
    texts = {row.run.pk: (row.params if column.token.kind == "p" else row.tags).get(column.token.name) for row in rows}
    made = {text: _td(column, _text(text), value=text) for text in dict.fromkeys(texts.values())}
    return [made[texts[row.run.pk]] for row in rows]


def _text(value: str | None) -> str:
    if value is None:
        return MISSING
    # A short value cannot be cut off; the long ones of a page are few.
    return escape(value) if len(value) <= 20 else f'<span class="trunc val">{escape(value[:200])}</span>'


def _metrics(column: Column, values: list[float | None], numbers: Numbers, *, has_bar: bool) -> list[str]:
    known = [v for v in values if v is not None and math.isfinite(v)]
    shown = formatter(known)
    low, high = (min(known), max(known)) if known and has_bar else (0.0, 0.0)
    best = numbers.best.get(column.text)
    out = []
    for value in values:
        if value is None or not math.isfinite(value):
            text = MISSING if value is None else f'<span class="dim">{quantities.metric(value)}</span>'
        elif high > low:
            text = _bar(f"{15 + 85 * (value - low) / (high - low):.0f}", shown(value))
        else:
            text = shown(value)
        exact = None
        if value is not None and column.filter_key:
            exact = UNSAID if math.isnan(value) else repr(value)
        out.append(_td(column, text, "best" if value is not None and value == best else "", value=exact))
    return out


def _bar(share: str, text: str) -> str:
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{share}" height="4"/></svg>{text}'
    )


def _context(column: Column, run: Run, known: dict[object, str]) -> str:
    name = column.token.name
    if name == "started":
        return _td(column, str(ui.age(run.started_at)), "muted", value=_day(run.started_at) or UNSAID)
    if name == "ended":
        return _td(column, str(ui.age(run.ended_at)), "muted", value=_day(run.ended_at))
    if name == "took":
        seconds = None if run.took_seconds is None else f"{run.took_seconds:g}s"
        return _td(column, quantities.duration(run.took_seconds), "muted", value=seconds)
    key: object = {
        "data": run.dataset_version_id,
        "user": run.created_by_id,
        "experiment": ("experiment", run.experiment_id),
    }.get(name) or getattr(run, name, None)
    if key not in known:
        known[key] = _td(column, _rare(name, run), "muted", value=_said(name, run))
    return known[key]


def _rare(name: str, run: Run) -> str:
    """A cell that many runs share."""
    if name == "data":
        return _text(queries.dataset_label(run))
    if name == "experiment":
        link = reverse("experiments:run-list", args=[run.project.slug, run.experiment.address])
        return f'<a class="trunc val" href="{escape(link)}">{escape(run.experiment.name)}</a>'
    if name == "user":
        if run.created_by is None:
            return MISSING
        return format_html("{}{}", ui.initials(run.created_by), run.created_by.username)
    if name == "state":
        return str(ui.state(run.state))
    return _text(SOURCES.get(run.source, run.source) if name == "source" else run.name)


def _day(moment: datetime | None) -> str | None:
    """The day of a moment as the filter reads it, which is in UTC."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d}"


def _said(name: str, run: Run) -> str | None:
    """What the filter calls the fact of a run."""
    version = run.dataset_version
    if name == "data":
        return None if version is None else f"{version.dataset.name}@v{version.number}"
    if name == "user":
        return None if run.created_by is None else run.created_by.username
    if name == "experiment":  # digits would be read as a number
        return str(run.experiment_id) if run.experiment.name.isdigit() else run.experiment.name
    return str(getattr(run, name, ""))


def _td(column: Column, content: str, more: str = "", *, value: str | None = None) -> str:
    """One cell; ``value`` is what a filter by this cell compares with."""
    parts = ("n" if column.numeric else "", "g0" if column.opens_group else "", more)
    place = f"stuck s{column.stuck}" if column.stuck else "set" if column.width else ""
    classes = " ".join(part for part in (*parts, place) if part)
    given = "" if value is None else _compared(escape(value), content)
    if value is not None and (len(value) > LONGEST_VALUE or value == UNSAID):
        given = " data-filter-off"
    return f'<td class="{classes}"{given}>{content}</td>' if classes else f"<td{given}>{content}</td>"


def _compared(value: str, content: str) -> str:
    """The attribute that says what a filter compares with; a page of cells is shorter where their text says it."""
    return " data-filter-text" if value == content else f' data-filter-value="{value}"'


def without_constant(columns: Sequence[Column], rows: Sequence[RunFacts], numbers: Numbers) -> list[Column]:
    """Leave out metrics, parameters and tags that are the same in all rows."""

    def varies(column: Column) -> bool:
        if column.token.kind in ("p", "t"):
            documents = (row.params if column.token.kind == "p" else row.tags for row in rows)
            return len({document.get(column.token.name) for document in documents}) > 1
        return not column.is_metric or len({repr(value_of(row, column, numbers)) for row in rows}) > 1

    return [c for c in columns if varies(c)] if len(rows) > 1 else list(columns)
