"""Groups of a runs table: by what, in which order, with which numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from experiments import metricstore
from experiments.metricstore import Grouping, Measure, Question, RunGroup, Sorted, Stat, spelling
from mlportal.lib.errors import Invalid

from .metrics import higher_is_better, leading_metrics
from .places import Place
from .runs import SHOWN_METRICS
from .student import half_width
from .tokens import MAX_GROUPS, Token, one, settled

MAX_MEASURES = 8
PAGE = 100
_KINDS = {"p": "param", "t": "tag", "e": "experiment"}
_ENTITIES = {"p": "params", "t": "tags"}
_SORT = re.compile(
    r"(?P<what>runs|group|group2|best|mean)(?:\s+metrics\.(?P<name>.+?))?\s+(?P<way>ASC|DESC)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class By:
    """One thing to group by: a parameter (p), a tag (t) or the experiment (e)."""

    kind: str
    name: str = ""

    @property
    def text(self) -> str:
        """How the address writes it."""
        return "e" if self.kind == "e" else Token(self.kind, self.name).text

    @property
    def label(self) -> str:
        """Its name for people."""
        return "Experiment" if self.kind == "e" else self.name

    def condition(self, value: str | None) -> str:
        """The condition of the filter that keeps one group, empty where the language cannot say it."""
        if self.kind == "e":
            return f"experiment:{spelling.quoted(value or '')}"
        if any(mark in self.name for mark in '"`\0'):
            return ""
        field = f'{_ENTITIES[self.kind]}."{self.name}"'
        if value is None:
            return f"{field} IS NULL"
        mark = next((m for m in "'\"" if m not in value), "")
        return f"{field} = {mark}{value}{mark}" if mark else ""


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One page of groups with what it takes to go on."""

    by: list[By]
    measures: list[Measure]
    order: Sorted
    found: Grouping
    skip: int
    limit: int

    @property
    def next(self) -> int | None:
        """Where the next page begins, None on the last."""
        following = self.skip + self.limit
        return following if following < self.found.total else None


def read_by(text: str) -> list[By]:
    """Read ``group``: one or two of ``p~name``, ``t~name`` and ``e``.

    Raises
    ------
    Invalid
        If a part is none of these, or there are more than two.
    """
    parts = list(dict.fromkeys(part for part in text.split(",") if part))
    if len(parts) > MAX_GROUPS:
        raise Invalid(
            f"Runs are grouped by at most {MAX_GROUPS} things.", field="group", limit=MAX_GROUPS, got=len(parts)
        )
    return [_one(part) for part in parts]


def _one(part: str) -> By:
    token = one(part)
    if part == "e":
        return By("e")
    if token is None or token.kind not in "pt":
        raise Invalid(
            f"Runs cannot be grouped by {part[:60]!r}; write p~parameter, t~tag or e.",
            field="group", got=part[:60], limit="p~, t~, e",
        )  # fmt: skip
    return By(token.kind, token.name)


def measures_of(tokens: Sequence[Token], agg: str) -> list[Measure]:
    """Return what groups show of the metrics among these columns: at most eight."""
    out: dict[tuple[str, str], Measure] = {}
    for token in tokens:
        if token.kind != "m" or token.curve:
            continue
        wanted = settled(token.agg or agg, token.name)
        out[token.name, wanted] = Measure(token.name, wanted, "max" if higher_is_better(token.name) else "min")
    return list(out.values())[:MAX_MEASURES]


def leading_columns(place: Place) -> list[Token]:
    """Return the metrics that groups show where nobody chose."""
    return [Token("m", name) for name in leading_metrics(place)[:SHOWN_METRICS]]


def order_of_groups(text: str, measures: Sequence[Measure]) -> Sorted:
    """Read the order of groups: ``group ASC``, ``runs DESC``, ``best metrics.auc DESC``, ``mean metrics.auc DESC``.

    Anything else means the mean of the first metric, best first, or the value where there is no metric.
    """
    found = _SORT.fullmatch(text.strip())
    if found:
        descending = found["way"] == "DESC"
        if found["what"] in ("group", "group2", "runs"):
            what = "runs" if found["what"] == "runs" else "value"
            return Sorted(what, int(found["what"] == "group2"), descending)
        at = next((i for i, m in enumerate(measures) if m.name == found["name"]), None)
        if at is not None:
            return Sorted(found["what"], at, descending)
    return Sorted("mean", 0, measures[0].best == "max") if measures else Sorted()


def order_fault(text: str, measures: Sequence[Measure], by: Sequence[By]) -> Invalid | None:
    """What is wrong with an order of groups, None where it can be had."""
    found = _SORT.fullmatch(text.strip())
    if not text.strip() or (found and found["what"] in ("runs", "group")):
        return None
    if found and (len(by) > 1 if found["what"] == "group2" else any(m.name == found["name"] for m in measures)):
        return None
    ways = [
        "runs",
        *("group", "group2")[: len(by)],
        *(f"{w} metrics.{m.name}" for m in measures for w in ("best", "mean")),
    ]
    return Invalid(
        f"Groups cannot be ordered by {text[:60]!r}; write one of {', '.join(ways)}, then ASC or DESC.",
        field="sort", got=text[:100], limit=", ".join(ways),
    )  # fmt: skip


def groups_of_runs(
    asked: Question, by: Sequence[By], measures: Sequence[Measure], sort: str, *, limit: int = PAGE, skip: int = 0
) -> GroupPage:
    """Return one page of groups of all runs of a filter.

    Raises
    ------
    Reading
        If the values at a step are not yet kept of so many runs; asking again reads on.
    """
    order = order_of_groups(sort, measures)
    if order.what == "value" and order.at >= len(by):
        order = Sorted("value", 0, order.descending)
    pairs = [(_KINDS[b.kind], b.name) for b in by]
    found = metricstore.grouped(asked, pairs, measures, order, limit=limit, skip=skip)
    return GroupPage(list(by), list(measures), order, found, skip, limit)


def interval(stat: Stat) -> float | None:
    """Half the width of the 95 % confidence interval of a group's mean by Student's t, None below two runs."""
    return half_width(stat.count, stat.deviation)


def filter_of(group: RunGroup, by: Sequence[By], text: str) -> str:
    """Return the filter that keeps the runs of one group, empty where the language cannot say it."""
    conditions = [b.condition(value) for b, value in zip(by, group.values, strict=True)]
    return " ".join([*([text] if text else []), *conditions]) if all(conditions) and conditions else ""
