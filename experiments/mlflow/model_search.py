"""The search of logged models: their attributes, parameters, tags, and metrics on chosen datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Collate, NullIf, Upper

from experiments.mlflow import wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import Fields, required, wrong
from experiments.mlflow.logged_models import written
from experiments.mlflow.search import conditions, grammar, tables, tokens
from experiments.models import Experiment, LoggedModel, LoggedModelMetric, LoggedModelParam, LoggedModelTag
from mlportal.lib.errors import Invalid
from projects.permissions import Permission

EXPERIMENTS = 10_000
PAGE, MAX_PAGE = 50, 1000
DATASETS = 100
_NUMBERS = {"creation_timestamp": "created_ms", "last_updated_timestamp": "updated_ms"}
_TEXTS = {
    "name": "name", "model_id": "uuid", "model_type": "known_type", "status": "status_word",
    "source_run_id": "source_run__uuid",
}  # fmt: skip
_PAIRS = {"param": LoggedModelParam, "tag": LoggedModelTag}


@dataclass(frozen=True, slots=True)
class Dataset:
    """The data a metric was measured on; no digest means any."""

    name: str
    digest: str

    @property
    def condition(self) -> Q:
        """What a metric point of it has."""
        named = Q(dataset_name=self.name)
        return named & Q(dataset_digest=self.digest) if self.digest else named


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to order by; a metric perhaps only on one dataset."""

    item: grammar.OrderItem
    dataset: Dataset | None


@endpoint(LoggedModel, Permission.RUN_VIEW)
def search(call: Call) -> dict[str, Any]:
    """Find active logged models of some experiments, newest first unless said otherwise."""
    fields = call.fields
    ids = fields.texts("experiment_ids", limit=EXPERIMENTS)
    if not ids:
        raise required("experiment_ids")
    clauses = grammar.parse(fields.text("filter"), tables.LOGGED_MODELS)
    datasets = tuple(_dataset(item) for item in fields.items("datasets", limit=DATASETS))
    orders = tuple(_order(item) for item in fields.items("order_by", limit=grammar.MAX_ORDERS))
    rows = _ordered(_kept(_rows(call, ids), clauses, datasets), orders)
    page, token = tokens.page(
        rows, _page_size(fields), fields.text("page_token"), sorted(set(ids)), clauses, datasets, orders
    )  # fmt: skip
    return wire.filled({"models": written(page), "next_page_token": token or None})


def _rows(call: Call, ids: list[str]) -> QuerySet[Any]:
    numbers = [int(text) for text in ids if text.isascii() and text.isdigit() and len(text) < 19]
    if len(numbers) < len(ids):
        raise wrong("experiment_ids", next(t for t in ids if not t.isdigit() or len(t) > 18), "it is no experiment id")
    default = Q(is_default=True) if 0 in numbers else Q()
    asked = Experiment.objects.filter(Q(pk__in=numbers) | default, project=call.project)
    rows = LoggedModel.objects.active().filter(experiment__in=asked).select_related("experiment", "source_run")
    return rows.defer("source_run__params", "source_run__tags", "source_run__notes", "source_run__latest").annotate(
        known_type=NullIf("model_type", Value("")), status_word=Upper("status")
    )


def _kept(rows: QuerySet[Any], clauses: tuple[grammar.Clause, ...], datasets: tuple[Dataset, ...]) -> QuerySet[Any]:
    on_data = Q()
    for dataset in datasets:
        on_data |= dataset.condition
    for clause in clauses:
        rows = rows.filter(_condition(clause, on_data))
    if datasets and not any(clause.entity == "metric" for clause in clauses):
        rows = rows.filter(Exists(LoggedModelMetric.objects.filter(on_data, logged_model=OuterRef("pk"))))
    return rows


def _condition(clause: grammar.Clause, on_data: Q) -> Q:
    if clause.entity in _PAIRS:
        return conditions.tag(_PAIRS[clause.entity], "logged_model", clause)
    if clause.entity == "metric":
        points = LoggedModelMetric.objects.filter(on_data, logged_model=OuterRef("pk"), key=clause.key)
        known = Q(is_nan=False) & conditions.number("value", clause)
        return Q(Exists(points.filter(known | Q(is_nan=True) if clause.operator == "!=" else known)))
    if clause.key in _NUMBERS:
        return conditions.number(_NUMBERS[clause.key], clause)
    return conditions.text(_TEXTS[clause.key], clause)


def _ordered(rows: QuerySet[Any], orders: tuple[Order, ...]) -> QuerySet[Any]:
    """Order, with what is missing last in both directions; ties by the newest."""
    by: list[OrderBy] = []
    for order in orders:
        by += _by_metric(order) if order.item.entity == "metric" else [_by_attribute(order.item)]
    return rows.order_by(*by, F("created_ms").desc(), F("pk").desc())


def _by_attribute(item: grammar.OrderItem) -> OrderBy:
    if item.key in _NUMBERS:
        return OrderBy(F(_NUMBERS[item.key]), descending=item.descending)
    expression: F | Collate = F(_TEXTS[item.key])
    if connection.vendor == "postgresql":
        expression = Collate(F(_TEXTS[item.key]), "C")
    return OrderBy(expression, descending=item.descending, nulls_last=True)


def _by_metric(order: Order) -> list[OrderBy]:
    """Order by the newest point of a metric; NaN comes after every number."""
    wanted = order.dataset.condition if order.dataset else Q()
    points = LoggedModelMetric.objects.filter(wanted, logged_model=OuterRef("pk"), key=order.item.key)
    newest = points.order_by("-stamp_ms", "-step", "-pk")
    return [
        OrderBy(Subquery(newest.values("is_nan")[:1]), nulls_last=True),
        OrderBy(Subquery(newest.values("value")[:1]), descending=order.item.descending, nulls_last=True),
    ]


def _order(item: Fields) -> Order:
    key = grammar.order_key(
        item.needed("field_name"), tables.LOGGED_MODELS, descending=not item.flag("ascending", default=True)
    )  # fmt: skip
    if not item.values.get("dataset_name"):
        if item.values.get("dataset_digest"):
            raise required(item.named("dataset_name"))
        return Order(key, None)
    if key.entity != "metric":
        raise Invalid(f"Only a metric is ordered by dataset, not {key.key[:100]!r}.", field="order_by")
    return Order(key, _dataset(item))


def _dataset(item: Fields) -> Dataset:
    return Dataset(item.needed("dataset_name", limit=500), item.text("dataset_digest", limit=36))


def _page_size(fields: Fields) -> int:
    size = fields.whole("max_results", PAGE)
    if size is None or not 1 <= size <= MAX_PAGE:
        raise wrong("max_results", size, f"it must be 1 to {MAX_PAGE}")
    return size
