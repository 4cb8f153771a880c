"""Score a whole dataset version: asked for and stopped here, worked on by a worker, kept as a dataset."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from deployments import gates
from deployments.models import Batch, Endpoint, ModelVersion
from deployments.runtime import fit
from deployments.runtime.signature import parse
from mlportal.lib import blobs, lease, names, queue
from mlportal.lib.errors import Conflict, Invalid, Unprocessable
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.permissions import Permission, require
from projects.services import datasets, events, marks
from projects.services.datasets import Origin, Reading, SameContent
from projects.tabular import sniff

TASK = "deployments.score_batch"
MOST_OPEN = 20
MOST_REFUSED, USUAL_REFUSED = 1_000_000, 100
LEAST_CHUNK, MOST_CHUNK, CHUNKS = 10_000, 100_000, 100
MOST_SHOWN = 100
MOST_TOLD = 20
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")
BY_ITSELF = frozenset({Permission.DATASET_CREATE, Permission.DATASET_VIEW})


@dataclass(frozen=True)
class Result:
    """What a finished scoring left: the stored table and what was counted on the way."""

    blob: blobs.Blob
    backend: str
    distribution: dict[str, Any]


def found(by: Actor, *, project: Project) -> QuerySet[Batch]:
    """Return the batch scorings of a project."""
    require(by, Permission.MODEL_VIEW, project)
    return Batch.objects.visible_to(by).in_project(project).with_subject()


def start(
    by: Actor,
    *,
    dataset_version: DatasetVersion,
    version: ModelVersion | None = None,
    endpoint: Endpoint | None = None,
    keep: Sequence[str] | None = None,
    name: str = "",
    most_refused: int = USUAL_REFUSED,
) -> Batch:
    """Have a dataset version scored.

    Parameters
    ----------
    version, endpoint
        Which version scores: that one, or the one that answers on the endpoint now. Exactly one of the two.
    keep
        Columns that are passed through; by default all that the model does not read.
    name
        Dataset that gets the result as its next version; by default called after the data and the model.
    most_refused
        How many rows may have no answer before the scoring fails.

    Raises
    ------
    Invalid
        Naming the field.
    Conflict
        While the data is not ready, nothing answers on the endpoint, the version has no safe format, or 20 scorings
        of the project have not ended.
    Unprocessable
        Naming every column of the model that the data lacks or holds as something else.
    """
    require(by, Permission.JOB_LAUNCH, dataset_version.dataset.project)
    project = dataset_version.dataset.project
    if by.user is None:
        raise Invalid("A batch scoring needs a person who asks for it.", field="by")
    scorer = _scorer(project, version, endpoint)
    _check_ready(dataset_version)
    _check_fit(scorer, dataset_version)
    row = Batch(
        project=project, version=scorer, endpoint=endpoint, dataset_version=dataset_version, created_by=by.user,
        keep=_kept(scorer, dataset_version, keep), name=_name(project, name, dataset_version, scorer),
        most_refused=_most_refused(most_refused), rows=dataset_version.row_count or 0,
        chunk_rows=min(MOST_CHUNK, max(LEAST_CHUNK, (dataset_version.row_count or 0) // CHUNKS)),
    )  # fmt: skip
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        waiting = Batch.objects.in_project(project).open().count()
        if waiting >= MOST_OPEN:
            raise Conflict(f"{waiting} batch scorings have not ended; at most {MOST_OPEN} may.", limit=MOST_OPEN)
        row.save(force_insert=True)
        queue.enqueue(TASK, row.pk)
        data = {"model": str(scorer), "dataset": str(dataset_version), "result": row.name, "keep": row.keep}
        data |= {"endpoint": endpoint.name} if endpoint else {}
        events.record(by, "batch.started", project=project, target=row, data=data)
    return row


def cancel(by: Actor, *, batch: Batch) -> Batch:
    """Stop a scoring: at once while it waits, within seconds while it works. No dataset is made of it.

    Raises
    ------
    Conflict
        When it has ended.
    """
    require(by, Permission.JOB_CANCEL, batch.project)
    with transaction.atomic():
        asked = batch.cancel_requested_at is not None
        state = lease.request_cancel(Batch.objects.all(), batch.pk)
        batch.refresh_from_db()
        if state != WorkState.CANCELLED and batch.is_terminal:
            raise Conflict(f"Batch {batch.pk} has {batch.get_state_display()} already.", code="job_ended", got=state)
        if not asked:
            events.record(by, "batch.cancelled", project=batch.project, target=batch, data={"state": state})
    return batch


def retry(by: Actor, *, batch: Batch) -> Batch:
    """Go on with a scoring that failed or took too long; the chunks that it finished are not scored again.

    Raises
    ------
    Conflict
        When it has not ended, succeeded, was stopped, or its data was deleted.
    """
    require(by, Permission.JOB_LAUNCH, batch.project)
    if batch.dataset_version.deleted_at is not None:
        raise Conflict(f"{batch.dataset_version} was deleted.", code="dataset_not_ready", field="dataset")
    with transaction.atomic():
        ended = Batch.objects.filter(pk=batch.pk, state__in=[WorkState.FAILED, WorkState.TIMED_OUT])
        moved = ended.update(
            state=WorkState.QUEUED, attempt=0, failure="", phase="", ended_at=None, published_at=None, queued_at=Now()
        )
        if not moved:
            raise Conflict(
                f"Batch {batch.pk} is {batch.get_state_display()}. Only one that failed or took too long goes on.",
                code="job_state", got=batch.state,
            )  # fmt: skip
        queue.enqueue(TASK, batch.pk)
        events.record(by, "batch.retried", project=batch.project, target=batch, data={"rows": batch.rows_done})
    batch.refresh_from_db()
    return batch


def errors(by: Actor, *, batch: Batch) -> list[dict[str, Any]]:
    """Return the first rows without an answer, without what could tell the value of a column that is masked."""
    require(by, Permission.MODEL_VIEW, batch.project)
    hidden = marks.hidden(by, dataset=batch.dataset_version.dataset)
    return [
        {**row, "message": marks.MASKED_TEXT} if row["column"] in hidden else row for row in batch.errors[:MOST_SHOWN]
    ]


def file(held: Claim, result: Result) -> Batch | None:
    """Keep the result as a dataset version and end the scoring, in one transaction; None when it moved on without us.

    The same answers to the same rows are the same bytes: then the version that has them already is the result.
    """
    rows = Batch.objects.all()
    batch = rows.with_subject().get(pk=held.pk)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=batch.project_id)
        output = _registered(batch, result)
        ended = lease.finish(
            rows, held, state=WorkState.SUCCEEDED, phase="", output=output, backend=result.backend,
            distribution=result.distribution,
        )  # fmt: skip
        if not ended:
            transaction.set_rollback(True)
            return None
        batch.refresh_from_db()
        batch.chunks.all().delete()
        note(batch)
    return batch


def note(batch: Batch) -> None:
    """Record how a scoring ended."""
    verb = {WorkState.SUCCEEDED: "batch.scored", WorkState.CANCELLED: "batch.ended"}
    data = {
        "rows": batch.rows_done, "refused": batch.rows_refused, "failure": batch.failure[:300],
        "result": str(batch.output) if batch.output else None,
    }  # fmt: skip
    by = Actor.system("batch scoring", project=batch.project, on_behalf_of=batch.created_by)
    events.record(by, verb.get(WorkState(batch.state), "batch.failed"), project=batch.project, target=batch, data=data)


def _registered(batch: Batch, result: Result) -> DatasetVersion:
    data = batch.dataset_version
    by = Actor.system("batch scoring", project=batch.project, grants=BY_ITSELF, on_behalf_of=batch.created_by)
    facts = {
        "batch": batch.pk, "model": str(batch.version), "dataset": str(data),
        "manifest_sha256": batch.version.manifest_sha256, "endpoint": batch.endpoint.name if batch.endpoint else "",
    }  # fmt: skip
    kept = {name: mark for name, mark in data.dataset.marks.items() if name in batch.keep and mark in marks.MARKS}
    origin = Origin(kind=DatasetVersion.Source.SCORED, facts=facts, derived_from=data, marks=kept)
    try:
        return datasets.register_blob(
            by, project=batch.project, name=batch.name, blob=result.blob, file_type=sniff.PARQUET,
            reading=Reading(f"batch-{batch.pk}.parquet"), origin=origin,
        )  # fmt: skip
    except SameContent as same:
        return same.version


def _scorer(project: Project, version: ModelVersion | None, endpoint: Endpoint | None) -> ModelVersion:
    if (version is None) == (endpoint is None):
        raise Invalid("Name either a model with its version, or an endpoint.", field="version")
    if endpoint is not None:
        if endpoint.current_revision is None:
            raise Conflict(f"No version answers on {endpoint.name} yet.", code="endpoint_deploying", field="endpoint")
        version = endpoint.current_revision.version
    assert version is not None
    if version.model.project_id != project.pk:
        raise Invalid("The model belongs to another project than the data.", field="version")
    if unfit := gates.cargo(version):
        raise Conflict(unfit, code="not_servable", field="version")
    if gates.model_file(version) is None:
        raise Conflict(f"{version} has no {gates.MODEL_FILE}.", code="not_servable", field="version")
    return version


def _check_ready(data: DatasetVersion) -> None:
    if not data.is_ready:
        raise Conflict(
            f"{data} cannot be scored: it is {data.get_state_display()}. Wait until it is profiled.",
            code="dataset_not_ready", field="dataset",
        )  # fmt: skip


def _check_fit(version: ModelVersion, data: DatasetVersion) -> None:
    """Compare the columns with the signature before any worker starts, all faults at once."""
    stored = {str(row["name"]): row for row in data.schema}
    faults = []
    for column in parse(version.signature).columns:
        if column.name not in stored:
            faults.append((column.name, "is missing"))
            continue
        wanted, held = fit.takes(column), fit.holds(str(stored[column.name].get("dtype", "")))
        empty = data.profile.get(column.name, {}).get("nulls") == data.row_count
        if empty and not column.nullable:
            faults.append((column.name, "is empty, and the model needs it"))
        elif not empty and held not in wanted:
            words = held or f"values of type {stored[column.name].get('dtype')}"
            faults.append((column.name, f"holds {words}, and the model takes {' or '.join(sorted(wanted))}"))
    if not faults:
        return
    told = "; ".join(f"{name} {words}" for name, words in faults[:MOST_TOLD])
    raise Unprocessable(
        f"The columns of {data} do not fit {version}: {told}.", code="columns_unfit", field="dataset",
        errors=[{"field": f"columns.{name}"[:200], "message": f"{name} {words}."} for name, words in faults],
    )  # fmt: skip


def _kept(version: ModelVersion, data: DatasetVersion, given: Sequence[str] | None) -> list[str]:
    known = [str(row["name"]) for row in data.schema]
    added = fit.columns_added(version.signature)
    if given is None:
        read = {column.name for column in parse(version.signature).columns}
        return [name for name in known if name not in read and name not in added]
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise Invalid("keep must be a list of column names.", field="keep")
    if lost := [name for name in given if name not in known]:
        raise Invalid(f"{data} has no column {lost[0][:100]!r}.", field="keep", got=lost[0][:200])
    if taken := [name for name in given if name in added]:
        raise Invalid(
            f"A column {taken[0][:100]!r} cannot be passed through: the result has one of that name.", field="keep",
            limit=added[:MOST_TOLD], got=taken[0][:200],
        )  # fmt: skip
    return list(dict.fromkeys(given))


def _name(project: Project, given: str, data: DatasetVersion, version: ModelVersion) -> str:
    model = _NOT_PLAIN.sub("-", version.model.name).strip("-._")[:40]
    name = names.clean(given or f"{data.dataset.name[:40]}-scored-by-{model or 'model'}")
    known = Dataset.objects.in_project(project).filter(name_key=names.key(name)).first()
    if known is not None and known.name != name:
        raise Conflict(
            f"{name} differs only in case from the dataset {known.name}. Use that name, or a different one.",
            code="name_taken", field="name", got=name,
        )  # fmt: skip
    return name


def _most_refused(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_REFUSED:
        raise Invalid(
            f"most_refused is a whole number from 0 to {MOST_REFUSED:,}.", field="most_refused", limit=MOST_REFUSED,
            got=str(given)[:50],
        )  # fmt: skip
    return given
