"""experiments/search: a filter and an order over the experiments of a project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.expressions import OrderBy

from experiments.mlflow import wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import required, wrong
from experiments.mlflow.search import conditions, grammar, tables, tokens
from experiments.mlflow.search.grammar import Clause, OrderItem
from experiments.mlflow.search.runs import VIEWS, page_size
from experiments.models import Experiment, ExperimentTag, Lifecycle
from experiments.services import experiments
from projects.permissions import Permission

_TIMES = {"creation_time": "created_at", "last_update_time": "updated_at"}
_MAX_MS = 253_370_764_800_000  # the year 9999, where times of Python end
_FLIPPED = {"IN": "IN", "=": "IN", "NOT IN": "NOT IN", "!=": "NOT IN"}


@endpoint(Experiment, Permission.RUN_VIEW)
def search(call: Call) -> dict[str, Any]:
    """Find experiments, a page at a time."""
    fields = call.fields
    if fields.values.get("max_results") is None:
        raise required("max_results")
    size = page_size(fields, default=None)
    clauses = grammar.parse(fields.text("filter"), tables.EXPERIMENTS)
    order = grammar.order(fields.texts("order_by"), tables.EXPERIMENTS)
    lifecycles = fields.choice("view_type", VIEWS, default=(Lifecycle.ACTIVE,))
    default = experiments.default(call.actor, project=call.project)
    rows = Experiment.objects.in_project(call.project).filter(lifecycle__in=lifecycles)
    for clause in clauses:
        rows = rows.filter(_condition(clause, default))
    rows = rows.order_by(*_order(order)).prefetch_related("tag_rows")
    asked = (clauses, order, lifecycles)
    found, token = tokens.page(rows, size, fields.text("page_token"), *asked)
    return wire.filled({"experiments": [wire.experiment(e) for e in found], "next_page_token": token or None})


def _condition(clause: Clause, default: Experiment) -> Q:
    if clause.entity == "tag":
        return conditions.tag(ExperimentTag, "experiment", clause)
    if clause.key == "experiment_id":
        values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
        numbers = [_number(str(value), default) for value in values]
        same = Q(pk__in=[number for number in numbers if number < 2**63])
        return same if _FLIPPED[clause.operator] == "IN" else ~same
    if clause.key in _TIMES:
        return _moment(clause)
    return conditions.text(clause.key, clause)


def _number(text: str, default: Experiment) -> int:
    """Read an experiment id; "0" is the project's default experiment, whose own number nobody is told."""
    if not (text.isascii() and text.isdigit()) or len(text) > 40:
        raise wrong("experiment_id", text, "an experiment id is a whole number")
    return default.pk if int(text) == 0 else -1 if int(text) == default.pk else int(text)


def _moment(clause: Clause) -> Q:
    """Compare a time in whole milliseconds; what is stored is finer, so a millisecond is a span."""
    field, at = _TIMES[clause.key], int(clause.value)  # type: ignore[arg-type]
    at = max(-1, min(at, _MAX_MS))
    start = wire.EPOCH + timedelta(milliseconds=at)
    end = start + timedelta(milliseconds=1)
    inside = Q(**{f"{field}__gte": start, f"{field}__lt": end})
    tests = {
        "=": inside, "!=": ~inside, "<": Q(**{f"{field}__lt": start}), "<=": Q(**{f"{field}__lt": end}),
        ">": Q(**{f"{field}__gte": end}), ">=": Q(**{f"{field}__gte": start}),
    }  # fmt: skip
    return tests[clause.operator]


def _order(items: tuple[OrderItem, ...]) -> list[OrderBy]:
    found = [_ordered(item) for item in items]
    if not any(item.key == "creation_time" for item in items):
        found.append(F("created_at").desc())
    return [*found, F("pk").asc()]


def _ordered(item: OrderItem) -> OrderBy:
    if item.key == "name":
        return conditions.order_text("name", descending=item.descending)
    column = "pk" if item.key == "experiment_id" else _TIMES[item.key]
    return OrderBy(F(column), descending=item.descending)
