"""Log metrics, parameters and tags: the calls a training loop makes.

A batch has up to a thousand items, so well-formed lists are read by comprehensions; the first item that
is not as expected sends its list through `Fields`, which reads MLflow's loose spellings or names the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.metricstore.limits import (
    BATCH_METRICS,
    BATCH_PARAMS,
    BATCH_TAGS,
    PARAM_CHARS,
    TAG_CHARS,
    Batch,
    Metric,
)
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import Fields, required
from experiments.mlflow.lookup import active_run
from experiments.models import Run
from experiments.services import runs
from experiments.services.model_metrics import ModelPoint
from mlportal.lib.errors import Invalid, Missing
from projects.permissions import Permission

_NUMBERS = frozenset({int, float})
Pairs = list[tuple[str, str]]


@endpoint(Run, Permission.RUN_LOG)
def log_batch(call: Call) -> dict[str, Any]:
    """Record metrics, parameters and tags of a run: all of it or nothing."""
    run = active_run(call, strict=True)
    metrics = _metrics(call.fields)
    params = _pairs(call.fields, "params", BATCH_PARAMS)
    tags = _named(_pairs(call.fields, "tags", BATCH_TAGS))
    runs.log_batch(
        call.actor, run=run, metrics=metrics, params=_once(params, PARAM_CHARS), tags=_cut(tags, TAG_CHARS),
        model_points=_model_points(call.fields.items("metrics"), metrics) if _names_models(call.fields) else (),
    )  # fmt: skip
    return {}


@endpoint(Run, Permission.RUN_LOG)
def log_metric(call: Call) -> dict[str, Any]:
    """Record one metric point of a run."""
    run = active_run(call)
    point = _point(call.fields)
    runs.log_batch(
        call.actor, run=run, metrics=[point],
        model_points=_model_points([call.fields], [point]) if call.fields.values.get("model_id") else (),
    )  # fmt: skip
    return {}


@endpoint(Run, Permission.RUN_LOG)
def log_parameter(call: Call) -> dict[str, Any]:
    """Record one parameter of a run; it is written once."""
    run = active_run(call)
    key, value = _pair(call.fields)
    runs.log_batch(call.actor, run=run, params={key: value[:PARAM_CHARS]})
    return {}


@endpoint(Run, Permission.RUN_LOG)
def set_tag(call: Call) -> dict[str, Any]:
    """Set one tag of a run."""
    run = active_run(call)
    runs.log_batch(call.actor, run=run, tags=_cut(_named([_pair(call.fields)]), TAG_CHARS))
    return {}


@endpoint(Run, Permission.RUN_EDIT)
def delete_tag(call: Call) -> dict[str, Any]:
    """Remove one tag of a run."""
    run = active_run(call)
    key = call.fields.needed("key")
    if not runs.drop_tag(call.actor, run=run, key=key):
        raise Missing(f"No tag with name: {key[:100]} in run with id {run.uuid}")
    return {}


def _metrics(fields: Fields) -> Sequence[Metric]:
    found: Any = fields.values.get("metrics")
    if not _is_short_list(found, BATCH_METRICS):
        return [_point(item) for item in fields.items("metrics", limit=BATCH_METRICS)]
    try:
        names, values = [item["key"] for item in found], [item["value"] for item in found]
        stamps, steps = [item["timestamp"] for item in found], [item.get("step", 0) for item in found]
    except (TypeError, KeyError, AttributeError):
        return [_point(item) for item in fields.items("metrics", limit=BATCH_METRICS)]
    kinds = [set(map(type, column)) for column in (names, values, stamps, steps)]
    if kinds[0] == {str} and kinds[1] <= _NUMBERS and kinds[2] == kinds[3] == {int}:
        return Batch(names, values, stamps, steps)
    return [_point(item) for item in fields.items("metrics", limit=BATCH_METRICS)]


def _point(item: Fields) -> Metric:
    stamp = item.whole("timestamp")
    if stamp is None:
        raise required(item.named("timestamp"))
    return item.needed("key"), item.number("value"), stamp, item.whole("step", 0) or 0


def _names_models(fields: Fields) -> bool:
    found: Any = fields.values.get("metrics") or ()
    return True in ["model_id" in item for item in found]  # a list, since a generator takes twice as long


def _model_points(items: list[Fields], metrics: Sequence[Metric]) -> list[ModelPoint]:
    return [
        ModelPoint(model_id, metric, item.text("dataset_name", limit=500), item.text("dataset_digest", limit=36))
        for item, metric in zip(items, metrics, strict=True)
        if (model_id := item.text("model_id"))
    ]


def _pairs(fields: Fields, name: str, limit: int) -> Pairs:
    found: Any = fields.values.get(name)
    if not _is_short_list(found, limit):
        return [_pair(item) for item in fields.items(name, limit=limit)]
    try:
        pairs = [(item["key"], item["value"]) for item in found]
    except (TypeError, KeyError):
        return [_pair(item) for item in fields.items(name, limit=limit)]
    if {type(text) for pair in pairs for text in pair} == {str}:
        return pairs
    return [_pair(item) for item in fields.items(name, limit=limit)]


def _is_short_list(found: object, limit: int) -> bool:
    return isinstance(found, list) and 0 < len(found) <= limit


def _pair(item: Fields) -> tuple[str, str]:
    return item.needed("key"), item.text("value")


def _named(tags: Pairs) -> Pairs:
    """Leave out an empty name of a run, which changes nothing, as in MLflow."""
    return [pair for pair in tags if pair != (runs.NAME_TAG, "")]


def _once(pairs: Pairs, limit: int) -> dict[str, str]:
    cut = _cut(pairs, limit)
    if len(cut) == len(pairs):
        return cut
    keys = [key for key, _ in pairs]
    twice = next(key for key in keys if keys.count(key) > 1)
    raise Invalid(f"Duplicate parameter keys have been submitted: {twice[:100]!r}.", code="param_twice", field="params")


def _cut(pairs: Pairs, limit: int) -> dict[str, str]:
    """Shorten values as MLflow does, which then keeps the first characters."""
    return {key: value[:limit] for key, value in pairs}
