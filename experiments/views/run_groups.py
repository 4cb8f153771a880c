"""The runs table in groups: each with its count, best, mean and interval, and its runs when it is opened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from experiments import queries
from experiments.metricstore import Order, Question, RunGroup
from experiments.queries import RunFacts, groups
from experiments.queries.groups import By
from experiments.queries.tokens import Token, step_of
from experiments.views.cells import formatter
from experiments.views.columns import agg_text
from experiments.views.runs_of import Asked, whole
from mlportal.lib import folded, quantities

OPENED = 5
RUNS_OF_A_GROUP = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """What a group says of one metric, ready to show."""

    best: str
    mean: str
    half: str
    count: int
    is_best: bool
    is_best_mean: bool


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group of the table; ``rows`` are the runs of an opened one.

    ``values`` are (what is shown, the whole value): a long one shows where it begins to differ from the others.
    """

    values: list[tuple[str, str]]
    group: RunGroup
    cells: list[Cell]
    filter: str
    toggle: str
    is_open: bool
    rows: list[OpenedRow]


@dataclass(frozen=True, slots=True)
class OpenedRow:
    """A run of an opened group with the numbers that the group sums up."""

    facts: RunFacts
    values: list[str]


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column of groups with its way of sorting."""

    label: str
    note: str
    numeric: bool
    sorted_as: str
    next_sort: str


class GroupTable:
    """Everything the template of groups reads."""

    def __init__(self, request: HttpRequest, question: Question, by: list[By], metrics: Sequence[Token]) -> None:
        self.request, self.question, self.asked = request, question, Asked.of(request)
        measures = groups.measures_of(metrics, self.asked.agg)
        skip = whole(request.GET.get("skip", ""), 0)
        self.page = groups.groups_of_runs(question, by, measures, self.asked.order_text, skip=skip)

    def context(self) -> dict[str, Any]:
        """Template context."""
        page = self.page
        following = page.next
        columns = zip(*(group.values for group in page.found.groups), strict=True)
        beside = [[_said(value) for value in column] for column in columns]
        return {
            "groups": [self._line(group, beside) for group in page.found.groups], "group_heads": self._heads(),
            "group_total": page.found.total, "by": page.by, "measures": page.measures,
            "first_shown": page.skip + 1, "last_shown": page.skip + len(page.found.groups),
            "next": self._address(skip=str(following)) if following is not None else "",
            "previous": self._address(skip=str(max(0, page.skip - page.limit))) if page.skip else "",
            "by_text": " and ".join(b.label for b in page.by),
        }  # fmt: skip

    def _heads(self) -> list[Head]:
        page, heads = self.page, []
        for at, b in enumerate(page.by):
            heads.append(self._head(b.label, "", f"group{at + 1 if at else ''}", ("value", at), "ASC"))
        heads.append(self._head("Runs", "", "runs", ("runs", 0), "DESC", numeric=True))
        for at, m in enumerate(page.measures):
            label = f"{queries.label_of(m.name)} {queries.arrow_of(m.name)}".strip()
            way, note = "DESC" if m.best == "max" else "ASC", _note(m.agg)
            for what in ("best", "mean"):
                shown = f"{what}{note}{' ± 95 %' if what == 'mean' else ''}"
                heads.append(self._head(label, shown, f"{what} metrics.{m.name}", (what, at), way, numeric=True))
        return heads

    def _head(
        self, label: str, note: str, sort: str, place: tuple[str, int], first: str, *, numeric: bool = False
    ) -> Head:
        order = self.page.order
        mine = (order.what, order.at) == place if place[0] != "runs" else order.what == "runs"
        if not mine:
            return Head(label, note, numeric, "", f"{sort} {first}")
        state = "descending" if order.descending else "ascending"
        return Head(label, note, numeric, state, f"{sort} {'ASC' if order.descending else 'DESC'}")

    def _line(self, group: RunGroup, beside: Sequence[Sequence[str]]) -> GroupLine:
        name, text = (
            json.dumps(group.values, ensure_ascii=False),
            groups.filter_of(group, self.page.by, self.asked.text),
        )
        opened = self.request.GET.getlist("open")[:OPENED]
        is_open = name in opened
        kept = [o for o in opened if o != name] if is_open else [*opened, name]
        link = self._address(group="", q=text, sort="", skip="", open="") if text else ""
        return GroupLine(
            [(folded.part_of(text, each), text) for text, each in zip(map(_said, group.values), beside, strict=True)],
            group, self._cells(group),
            link, self._address_list("open", kept[-OPENED:]) if text else "", is_open,
            self._rows(text) if is_open and text else [],
        )  # fmt: skip

    def _cells(self, group: RunGroup) -> list[Cell]:
        out = []
        for at, (stat, measure) in enumerate(zip(group.stats, self.page.measures, strict=True)):
            half, pick = groups.interval(stat), max if measure.best == "max" else min
            every = [g.stats[at] for g in self.page.found.groups]
            bests, means = [s.best for s in every if s.best is not None], [s.mean for s in every if s.mean is not None]
            best, mean = pick(bests, default=None), pick(means, default=None)
            write_best, write_mean = formatter(bests), formatter(means)
            out.append(
                Cell(quantities.MISSING if stat.best is None else write_best(stat.best),
                     quantities.MISSING if stat.mean is None else write_mean(stat.mean),
                     "" if half is None else write_mean(half), stat.count,
                     stat.best is not None and stat.best == best and self._is_judged("best", at),
                     stat.mean is not None and stat.mean == mean and self._is_judged("mean", at))
            )  # fmt: skip
        return out

    def _is_judged(self, what: str, at: int) -> bool:
        """Whether the best of the page is the best of all groups: it shows them all, or begins with the best."""
        page, order = self.page, self.page.order
        leads = (order.what, order.at) == (what, at) and order.descending == (page.measures[at].best == "max")
        return page.found.total == len(page.found.groups) or (leads and not page.skip)

    def _rows(self, text: str) -> list[OpenedRow]:
        """The best runs of an opened group."""
        order = self.question.order
        if self.page.measures:
            first = self.page.measures[0]
            order = Order("metric", first.name, first.best == "max", settled_first=True, agg=first.agg)
        asked = queries.narrowed(self.question, text, order)
        measures = self.page.measures
        rows = queries.page_of_runs(asked, limit=RUNS_OF_A_GROUP, names=[m.name for m in measures]).rows
        known = {at: queries.values_at(rows, [m.name], step) for at, m in enumerate(measures)
                 if (step := step_of(m.agg)) is not None}  # fmt: skip
        return [
            OpenedRow(row, [quantities.metric(known[at].get((row.run.pk, m.name, step_of(m.agg) or 0)) if at in known
                                      else queries.aggregated(row.metrics.get(m.name), m.agg))
                            for at, m in enumerate(measures)])
            for row in rows
        ]  # fmt: skip

    def _address(self, **changes: str) -> str:
        query = self.request.GET.copy()
        for name, value in changes.items():
            query.pop(name, None)
            if value:
                query[name] = value
        return f"?{query.urlencode()}"

    def _address_list(self, name: str, values: list[str]) -> str:
        query = self.request.GET.copy()
        query.setlist(name, values)
        return f"?{query.urlencode()}"


def _said(value: str | None) -> str:
    return "not set" if value is None else value or "empty"


def _note(agg: str) -> str:
    """Which value of each run counts, behind "best" and "mean"."""
    if agg == "last":
        return ""
    return f" {agg_text(agg)}" if step_of(agg) is not None else f" of {agg}"
