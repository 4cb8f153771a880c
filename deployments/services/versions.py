"""Versions that clients register, and the labels of every version: text, tags and stage."""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from deployments import gates
from deployments.models import Alias, ModelVersion, ModelVersionTag, RegisteredModel
from deployments.proof import canonical, manifest, mlmodel, signing
from deployments.services import governed, policies, registered
from deployments.services.sources import Source
from experiments import metricstore
from experiments.models import LoggedModel, LoggedModelTag, Run
from mlportal.lib import blobs
from mlportal.lib.errors import Forbidden, Invalid, Missing
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, legal_holds

MODEL_VERSIONS_TAG = "mlflow.modelVersions"
MAX_LINK = 500
Stage = ModelVersion.Stage


def create(
    by: Actor,
    *,
    model: RegisteredModel,
    source: Source,
    description: str = "",
    run_link: str = "",
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Make what a client names the next version of a model; files that lie in the portal are listed and signed.

    Nothing of the files is loaded. Without a safe format the version is cargo, see `gates.cargo`.

    Raises
    ------
    Invalid
        When a text or a tag breaks a rule.
    Missing
        When the model was deleted in between.
    """
    require(by, Permission.MODEL_REGISTER, model.project)
    labels = {
        "description": registered.clean_wording(description, "description"),
        "run_link": registered.clean_wording(run_link, "run_link", limit=MAX_LINK),
    }
    registered.check_tags(tags or {})
    parts = copied(source.copied) if source.copied else described(source)
    with transaction.atomic():
        policies.ensure(model.project)
        held = next_number(model)
        version = ModelVersion.objects.create(
            model=held, number=held.last_number, origin=ModelVersion.Origin.MLFLOW, created_by=by.user,
            created_at=held.updated_at, updated_at=held.updated_at, source=source.text, location=source.location,
            run=source.run, run_uuid=source.run_uuid, logged_model=source.logged_model, **labels, **parts,
        )  # fmt: skip
        ModelVersionTag.objects.bulk_create(
            ModelVersionTag(version=version, key=key, value=value) for key, value in (tags or {}).items()
        )
        if source.logged_model is not None:
            _note(source.logged_model, version)
        events.record(
            by, "version.created", project=held.project, target=version,
            data={
                "model": held.name, "number": version.number, "source": source.text[:1000], "run": source.run_uuid,
                "manifest": version.manifest_sha256, "files": len(version.manifest),
                "description": labels["description"][:1000], "tags": registered.told(tags),
            },
        )  # fmt: skip
    return version


def next_number(model: RegisteredModel) -> RegisteredModel:
    """Hold a model and count one further: numbers go up by one under any race and none is used twice."""
    held = registered.lock(model)
    held.last_number, held.updated_at = held.last_number + 1, timezone.now()
    held.save(update_fields=["last_number", "updated_at"])
    return held


def describe(by: Actor, *, version: ModelVersion, description: str) -> ModelVersion:
    """Change the text about a version."""
    require(by, Permission.MODEL_REGISTER, version.model.project)
    version.description, version.updated_at = registered.clean_wording(description, "description"), timezone.now()
    with transaction.atomic():
        version.save(update_fields=["description", "updated_at"])
        events.record(by, "version.described", project=version.model.project, target=version)
    return version


def delete(by: Actor, *, version: ModelVersion) -> None:
    """Delete a version with its tags and aliases; its number is never used again.

    Raises
    ------
    Forbidden
        When promotions or endpoints refer to it.
    Conflict
        While a legal hold covers the project.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    with transaction.atomic():
        legal_holds.refuse(version.model.project, what=str(version))
        held = registered.lock(version.model)
        row = ModelVersion.objects.select_for_update(no_key=True).filter(pk=version.pk).first()
        if row is None:
            raise Missing(f"Model Version (name={held.name}, version={version.number}) not found")
        if reason := governed.hold_on_version(version):
            raise Forbidden(f"{version} cannot be deleted: {reason}.", code="version_in_use")
        events.record(
            by, "version.deleted", project=held.project, target=version, data={"manifest": version.manifest_sha256}
        )
        Alias.objects.filter(version=version).delete()
        RegisteredModel.objects.filter(pk=held.pk).update(updated_at=timezone.now())
        try:
            row.delete()
        except ProtectedError as error:
            raise Forbidden(f"{version} cannot be deleted: something refers to it.", code="version_in_use") from error


def set_tag(by: Actor, *, version: ModelVersion, key: str, value: str) -> None:
    """Set one tag of a version; the last value wins."""
    require(by, Permission.MODEL_REGISTER, version.model.project)
    registered.check_tags({key: value})
    with transaction.atomic():
        registered.lock(version.model)
        ModelVersionTag.objects.update_or_create(version=version, key=key, defaults={"value": value})
        events.record(
            by, "version.tag_set", project=version.model.project, target=version,
            data={**_named(version), "key": key, "value": value[:1000]},
        )  # fmt: skip


def remove_tag(by: Actor, *, version: ModelVersion, key: str) -> bool:
    """Take a tag off a version. Returns whether it was there."""
    require(by, Permission.MODEL_REGISTER, version.model.project)
    registered.check_tags({key: ""})
    with transaction.atomic():
        removed, _ = ModelVersionTag.objects.filter(version=version, key=key).delete()
        if removed:
            events.record(
                by, "version.tag_removed", project=version.model.project, target=version,
                data={**_named(version), "key": key},
            )  # fmt: skip
    return bool(removed)


def clean_stage(given: str) -> Stage:
    """Return the stage of that name in any case.

    Raises
    ------
    Invalid
        Naming the known ones.
    """
    known = {stage.value.casefold(): stage for stage in Stage}
    if given.casefold() not in known:
        raise Invalid(
            f"Invalid Model Version stage: {given[:100]}. Value must be one of {', '.join(Stage.values)}.",
            field="stage", limit=Stage.values, got=given[:100],
        )  # fmt: skip
    return known[given.casefold()]


def label(by: Actor, *, version: ModelVersion, stage: str, archive_others: bool = False) -> ModelVersion:
    """Label a version with one of MLflow's stages. The label moves nothing: what answers is moved by promotions.

    Raises
    ------
    Invalid
        When there is no such stage, or others should be archived by a stage that is neither Staging nor Production.
    Forbidden
        When the stage is the name of an environment in use.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    wanted = clean_stage(stage)
    served = wanted in (Stage.STAGING, Stage.PRODUCTION)
    if archive_others and not served:
        raise Invalid(
            f"Only Staging and Production archive the versions that are there, not {wanted.value}.",
            field="archive_existing_versions",
        )
    with transaction.atomic():
        held = registered.lock(version.model)
        if served:
            governed.refuse_stage(version, wanted.value)
        now = timezone.now()
        others = ModelVersion.objects.filter(model=held, stage=wanted).exclude(pk=version.pk)
        archived = others.update(stage=Stage.ARCHIVED, updated_at=now) if archive_others else 0
        before, version.stage, version.updated_at = version.stage, wanted, now
        version.save(update_fields=["stage", "updated_at"])
        RegisteredModel.objects.filter(pk=held.pk).update(updated_at=now)
        events.record(
            by, "version.stage_set", project=held.project, target=version,
            data={"from": before, "to": wanted.value, "archived": archived},
        )  # fmt: skip
    return version


def described(source: Source) -> dict[str, Any]:
    """Describe and sign the files of a source; a source elsewhere gives an empty list that is signed all the same."""
    rows = manifest.build(list(source.files)) if source.files else []
    about = _mlmodel(source)
    provenance: dict[str, canonical.Plain] = {
        "origin": "mlflow",
        "source": source.text,
        "run": source.run_uuid,
        "logged_model": source.logged_model.uuid if source.logged_model else None,
        "flavors": dict(about.flavors),
    }
    identity = manifest.digest(rows, provenance)
    return {
        "dataset_version": source.run.dataset_version if source.run else None,
        "algorithm": _kind(about),
        "flavors": about.flavors,
        "manifest": rows,
        "provenance": provenance,
        "manifest_sha256": identity,
        "manifest_signature": signing.sign(gates.keyring(), identity),
        "signed_by": gates.keyring().key_id,
        "signature": about.signature,
        "environment": {"python": about.python} if about.python else {},
        "metrics": finite_metrics(source.run) if source.run else {},
        "size_bytes": sum(item.size_bytes for item in source.files),
    }


def copied(version: ModelVersion) -> dict[str, Any]:
    """Return what a copy shares with its original: the same files under the same signature."""
    names = (
        "dataset_version", "task", "algorithm", "flavors", "manifest", "provenance", "manifest_sha256",
        "manifest_signature", "signed_by", "signature", "environment", "metrics", "importance", "reference_grids",
        "size_bytes", "state",
    )  # fmt: skip
    return {name: getattr(version, name) for name in names}


def finite_metrics(run: Run) -> dict[str, float]:
    """Return the latest finite values of a run's metrics, without those of single folds."""
    points = metricstore.latest([run.pk])[run.pk]
    finite = {key: float(point.value) for key, point in points.items() if point.value == point.value}
    return {key: value for key, value in finite.items() if abs(value) != float("inf") and not key.startswith("cv/")}


def _named(version: ModelVersion) -> dict[str, Any]:
    return {"model": version.model.name, "number": version.number}


def _mlmodel(source: Source) -> mlmodel.Description:
    found = next((item for item in source.files if item.path == mlmodel.FILE), None)
    if found is None or found.size_bytes > mlmodel.MAX_BYTES:
        return mlmodel.Description()
    return mlmodel.read(blobs.read_bytes(found.sha256, limit_bytes=mlmodel.MAX_BYTES))


def _kind(about: mlmodel.Description) -> str:
    """Name the library: the flavor that is not the general one."""
    special = [name for name in about.flavors if name != "python_function"]
    return (special or list(about.flavors) or [""])[0]


def _note(logged: LoggedModel, version: ModelVersion) -> None:
    """Append the version to the tag that clients read on the logged model."""
    LoggedModel.objects.select_for_update(no_key=True).get(pk=logged.pk)
    row = LoggedModelTag.objects.filter(logged_model=logged, key=MODEL_VERSIONS_TAG).first()
    entry = {"name": version.model.name, "version": str(version.number)}
    known = _listed(row.value) if row else []
    if entry not in known:
        text = json.dumps([*known, entry])
        LoggedModelTag.objects.update_or_create(
            logged_model=logged, key=MODEL_VERSIONS_TAG, defaults={"value": text}
        )  # fmt: skip


def _listed(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
