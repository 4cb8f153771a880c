"""MLflow's words: its error codes and the JSON shapes of its objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.http import HttpResponse

from experiments.metricstore import Latest
from experiments.models import Experiment, Run, RunInput, RunModel
from mlportal.lib.errors import DomainError

# Kinds that MLflow tells apart by code; everything else follows its status.
_CODES = {
    "name_taken": "RESOURCE_ALREADY_EXISTS",
    "endpoint_not_found": "ENDPOINT_NOT_FOUND",
    "not_implemented": "NOT_IMPLEMENTED",
}
_BY_STATUS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    501: "NOT_IMPLEMENTED",
}
RETRY_SECONDS = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATES: dict[str, str] = {
    "RUNNING": Run.State.RUNNING, "SCHEDULED": Run.State.QUEUED, "FINISHED": Run.State.FINISHED,
    "FAILED": Run.State.FAILED, "KILLED": Run.State.CANCELLED,
}  # fmt: skip
_STATE_WORDS = {state: word for word, state in STATES.items()}


def answer(body: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Encode an answer; numbers must have passed `number`, since JSON has no NaN."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


def refusal(error: DomainError) -> HttpResponse:
    """Say an anticipated error the way the client reads it.

    The client retries 429 and 5xx for minutes and may double what it sent. So trouble that passes is 429 with
    ``Retry-After``, a conflict is 400 as in MLflow, and nothing anticipated is 5xx but the 501 it asks for.
    """
    status = {409: 400, 413: 400, 415: 400, 422: 400, 503: 429, 507: 429}.get(error.status, error.status)
    code = _CODES.get(error.code) or _BY_STATUS.get(status, "INVALID_PARAMETER_VALUE")
    response = answer({"error_code": code, "message": error.message}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = 'Basic realm="mlflow"'
    if status == 429:
        response["Retry-After"] = str(error.retry_after or RETRY_SECONDS)
    return response


def number(value: float) -> float | str:
    """Write a double: NaN and the infinities are words, since JSON has none of them."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """Write a mapping as MLflow's list of keys and values."""
    return [{"key": key, "value": value} for key, value in values.items()]


def filled(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is unset: nulls and empty lists, as proto JSON does."""
    return {name: value for name, value in body.items() if value is not None and value != []}


def wire_id(experiment: Experiment) -> str:
    """Write an experiment's id; the project's default one is always "0"."""
    return "0" if experiment.is_default else str(experiment.pk)


def location(experiment: Experiment) -> str:
    """Write where an experiment's files are: in the portal, or where its maker said that clients keep them."""
    return experiment.artifact_location or f"mlflow-artifacts:/{wire_id(experiment)}"


def below(place: str, path: str) -> str:
    """Append a path to a location that may carry a query, such as credentials of a store."""
    head, mark, query = place.partition("?")
    return f"{head.rstrip('/')}/{path}{mark}{query}"


def experiment(row: Experiment) -> dict[str, Any]:
    """Write an experiment; prefetch ``tag_rows`` for many."""
    return filled(
        {
            "experiment_id": wire_id(row),
            "name": row.name,
            "artifact_location": location(row),
            "lifecycle_stage": row.lifecycle,
            "creation_time": millis(row.created_at),
            "last_update_time": millis(row.updated_at),
            "tags": [{"key": tag.key, "value": tag.value} for tag in row.tag_rows.all()],
        }
    )


def run_info(row: Run) -> dict[str, Any]:
    """Write what a run is; load ``experiment`` with it."""
    return filled(
        {
            "run_id": row.uuid,
            "run_uuid": row.uuid,
            "run_name": row.name,
            "experiment_id": wire_id(row.experiment),
            "user_id": row.user_name,
            "status": _STATE_WORDS[row.state],
            "start_time": row.started_ms,
            "end_time": row.ended_ms,
            "artifact_uri": below(location(row.experiment), f"{row.uuid}/artifacts"),
            "lifecycle_stage": row.lifecycle,
        }
    )


def run(
    row: Run, latest: Mapping[str, Latest], inputs: Iterable[RunInput] = (), models: Iterable[RunModel] = ()
) -> dict[str, Any]:
    """Write a run whole: ``latest`` metrics, its input datasets (with ``dataset``), its models (with theirs)."""
    linked = list(models)
    read = [m for m in linked if m.direction == RunModel.Direction.INPUT]
    made = [m for m in linked if m.direction == RunModel.Direction.OUTPUT]
    return {
        "info": run_info(row),
        "data": filled(
            {
                "metrics": [metric(key, point) for key, point in latest.items()],
                "params": pairs(orjson.loads(row.params)),
                "tags": pairs(orjson.loads(row.tags)),
            }
        ),
        "inputs": filled(
            {
                "dataset_inputs": [dataset_input(item) for item in inputs],
                "model_inputs": [{"model_id": m.logged_model.uuid} for m in read],
            }
        ),
        "outputs": filled({"model_outputs": [{"model_id": m.logged_model.uuid, "step": m.step} for m in made]}),
    }


def metric(key: str, point: Latest) -> dict[str, Any]:
    """Write one point of a metric."""
    return {"key": key, "value": number(point.value), "timestamp": point.stamp_ms, "step": point.step}


def millis(moment: datetime) -> int:
    """Write a moment in milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def dataset_input(row: RunInput) -> dict[str, Any]:
    """Write a dataset that a run read; load ``dataset`` with it."""
    known = row.dataset
    described = {
        "name": known.name, "digest": known.digest, "source_type": known.source_type, "source": known.source,
        "schema": known.schema or None, "profile": known.profile or None,
    }  # fmt: skip
    return filled({"dataset": filled(described), "tags": pairs(row.tags)})
