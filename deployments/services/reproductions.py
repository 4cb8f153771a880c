"""Train a version again from what is recorded of its training, and keep what came out as a signed certificate."""

import json
import math
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from deployments import gates
from deployments.models import ModelVersion, Reproduction
from deployments.proof import certificate
from deployments.services import registered
from experiments.models import TrainingJob
from experiments.services import jobs
from mlportal.lib import lease, queue, signing
from mlportal.lib.errors import Conflict, Invalid
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import Event
from projects.permissions import Permission, require
from projects.services import events

TASK = "deployments.certify_reproduction"
TAG = "mlportal.reproduces"
METRIC_TOLERANCE = 0.001
PREDICTION_TOLERANCE = 0.001
MAX_TOLERANCE = 1.0
Json = dict[str, Any]


def ask(
    by: Actor,
    *,
    version: ModelVersion,
    metric_tolerance: float | None = None,
    prediction_tolerance: float | None = None,
) -> Reproduction:
    """Launch the training of a version again; while one is under way it is that one.

    Raises
    ------
    Invalid
        Naming the tolerance that is no share from 0 to 1.
    Conflict
        When the version has no recipe, or its data may not be trained on now.
    """
    require(by, Permission.JOB_LAUNCH, version.model.project)
    allowed = _tolerance("metric_tolerance", metric_tolerance, METRIC_TOLERANCE)
    apart = _tolerance("prediction_tolerance", prediction_tolerance, PREDICTION_TOLERANCE)
    if why := why_not(version):
        raise Conflict(why, code="no_recipe", field="version")
    with transaction.atomic():
        registered.lock(version.model)
        known = version.reproductions.filter(state__in=[WorkState.QUEUED, *lease.ACTIVE]).first()
        if known is not None:
            return known
        job = _launch(by, version)
        made = Reproduction.objects.create(
            version=version, job=job, asked_by=by.user, metric_tolerance=allowed, prediction_tolerance=apart
        )
        events.record(
            by, "version.reproduction_asked", project=version.model.project, target=version,
            data={
                "model": version.model.name, "number": version.number, "reproduction": made.pk, "job": job.pk,
                "run": job.run_id,
            },
        )  # fmt: skip
    return made


def why_not(version: ModelVersion) -> str:
    """Say why a version cannot be trained again, or return an empty text."""
    if version.is_of_client:
        return f"{version} was registered by an MLflow client. The portal did not train it and has no recipe of it."
    job = recipe(version)
    if job is None:
        return f"{version} was not trained by a job of the portal, so there is no recipe to repeat."
    data = job.dataset_version
    if data.deleted_at is not None:
        return f"{data} was deleted; {version} was trained on it."
    if data.sha256 != version.provenance.get("dataset_sha256"):
        return f"{data} is not what {version} was trained on: its sha256 is another than the signed one."
    return ""


def recipe(version: ModelVersion) -> TrainingJob | None:
    """Return the job that trained a version, with its data."""
    rows = TrainingJob.objects.select_related("dataset_version__dataset", "run__experiment", "project", "baseline")
    return rows.filter(run=version.run_id).first() if version.run_id else None


def found(by: Actor, *, version: ModelVersion) -> QuerySet[Reproduction]:
    """Return the reproductions of a version, newest first."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    return Reproduction.objects.with_subject().filter(version=version).order_by("-pk")


def whole(by: Actor, *, row: Reproduction) -> Json:
    """Return a certificate as it leaves the portal: document, signature, and the key to check it with.

    Raises
    ------
    Conflict
        When there is none: not yet, or because the comparison failed.
    """
    require(by, Permission.MODEL_VIEW, row.version.model.project)
    if not row.document:
        raise Conflict(
            f"Reproduction {row.pk} has no certificate: {row.failure or row.get_state_display()}", code="not_ready"
        )
    return {
        "certificate": row.document, "signature": row.signature, "signed_by": row.signed_by,
        "key": signing.public_pem(gates.keyring(), row.signed_by),
    }  # fmt: skip


def wake(event: Event) -> None:
    """Have a training that ended compared, if it was one of these."""
    for pk in Reproduction.objects.filter(job=event.target_id, state=WorkState.QUEUED).values_list("pk", flat=True):
        queue.enqueue(TASK, pk)


def sweep() -> int:
    """Give lost comparisons to another worker, and wake workers for those that nobody was told of."""
    moved = lease.sweep(Reproduction.objects.all(), on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(Reproduction.objects.trained(), task=TASK)


def end(held: lease.Claim, document: Json) -> bool:
    """Sign what a comparison found and keep it. False when another worker owns the row by now."""
    ring = gates.keyring()
    verdict = certificate.judge(document)
    document = {**document, "verdict": verdict}
    with transaction.atomic():
        ended = lease.finish(
            Reproduction.objects.all(), held, state=WorkState.SUCCEEDED, document=document, verdict=verdict,
            signature=certificate.sign(ring, document), signed_by=ring.key_id,
        )  # fmt: skip
        if not ended:
            return False
        row = Reproduction.objects.with_subject().get(pk=held.pk)
        project = row.version.model.project
        events.record(
            Actor.system("reproduction", project=project, on_behalf_of=row.asked_by), "version.reproduction_certified",
            project=project, target=row.version,
            data={
                "model": row.version.model.name, "number": row.version.number, "reproduction": row.pk,
                "verdict": verdict, "certificate": certificate.digest(document),
            },
        )  # fmt: skip
    return True


def _launch(by: Actor, version: ModelVersion) -> TrainingJob:
    job = recipe(version)
    assert job is not None  # why_not was asked
    return jobs.launch(
        by, project=version.model.project, experiment=job.run.experiment, dataset_version=job.dataset_version,
        spec=job.spec, name=f"Reproduction of {version}"[:200], baseline=version.run, limits=job.limits,
        tags={TAG: str(version)},
    )  # fmt: skip


def _tolerance(name: str, given: object, usual: float) -> float:
    if given is None:
        return usual
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise Invalid(f"{name} must be a number.", field=name, limit=MAX_TOLERANCE, got=str(given)[:50])
    if not 0 <= given <= MAX_TOLERANCE:
        raise Invalid(
            f"{name} must lie between 0 and {MAX_TOLERANCE:g}. It was {given:g}.", field=name, limit=MAX_TOLERANCE,
            got=given,
        )  # fmt: skip
    return float(given)


def recorded_code(job: TrainingJob) -> str:
    """Return the commit a job was launched from, empty when it is not known."""
    return str(json.loads(job.run.tags or "{}").get(jobs.COMMIT_TAG, ""))
