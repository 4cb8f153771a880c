"""Searches of models and versions in MLflow's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import OrderBy

from deployments.mlflow import shapes
from deployments.models import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from deployments.services.sources import PROMPT_TAG
from experiments.mlflow.door import Answer, Call, endpoint
from experiments.mlflow.fields import Fields, wrong
from experiments.mlflow.search import conditions, grammar, tables, tokens
from experiments.mlflow.search.grammar import Clause, OrderItem
from projects.permissions import Permission

P = Permission
MODELS_AT_MOST, MODELS_BY_DEFAULT = 1000, 100
VERSIONS_AT_MOST, VERSIONS_BY_DEFAULT = 200_000, 10_000
_COLUMNS = {
    "creation_timestamp": "created_at", "last_updated_timestamp": "updated_at", "version_number": "number",
    "run_id": "run_uuid", "source_path": "source",
}  # fmt: skip


@endpoint(RegisteredModel, P.MODEL_VIEW)
def models(call: Call) -> Answer:
    """Find models; prompts only when they are asked for."""
    size = _size(call.fields, MODELS_BY_DEFAULT, MODELS_AT_MOST)
    clauses = grammar.parse(call.fields.text("filter"), tables.REGISTERED_MODELS)
    order = grammar.order(call.fields.texts("order_by"), tables.REGISTERED_MODELS)
    rows: QuerySet[RegisteredModel] = RegisteredModel.objects.in_project(call.project)
    if not _asks_for_prompts(clauses):
        prompts = RegisteredModelTag.objects.filter(model=OuterRef("pk"), key=PROMPT_TAG, value="true")
        rows = rows.filter(~Exists(prompts))
    for clause in _without_prompts(clauses):
        rows = rows.filter(_condition(clause, "name", RegisteredModelTag, "model"))
    rows = rows.order_by(*_order(order, "name", ["name"]))
    found, token = tokens.page(rows, size, call.fields.text("page_token"), "models", clauses, order)
    return _answer("registered_models", shapes.models(found), token)


@endpoint(ModelVersion, P.MODEL_VIEW)
def versions(call: Call) -> Answer:
    """Find versions, the last changed first; prompts only when they are asked for."""
    size = _size(call.fields, VERSIONS_BY_DEFAULT, VERSIONS_AT_MOST)
    clauses = grammar.parse(call.fields.text("filter"), tables.MODEL_VERSIONS)
    order = grammar.order(call.fields.texts("order_by"), tables.MODEL_VERSIONS)
    rows: QuerySet[ModelVersion] = ModelVersion.objects.in_project(call.project)
    if not _asks_for_prompts(clauses):
        prompts = ModelVersionTag.objects.filter(version=OuterRef("pk"), key=PROMPT_TAG, value="true")
        rows = rows.filter(~Exists(prompts))
    for clause in _without_prompts(clauses):
        rows = rows.filter(_condition(clause, "model__name", ModelVersionTag, "version"))
    rows = shapes.short(rows).order_by(*_order(order, "model__name", ["-updated_at", "name", "-number"]))
    found, token = tokens.page(rows, size, call.fields.text("page_token"), "versions", clauses, order)
    return _answer("model_versions", shapes.versions(found, aliases=True), token)


def _size(fields: Fields, default: int, most: int) -> int:
    size = fields.whole("max_results", default)
    if size is None or not 1 <= size <= most:
        raise wrong("max_results", size, f"it must be from 1 to {most}")
    return size


def _asks_for_prompts(clauses: Sequence[Clause]) -> bool:
    """Whether the first clause about the tag of prompts wants them."""
    first = next((c for c in clauses if _is_of_prompts(c)), None)
    if first is None:
        return False
    return (first.operator, str(first.value).lower()) in (("=", "true"), ("!=", "false"))


def _without_prompts(clauses: Sequence[Clause]) -> list[Clause]:
    """Leave out clauses that only say "no prompts": what is none has no such tag."""
    wanted = _asks_for_prompts(clauses)
    return [clause for clause in clauses if wanted or not _is_of_prompts(clause)]


def _is_of_prompts(clause: Clause) -> bool:
    return clause.entity == "tag" and clause.key == PROMPT_TAG


def _condition(clause: Clause, name: str, tags: Any, owner: str) -> Q:
    if clause.entity == "tag":
        return conditions.tag(tags, owner, clause)
    if clause.key == "version_number":
        return conditions.number("number", clause)
    return conditions.text(name if clause.key == "name" else _COLUMNS[clause.key], clause)


def _order(items: Sequence[OrderItem], name: str, default: Sequence[str]) -> list[OrderBy]:
    """Order as asked or by default, then by name and the newest number."""
    asked = [("-" if item.descending else "") + _COLUMNS.get(item.key, item.key) for item in items] or list(default)
    if "name" not in {word.lstrip("-") for word in asked}:
        asked.append("name")
    return [_by(word.lstrip("-"), name, descending=word.startswith("-")) for word in asked] + [F("pk").desc()]


def _by(word: str, name: str, *, descending: bool) -> OrderBy:
    if word == "name":
        return conditions.order_text(name, descending=descending)
    return OrderBy(F(word), descending=descending)


def _answer(name: str, shown: list[dict[str, Any]], token: str) -> dict[str, Any]:
    body: dict[str, Any] = {name: shown} if shown else {}
    return {**body, "next_page_token": token} if token else body
