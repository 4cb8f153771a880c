"""Columns of the runs table: which are shown, their heads, and the order they put runs in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from experiments import queries
from experiments.metricstore import Group, Order, Question, spelling
from experiments.queries import RunFacts, tokens
from experiments.queries.tokens import CONTEXT, DEFAULT_CONTEXT, Token

NUMERIC_CONTEXT = frozenset({"started", "ended", "took"})
GROUPS = {"m": "Metrics", "p": "Parameters", "t": "Tags", "c": "Context"}
PINNED = "Pinned"
_KINDS = {"m": "metric", "p": "param", "t": "tag", "c": "attribute"}
_PREFIXES = {"m": "metrics.", "p": "params.", "t": "tags.", "c": "attributes."}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its place in the address, its head, its way of sorting."""

    token: Token
    label: str
    agg: str = "last"
    unit: str = ""
    arrow: str = ""
    numeric: bool = False
    sort: str = ""
    opens_group: bool = False
    stuck: int = 0
    sorted_as: str = ""
    next_sort: str = ""

    @property
    def text(self) -> str:
        """Its token in the address."""
        return self.token.text

    @property
    def width(self) -> int:
        """Pixels a person gave it, 0 for none; those that stay in sight have one of their own."""
        return 0 if self.stuck else self.token.width

    @property
    def field(self) -> str:
        """What the filter calls it."""
        return _PREFIXES[self.token.kind] + self.token.name

    @property
    def filter_key(self) -> str:
        """Its name as a filter writes it; empty where the filter cannot ask for what it shows."""
        kind = {"m": "metric", "p": "param", "t": "tag"}.get(self.token.kind)
        if self.token.curve or (self.is_metric and self.agg != "last"):
            return ""
        return spelling.name(kind, self.token.name) if kind else self.token.name

    @property
    def compares(self) -> bool:
        """Whether a filter knows more and less of it."""
        return self.is_metric or (self.numeric and self.token.kind in ("p", "c"))

    @property
    def agg_note(self) -> str:
        """Which value of the metric it shows, empty for the last one."""
        return agg_text(self.agg) if self.is_metric and self.agg != "last" else ""

    @property
    def is_metric(self) -> bool:
        """Whether it shows numbers of a metric."""
        return self.token.kind == "m" and not self.token.curve

    @property
    def better(self) -> str:
        """The end of the values that is best: max, min, or empty where the name does not tell."""
        return {"↑": "max", "↓": "min"}.get(self.arrow, "") if self.is_metric else ""


STUCK = 3
NAMED_METRICS = 3  # metrics of the order and the filter among the usual columns
EXPERIMENT = Token("c", "experiment")


def defaults(metrics: Sequence[str], varying: Sequence[str], question: Question) -> list[Token]:
    """Return the first metrics with the curve of the first, the parameters that vary, the context.

    What runs are ordered or filtered by is among them.
    """
    named = [name for name in asked_for(question) if name in metrics or name == question.order.key]
    first = list(dict.fromkeys([*metrics[:1], *named[:NAMED_METRICS], *metrics]))
    shown = [Token("m", name) for name in first[: max(queries.SHOWN_METRICS, 1 + len(named[:NAMED_METRICS]))]]
    curve = [Token("m", metrics[0], curve=True)] if metrics else []
    order = question.order
    ordered = [order.key] if order.kind == "param" else []
    params = [Token("p", name) for name in dict.fromkeys([*ordered, *varying][: queries.SHOWN_PARAMS])]
    return [*shown[:1], *curve, *shown[1:], *params, *(Token("c", name) for name in DEFAULT_CONTEXT)]


def asked_for(question: Question) -> list[str]:
    """Metrics by which runs are ordered, then names of which a filter asks that may be metrics."""
    named = [question.order.key] if question.order.kind == "metric" else []
    open_nodes = list(question.conditions)
    while open_nodes:
        node = open_nodes.pop(0)
        if isinstance(node, Group):
            open_nodes = [*node.parts, *open_nodes]
        elif node.kind in ("metric", "bare"):
            named.append(node.key)
    return list(dict.fromkeys(named))


def made(chosen: Sequence[Token], rows: Sequence[RunFacts], agg: str, order: Order) -> list[Column]:
    """Return the columns of tokens with their sorting state: pinned ones first."""
    placed = [*(t for t in chosen if t.pinned), *(t for t in chosen if not t.pinned)]
    found: list[Column] = []
    for at, token in enumerate(placed):
        opens = not at or _heading(placed[at - 1]) != _heading(token)
        stuck = at + 1 if token.pinned and at < STUCK else 0
        found.append(_with_state(replace(_column(token, rows, agg), opens_group=opens, stuck=stuck), order))
    return found


def _column(token: Token, rows: Sequence[RunFacts], page_agg: str) -> Column:
    if token.kind == "m" and token.curve:
        return Column(token, f"{queries.label_of(token.name)} curve")
    if token.kind == "m":
        agg = token.agg or page_agg
        return Column(
            token, queries.label_of(token.name), agg, queries.unit_of(token.name), queries.arrow_of(token.name),
            numeric=True, sort=_sort_of(token),
        )  # fmt: skip
    if token.kind == "c":
        sorts = f"attributes.{token.name}"
        return Column(token, CONTEXT[token.name], numeric=token.name in NUMERIC_CONTEXT, sort=sorts)
    values = [v for row in rows if (v := (row.params if token.kind == "p" else row.tags).get(token.name)) is not None]
    numeric = bool(values) and all(_is_number(v) for v in dict.fromkeys(values))
    return Column(token, token.name, numeric=numeric, sort=_PREFIXES[token.kind] + token.name)


def _sort_of(token: Token) -> str:
    name = f"`{token.name}`" if "@" in token.name else token.name
    return f"metrics.{name}{f'@{token.agg}' if token.agg else ''}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _with_state(column: Column, order: Order) -> Column:
    if not column.sort:
        return column
    agg = tokens.settled(column.agg, column.token.name) if column.is_metric else "last"
    mine = (order.kind, order.key, order.agg) == (_KINDS[column.token.kind], column.token.name, agg)
    ascending_first = column.arrow == "↓" or column.token.kind in ("p", "t") or column.token.name in ("name", "user")
    following = f"{column.sort} {'ASC' if ascending_first else 'DESC'}"
    if not mine:
        return replace(column, next_sort=following)
    state = "descending" if order.descending else "ascending"
    return replace(column, sorted_as=state, next_sort=f"{column.sort} {'ASC' if order.descending else 'DESC'}")


def _heading(token: Token) -> str:
    return PINNED if token.pinned else GROUPS[token.kind]


def groups_of(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return (heading, number of columns) of each stretch of columns of one kind."""
    return [(heading, len(list(part))) for heading, part in groupby(columns, key=lambda c: _heading(c.token))]


def agg_text(agg: str) -> str:
    """An aggregate for people."""
    step = tokens.step_of(agg)
    return f"at step {step:,}" if step is not None else agg
