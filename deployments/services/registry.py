"""Register the model of a run as a signed version, check versions again, and name them."""

import json
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments import gates
from deployments.models import Alias, Environment, ModelVersion, RegisteredModel
from deployments.proof import manifest, signing
from deployments.proof.manifest import File
from deployments.services import policies
from experiments import metricstore
from experiments.models import Artifact, Run
from mlportal.lib import blobs, names
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing, Unprocessable
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

MAX_MODEL_NAME = 80
RESERVED = {"register"}  # the address of the page that registers
MAX_JSON_BYTES = 4 * 2**20
NEEDED = (gates.MODEL_FILE, gates.SIGNATURE_FILE)


def register(by: Actor, *, run: Run, model_name: str, description: str = "") -> ModelVersion:
    """Make the model of a finished run the next version of a registered model, with a signed manifest of its files.

    Raises
    ------
    Conflict
        When the run has not finished, is deleted, a file is damaged, or it is a version of this model already.
    Unprocessable
        When the run has no model, or its input and output schema cannot be used.
    """
    require(by, Permission.MODEL_REGISTER, run.project)
    name = _model_name(model_name)
    text = names.clean_text(description, field="description")
    _check_run(run)
    files = {item.path: item for item in Artifact.objects.filter(run=run).order_by("path")}
    _check_files(run, files)
    parts = _parts(run, files)
    with transaction.atomic():
        policies.ensure(run.project)
        model = _model(by, run, name, text)
        version = _create(by, model, run, parts)
        events.record(
            by, "version.registered", project=run.project, target=version,
            data={"model": model.name, "number": version.number, "run": run.pk, "manifest": version.manifest_sha256},
        )  # fmt: skip
    return version


def verify(by: Actor, *, version: ModelVersion) -> tuple[str, ...]:
    """Check a version against its files, and keep what was found.

    Returns
    -------
    tuple of str
        One sentence per damage; empty when the version is whole.
    """
    require(by, Permission.MODEL_VIEW, version.model.project)
    damaged = gates.damage(version)
    with transaction.atomic():
        mark(version, damaged)
        events.record(
            by, "version.verified", project=version.model.project, target=version, data={"damaged": list(damaged)}
        )
    return damaged


def mark(version: ModelVersion, damaged: tuple[str, ...]) -> None:
    """Keep the result of a check on the version."""
    version.state = ModelVersion.State.DAMAGED if damaged else ModelVersion.State.READY
    version.verified_at = timezone.now()
    version.save(update_fields=["state", "verified_at"])


def set_alias(by: Actor, *, version: ModelVersion, name: str) -> Alias:
    """Point a name at a version; the name keeps its history.

    Raises
    ------
    Forbidden
        When the name is that of an environment: only a promotion moves those.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    name = names.clean(name, field="alias")
    _refuse_governed(version.model, name)
    with transaction.atomic():
        RegisteredModel.objects.select_for_update().get(pk=version.model_id)
        now = timezone.now()
        Alias.objects.filter(model=version.model, name=name, valid_to=None).update(valid_to=now)
        alias = Alias.objects.create(model=version.model, name=name, version=version, set_by=by.user)
        events.record(
            by, "alias.set", project=version.model.project, target=version, data={"alias": name, "to": version.number}
        )
    return alias


def remove_alias(by: Actor, *, model: RegisteredModel, name: str) -> None:
    """End a name.

    Raises
    ------
    Forbidden
        When the name is that of an environment.
    Missing
        When the model has no such alias.
    """
    require(by, Permission.MODEL_REGISTER, model.project)
    _refuse_governed(model, name)
    with transaction.atomic():
        ended = Alias.objects.filter(model=model, name=name, valid_to=None).update(valid_to=timezone.now())
        if not ended:
            raise Missing(f"{model.name} has no alias {name[:100]!r}.")
        events.record(by, "alias.removed", project=model.project, target=model, data={"alias": name})


def describe(by: Actor, *, model: RegisteredModel, description: str) -> RegisteredModel:
    """Change the text about a model."""
    require(by, Permission.MODEL_REGISTER, model.project)
    model.description = names.clean_text(description, field="description")
    with transaction.atomic():
        model.save(update_fields=["description"])
        events.record(by, "model.described", project=model.project, target=model)
    return model


def _model_name(given: str) -> str:
    name = names.clean(given, field="model_name")
    if names.key(name) in RESERVED:
        raise Invalid(f"{name} is a reserved word; choose another name.", field="model_name", got=name)
    if len(name) > MAX_MODEL_NAME:
        raise Invalid(
            f"model_name has {len(name)} characters; at most {MAX_MODEL_NAME} are allowed.",
            field="model_name", limit=MAX_MODEL_NAME, got=len(name),
        )  # fmt: skip
    return name


def _check_run(run: Run) -> None:
    if run.lifecycle == "deleted":
        raise Conflict(f"Run {run.pk} is deleted. Restore it first.", code="run_deleted", field="run")
    if run.state != Run.State.FINISHED:
        raise Conflict(
            f"Run {run.pk} is {run.state}; only a finished run can be registered.",
            code="run_not_finished", field="run", limit="finished", got=str(run.state),
        )  # fmt: skip


def _check_files(run: Run, files: dict[str, Artifact]) -> None:
    missing = [path for path in NEEDED if path not in files]
    if missing:
        raise Unprocessable(
            f"Run {run.pk} has no {missing[0]}. A version needs {' and '.join(NEEDED)}.",
            code="no_model", field="run", limit=list(NEEDED), got=sorted(files)[:20],
        )  # fmt: skip
    for path, item in files.items():
        try:
            blobs.verify(item.sha256)
        except (blobs.BlobCorrupt, Missing) as error:
            raise Conflict(
                f"The file {path} of run {run.pk} is damaged: {error.message}", code="artifact_damaged", field="run"
            ) from error


def _parts(run: Run, files: dict[str, Artifact]) -> dict[str, Any]:
    signature = _read(files, gates.SIGNATURE_FILE, {})
    if not (isinstance(signature, dict) and _listed(signature, "inputs") and _listed(signature, "outputs")):
        raise Unprocessable(
            f"{gates.SIGNATURE_FILE} of run {run.pk} does not describe inputs and outputs.", code="bad_signature"
        )
    job = getattr(run, "job", None)
    dataset = run.dataset_version
    environment = _read(files, gates.ENVIRONMENT_FILE, {})
    importance = _read(files, gates.IMPORTANCE_FILE, [])
    algorithm = str((job.spec if job else {}).get("algorithm", "")) or _param(run, "algorithm")
    provenance = {
        "run": run.uuid,
        "dataset_sha256": dataset.sha256 if dataset else None,
        "algorithm": algorithm,
        "environment": environment if isinstance(environment, dict) else {},
        "attempt": job.attempt if job else None,
        "fence": job.fence if job else None,
    }
    rows = manifest.build([File(item.path, item.sha256, item.size_bytes) for item in files.values()])
    identity = manifest.digest(rows, provenance)
    return {
        "dataset_version": dataset,
        "task": str(signature.get("task", ""))[:20],
        "algorithm": algorithm[:100],
        "manifest": rows,
        "provenance": provenance,
        "manifest_sha256": identity,
        "manifest_signature": signing.sign(gates.keyring(), identity),
        "signed_by": gates.keyring().key_id,
        "signature": signature,
        "environment": provenance["environment"],
        "metrics": _metrics(run),
        "importance": importance if isinstance(importance, list) else [],
        "size_bytes": sum(item.size_bytes for item in files.values()),
    }


def _read(files: dict[str, Artifact], path: str, default: Any) -> Any:
    if path not in files:
        return default
    try:
        return json.loads(blobs.read_bytes(files[path].sha256, limit_bytes=MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise Unprocessable(f"{path} is not JSON.", code="bad_signature", field="run") from error


def _listed(signature: dict[str, Any], name: str) -> bool:
    rows = signature.get(name)
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) and row.get("name") for row in rows)


def _param(run: Run, name: str) -> str:
    return str(json.loads(run.params or "{}").get(name, ""))


def _metrics(run: Run) -> dict[str, float]:
    points = metricstore.latest([run.pk])[run.pk]
    finite = {key: float(point.value) for key, point in points.items() if point.value == point.value}
    return {key: value for key, value in finite.items() if abs(value) != float("inf") and not key.startswith("cv/")}


def _model(by: Actor, run: Run, name: str, description: str) -> RegisteredModel:
    RegisteredModel.objects.get_or_create(
        project=run.project,
        name=name,
        defaults={"description": description, "created_by": by.user},
    )
    locked = RegisteredModel.objects.select_for_update()
    return locked.get(project=run.project, name=name)


def _create(by: Actor, model: RegisteredModel, run: Run, parts: dict[str, Any]) -> ModelVersion:
    last = model.versions.order_by("-number").values_list("number", flat=True).first() or 0
    try:
        with transaction.atomic():
            return ModelVersion.objects.create(model=model, number=last + 1, run=run, created_by=by.user, **parts)
    except IntegrityError as error:
        known = ModelVersion.objects.filter(model=model, run=run).first()
        if known is None:
            raise
        raise Conflict(
            f"Run {run.pk} is {model.name} v{known.number} already.", code="already_registered", got=known.number
        ) from error


def _refuse_governed(model: RegisteredModel, name: str) -> None:
    governed = Environment.objects.filter(project=model.project, name__iexact=name).exists()
    if governed or name.casefold() in policies.DEFAULT_ENVIRONMENTS:
        raise Forbidden(
            f"{name} is an environment; only an approved promotion moves it. Ask on the page of the version.",
            code="governed_pointer", field="alias", got=name,
        )  # fmt: skip
