"""runs/search: a filter and an order over the runs of several experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from experiments import metricstore
from experiments.metricstore import Condition, Hit, Key, Sort, Source
from experiments.metricstore.sorting import PRESENT, complete, ranks
from experiments.mlflow import wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import Fields, wrong
from experiments.mlflow.search import grammar, page, tables, tokens
from experiments.mlflow.search.grammar import Clause, OrderItem
from experiments.models import Experiment, Lifecycle, Run
from mlportal.lib.sql import Among
from projects.models import Project
from projects.permissions import Permission

PAGE_LIMIT = 50_000
PAGE_DEFAULT = 1000
_ACTIVE, _DELETED = (Lifecycle.ACTIVE,), (Lifecycle.DELETED,)
VIEWS = {
    "ACTIVE_ONLY": _ACTIVE, "DELETED_ONLY": _DELETED, "ALL": (*_ACTIVE, *_DELETED),
    "1": _ACTIVE, "2": _DELETED, "3": (*_ACTIVE, *_DELETED),
}  # fmt: skip
_OPERATORS = {"LIKE": "like", "ILIKE": "ilike", "IN": "=", "NOT IN": "!=", "IS NULL": "null", "IS NOT NULL": "known"}


@endpoint(Run, Permission.RUN_VIEW)
def search(call: Call) -> dict[str, Any]:
    """Find runs, a page at a time."""
    fields = call.fields
    clauses = grammar.parse(fields.text("filter"), tables.RUNS)
    order = grammar.order(fields.texts("order_by"), tables.RUNS)
    lifecycles = fields.choice("run_view_type", VIEWS, default=_ACTIVE)
    ids = sorted(experiment_ids(fields))
    size = page_size(fields)
    asked = (ids, clauses, order, lifecycles)
    sorts = complete([_sort(item) for item in order])
    after = _place(fields.text("page_token"), sorts, asked)
    places = _places(call.project, ids)
    experiments = {experiment.pk: experiment for experiment, _ in places}
    sources = [_source(e, lifecycle, is_folded=folded) for e, folded in places for lifecycle in lifecycles]
    hits = metricstore.find(
        sources, [_condition(c) for c in clauses], sorts, limit=size + 1, after=after, carry=page.COLUMNS
    )
    found = page.runs(hits[:size], experiments)
    return (
        {"runs": found, "next_page_token": _token(hits, size, asked)}
        if len(hits) > size
        else wire.filled({"runs": found})
    )


def page_size(fields: Fields, *, default: int | None = PAGE_DEFAULT) -> int:
    """Return ``max_results``, 1 to 50,000."""
    size = fields.whole("max_results", default)
    if size is None or not 1 <= size <= PAGE_LIMIT:
        raise wrong("max_results", size, f"it must be from 1 to {PAGE_LIMIT}")
    return size


def experiment_ids(fields: Fields) -> set[int]:
    """Return the numbers among ``experiment_ids``; 0 is the project's default experiment."""
    found = set()
    for text in fields.texts("experiment_ids"):
        if not (text.isascii() and text.isdigit()):
            raise wrong("experiment_ids", text, "an experiment id is a whole number")
        if len(text) < 19:
            found.add(int(text))
    return found


_SOME = ["id", "is_default", "artifact_location"]
# The order holds PostgreSQL to the index of what waits: it takes experiments for alike, so where loops log to another
# one it would expect to meet a waiting call at once, and read the whole table to find none.
_PLACES = Among("""
    SELECT e.id, e.is_default, e.artifact_location,
           (SELECT c.run_id FROM experiments_metricchunk c WHERE c.experiment_id = e.id AND c.key_id IS NULL
            ORDER BY c.run_id LIMIT 1) IS NULL
    FROM experiments_experiment e WHERE e.project_id = %s AND e.id IN (%s)
""")


def _places(project: Project, ids: Sequence[int]) -> list[tuple[Experiment, bool]]:
    """Load the experiments of the project among these, each with whether all its calls are folded.

    Ids of other projects are as good as unknown.
    """
    found = {
        row[0]: (Experiment.from_db(connection.alias, _SOME, row[:3]), row[3]) for row in _PLACES.of(ids, project.pk)
    }
    if 0 in ids:
        default = Experiment.objects.in_project(project).filter(is_default=True).only(*_SOME)
        found |= {e.pk: (e, False) for e in default}
    return [*found.values()]


def _source(experiment: Experiment, lifecycle: str, *, is_folded: bool) -> Source:
    prefix, _, suffix = wire.below(wire.location(experiment), "\0/artifacts").partition("\0")
    return Source(experiment.pk, lifecycle, prefix, suffix, is_folded=bool(is_folded))


def _condition(clause: Clause) -> Condition:
    kind, key = clause.entity, clause.key
    if kind == "dataset":
        kind, key = f"dataset.{key}", ""
    if kind == "attribute":
        kind, key = key, ""
    operator = _OPERATORS.get(clause.operator, clause.operator)
    value = clause.value
    values = () if value is None else value if isinstance(value, tuple) else (value,)
    return Condition(kind, key, operator, values, negated=False, span=(0, 0))


def _sort(item: OrderItem) -> Sort:
    if item.entity == "attribute":
        return Sort(item.key, "", item.descending)
    return Sort(item.entity, item.key, item.descending)


def _token(hits: Sequence[Hit], size: int, asked: tuple[object, ...]) -> str:
    return tokens.write([part for ranked in hits[size - 1].key for part in ranked], *asked)


def _place(text: str, sorts: Sequence[Sort], asked: tuple[object, ...]) -> Key | None:
    """Read the key a page starts behind; every value must be what its sort compares."""
    flat = tokens.read(text, *asked)
    if flat is None:
        return None
    if len(flat) != 2 * len(sorts):
        raise tokens.foreign()
    found = []
    for sort, rank, value in zip(sorts, flat[::2], flat[1::2], strict=True):
        kind = sort.value_type if rank == PRESENT else type(None)
        if type(rank) is not int or rank not in ranks(sort) or type(value) is not kind:
            raise tokens.foreign()
        found.append((rank, value))
    return tuple(found)
