"""Register the model of a run as a signed version, and check versions again."""

import json
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments import gates
from deployments.models import ModelVersion, RegisteredModel
from deployments.proof import manifest, signing
from deployments.proof.manifest import File
from deployments.services import policies, registered, sources, versions
from experiments.models import Artifact, Run
from mlportal.lib import blobs, names
from mlportal.lib.errors import Conflict, Missing, Unprocessable
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

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
    name = registered.clean_name(model_name, field="model_name")
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
        "metrics": versions.finite_metrics(run),
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


def _model(by: Actor, run: Run, name: str, description: str) -> RegisteredModel:
    model, _ = RegisteredModel.objects.get_or_create(
        project=run.project, name=name, defaults={"description": description, "created_by": by.user}
    )
    return model


def _create(by: Actor, model: RegisteredModel, run: Run, parts: dict[str, Any]) -> ModelVersion:
    held = versions.next_number(model)
    place = sources.root_of(run)
    try:
        with transaction.atomic():
            return ModelVersion.objects.create(
                model=held, number=held.last_number, run=run, run_uuid=run.uuid, source=place, location=place,
                created_by=by.user, **parts,
            )  # fmt: skip
    except IntegrityError as error:
        known = ModelVersion.objects.filter(model=model, run=run).first()
        if known is None:
            raise
        raise Conflict(
            f"Run {run.pk} is {model.name} v{known.number} already.", code="already_registered", got=known.number
        ) from error
