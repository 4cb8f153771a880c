"""JSON shapes of the registry's objects, in the fewest queries, and how they are found by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Max

from deployments.models import Alias, ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from experiments.mlflow import wire
from experiments.mlflow.door import Call
from mlportal.lib.errors import Invalid, Missing

Data = dict[str, Any]
MAX_NUMBER = 2**31 - 1


def find_model(call: Call) -> RegisteredModel:
    """Return the model that the call names."""
    name = call.fields.needed("name")
    rows = RegisteredModel.objects.in_project(call.project).select_related("project")
    found = rows.filter(name=name).first()
    if found is None:
        raise Missing(f"Registered Model with name={name} not found", field="name")
    return found


def find_version(call: Call) -> ModelVersion:
    """Return the version that the call names by model and number."""
    name, given = call.fields.needed("name"), given_number(call)
    rows = ModelVersion.objects.in_project(call.project).select_related("model__project", "run", "logged_model")
    found = rows.filter(model__name=name, number=given).first()
    if found is None:
        raise Missing(f"Model Version (name={name}, version={given}) not found", field="version")
    return found


def given_number(call: Call) -> int:
    """Read the number of a version, which clients send as text."""
    value = call.fields.values.get("version")
    if value is None or value == "":
        raise Invalid("Missing value for required parameter 'version'.", code="required", field="version")
    number = call.fields.whole("version")
    return min(max(number or 0, 0), MAX_NUMBER)


def version(row: ModelVersion) -> Data:
    """Write one version."""
    return versions([row])[0]


def versions(rows: Sequence[ModelVersion], *, aliases: bool = True) -> list[Data]:
    """Write versions: two queries for the tags and aliases of them all."""
    ids = [row.pk for row in rows]
    tags = _grouped(ModelVersionTag.objects.filter(version__in=ids).order_by("key"), "version_id")
    named: dict[int, list[Alias]] = {}
    if aliases:
        named = _grouped(Alias.objects.filter(version__in=ids, valid_to=None).order_by("name"), "version_id")
    return [_version(row, tags.get(row.pk, []), named.get(row.pk, [])) for row in rows]


def model(row: RegisteredModel) -> Data:
    """Write one model."""
    return models([row])[0]


def models(rows: Sequence[RegisteredModel]) -> list[Data]:
    """Write models with their newest version of each stage: five queries for them all."""
    ids = [row.pk for row in rows]
    newest = _grouped(latest(ids), "model_id")
    flat = [each for group in newest.values() for each in group]
    shown = dict(zip((each.pk for each in flat), versions(flat, aliases=False), strict=True))
    tags = _grouped(RegisteredModelTag.objects.filter(model__in=ids).order_by("key"), "model_id")
    opened = Alias.objects.filter(model__in=ids, valid_to=None).select_related("version").order_by("name")
    named = _grouped(opened, "model_id")
    return [
        wire.filled(
            {
                "name": row.name,
                "creation_timestamp": wire.millis(row.created_at),
                "last_updated_timestamp": wire.millis(row.updated_at),
                "description": row.description or None,
                "latest_versions": [shown[each.pk] for each in newest.get(row.pk, [])],
                "tags": _pairs(tags.get(row.pk, [])),
                "aliases": [
                    {"alias": each.name, "version": str(each.version.number)} for each in named.get(row.pk, [])
                ],
            }
        )
        for row in rows
    ]


def latest(model_ids: Sequence[int]) -> list[ModelVersion]:
    """Return the newest version of each stage of each model, without their long columns."""
    groups = ModelVersion.objects.filter(model__in=model_ids).order_by().values("model", "stage")
    newest = [group["newest"] for group in groups.annotate(newest=Max("pk"))]
    return list(short(ModelVersion.objects.filter(pk__in=newest)).order_by("number"))


def short(rows: Any) -> Any:
    """Leave out what no client asks for and what may be long."""
    return rows.select_related("model", "logged_model").defer(
        "manifest", "reference_grids", "importance", "signature", "metrics", "provenance", "environment"
    )


def _version(row: ModelVersion, tags: list[ModelVersionTag], aliases: list[Alias]) -> Data:
    damaged = row.state == ModelVersion.State.DAMAGED
    return wire.filled(
        {
            "name": row.model.name,
            "version": str(row.number),
            "creation_timestamp": wire.millis(row.created_at),
            "last_updated_timestamp": wire.millis(row.updated_at),
            "current_stage": row.stage,
            "description": row.description,
            "source": row.source,
            "run_id": row.run_uuid,
            "model_id": row.logged_model.uuid if row.logged_model else None,
            "status": "FAILED_REGISTRATION" if damaged else "READY",
            "status_message": "The files are damaged." if damaged else None,
            "run_link": row.run_link,
            "tags": _pairs(tags),
            "aliases": [each.name for each in aliases],
        }
    )


def _pairs(tags: Iterable[RegisteredModelTag | ModelVersionTag]) -> list[dict[str, str]]:
    return wire.pairs({tag.key: tag.value for tag in tags})


def _grouped(rows: Iterable[Any], name: str) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(getattr(row, name), []).append(row)
    return found
