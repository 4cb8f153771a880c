"""What a worker does once a version was trained again: compare files, metrics and answers, and sign what it found."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deployments import gates
from deployments.models import ModelVersion, Reproduction
from deployments.pipeline.evaluation import columns, finite
from deployments.pipeline.held_out import reference
from deployments.proof import certificate
from deployments.services import reproductions, versions
from experiments.models import Artifact, Run
from mlportal.lib import blobs, lease
from mlportal.lib.errors import Conflict, DomainError
from mlportal.lib.lease import Claim, WorkState

MAX_ENVIRONMENT = 4 * 2**20  # bytes
Json = dict[str, Any]


def certify_reproduction(reproduction_id: int, *, worker: str) -> bool:
    """Compare a version with its training again. Returns whether this call did the work.

    A training that failed is a certificate too: the version did not come out again. One that was cancelled is none.
    """
    held = lease.claim(Reproduction.objects.trained(), reproduction_id, worker=worker)
    if held is None:
        return False
    rows = Reproduction.objects.with_subject().select_related("version__run", "job__dataset_version__dataset")
    row = rows.get(pk=held.pk)
    if row.job is None or row.job.state == WorkState.CANCELLED:
        why = "The training was cancelled, so there is nothing to compare."
        return lease.finish(Reproduction.objects.all(), held, state=WorkState.CANCELLED, failure=why)
    try:
        document = _document(held, row)
    except DomainError as error:
        return _failed(held, error.message)
    except (ValueError, TypeError, KeyError, OSError, MemoryError, ArithmeticError) as error:
        return _failed(held, f"{type(error).__name__}: {error}")
    return reproductions.end(held, document)


def _failed(held: Claim, why: str) -> bool:
    return lease.finish(Reproduction.objects.all(), held, state=WorkState.FAILED, failure=why)


def _document(held: Claim, row: Reproduction) -> Json:
    version, job = row.version, row.job
    assert job is not None
    if damaged := gates.damage(version):
        raise Conflict(f"{version} is damaged, so there is nothing to compare with: {damaged[0]}")
    found = _compared(held, row, job.run) if job.state == WorkState.SUCCEEDED else _nothing(job.failure)
    document: Json = {
        "format": certificate.FORMAT, "reproduction": row.pk, "project": version.model.project.slug,
        "model": version.model.name, "version": version.number, "manifest_sha256": version.manifest_sha256,
        "asked_by": row.asked_by_id, "asked_at": _at(row.asked_at), "trained_at": _at(job.ended_at),
        "recipe": {
            "dataset": str(job.dataset_version), "dataset_sha256": job.dataset_version.sha256, "spec": job.spec,
            "recorded_job": _job(version), "job": job.pk, "run": job.run.uuid,
        },
        "tolerance": {"metrics": row.metric_tolerance, "predictions": row.prediction_tolerance},
        **found,
        "differences": [*_changed(version, job), *found["differences"]],
    }  # fmt: skip
    plain: Json = finite(json.loads(json.dumps(document)))
    return plain


def _nothing(why: str) -> Json:
    words = f"The training failed: {why}" if why else "The training failed."
    return {"failure": words, "files": [], "metrics": [], "predictions": None, "differences": []}


def _compared(held: Claim, row: Reproduction, run: Run) -> Json:
    """Compare what both trainings left."""
    version = row.version
    stored = dict(Artifact.objects.filter(run=run).values_list("path", "sha256"))
    before = {str(item["path"]): str(item["sha256"]) for item in version.manifest}
    _beat(held, "Compare the files", 0.1)
    files = certificate.files(_contents(before), _contents(stored))
    _beat(held, "Compare the answers on the held-out rows", 0.3)
    again = versions.finite_metrics(run)
    return {
        "failure": "",
        "files": files,
        "metrics": certificate.metrics(version.metrics, again, row.metric_tolerance),
        "predictions": _predictions(row, before, stored),
        "differences": certificate.environments(version.environment, _environment(stored)),
    }


def _contents(files: Mapping[str, str]) -> dict[str, str]:
    """Return the hash of each file; of the model that of what it holds, as its bytes differ with each saving."""
    from mlportal.lib import modelfile

    out = dict(files)
    if gates.MODEL_FILE in files:
        blobs.verify(files[gates.MODEL_FILE])
        out[gates.MODEL_FILE] = modelfile.content_sha256(blobs.local_path(files[gates.MODEL_FILE]))
    return out


def _predictions(row: Reproduction, before: Mapping[str, str], stored: Mapping[str, str]) -> Json | None:
    if gates.MODEL_FILE not in stored or gates.MODEL_FILE not in before:
        return None
    from deployments.proof import repeated
    from mlportal.lib import modelfile

    recorded, again = (modelfile.load(blobs.local_path(files[gates.MODEL_FILE])) for files in (before, stored))
    rows = reference(row.version)[columns(row.version)]
    return repeated.predictions(rows, recorded, again, tolerance=row.prediction_tolerance)


def _environment(stored: Mapping[str, str]) -> Json:
    digest = stored.get(gates.ENVIRONMENT_FILE)
    found = json.loads(blobs.read_bytes(digest, limit_bytes=MAX_ENVIRONMENT)) if digest else {}
    return found if isinstance(found, dict) else {}


def _changed(version: ModelVersion, job: Any) -> list[Json]:
    """Name what differs in the recipe itself: the commit of the code."""
    first = reproductions.recipe(version)
    before = reproductions.recorded_code(first) if first else ""
    after = reproductions.recorded_code(job)
    return [] if before == after else [certificate.difference("code commit", before or None, after or None)]


def _job(version: ModelVersion) -> int | None:
    first = reproductions.recipe(version)
    return first.pk if first else None


def _at(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _beat(held: Claim, phase: str, progress: float) -> None:
    if not lease.heartbeat(Reproduction.objects.all(), held, phase=phase, progress=progress):
        raise ValueError("The claim was lost.")
