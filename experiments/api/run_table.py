"""The runs table over the REST API: the same columns, aggregates and groups as its page."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from experiments import metricstore, queries
from experiments.api import shapes
from experiments.metricstore import Question
from experiments.queries import RunFacts, groups, tokens
from experiments.queries.groups import GroupPage
from experiments.queries.tokens import Token
from mlportal.lib.errors import Invalid

_CONTEXT = {
    "state": lambda run: run.state, "user": lambda run: run.created_by.username if run.created_by else None,
    "data": queries.dataset_label, "name": lambda run: run.name, "source": lambda run: run.source,
    "took": lambda run: run.took_seconds, "started": lambda run: shapes.moment(run.started_at),
    "ended": lambda run: shapes.moment(run.ended_at), "experiment": lambda run: run.experiment.name,
}  # fmt: skip


def fill(rows: list[RunFacts], columns: list[Token], agg: str) -> list[dict[str, Any]]:
    """Return what each run shows in these columns, by the columns' names in the address."""
    metrics = [t for t in columns if t.kind == "m"]
    queries.fill_metrics(rows, list(dict.fromkeys(t.name for t in metrics)))
    curves = metricstore.sparks([row.run.pk for row in rows], [t.name for t in metrics if t.curve])
    at_step: dict[tuple[int, str, int], float] = {}
    for step in {s for t in metrics if not t.curve and (s := tokens.step_of(t.agg or agg)) is not None}:
        at_step |= queries.values_at(rows, [t.name for t in metrics], step)
    return [{t.text: _cell(row, t, agg, curves, at_step) for t in columns} for row in rows]


def _cell(
    row: RunFacts,
    token: Token,
    agg: str,
    curves: dict[tuple[int, str], list[float]],
    at_step: dict[tuple[int, str, int], float],
) -> Any:
    if token.kind == "c":
        return _CONTEXT[token.name](row.run)
    if token.kind != "m":
        return (row.params if token.kind == "p" else row.tags).get(token.name)
    if token.curve:
        return curves.get((row.run.pk, token.name), [])
    wanted = token.agg or agg
    step = tokens.step_of(wanted)
    value = (
        at_step.get((row.run.pk, token.name, step))
        if step is not None
        else queries.aggregated(row.metrics.get(token.name), tokens.settled(wanted, token.name))
    )
    return None if value is None else shapes.number(value)


def group_page(question: Question, asked: QueryDict, columns: list[Token], limit: int) -> GroupPage:
    """Group the runs of a filter as the address asks.

    Raises
    ------
    Invalid
        If the grouping, the aggregate, the order or the cursor is none.
    """
    by = groups.read_by(asked["group"])
    cursor = asked.get("cursor", "") or "g0"
    place = cursor.removeprefix("g")
    if not cursor.startswith("g") or not (place.isascii() and place.isdigit()) or len(place) > 9:
        raise Invalid("The page cursor does not belong to this list.", code="bad_cursor", field="cursor")
    measures = groups.measures_of(columns, tokens.aggregate(asked.get("agg", "")))
    if fault := groups.order_fault(asked.get("sort", ""), measures, by):
        raise fault
    return groups.groups_of_runs(question, by, measures, asked.get("sort", ""), limit=limit, skip=int(place))


def groups_body(page: GroupPage) -> list[dict[str, Any]]:
    """Return groups as the API writes them."""
    return [
        {
            "group": {b.text: value for b, value in zip(page.by, group.values, strict=True)},
            "runs": group.runs, "failed": group.failed,
            "metrics": [
                {"name": m.name, "agg": m.agg, "count": s.count, "best": s.best, "mean": s.mean,
                 "deviation": s.deviation, "half_width": groups.interval(s)}
                for m, s in zip(page.measures, group.stats, strict=True)
            ],
        }
        for group in page.found.groups
    ]  # fmt: skip
