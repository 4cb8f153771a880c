"""What a run read: datasets as a tracking client describes them, and logged models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from django.db.models import Q

from experiments import metricstore
from experiments.models import InputDataset, LoggedModel, Run, RunInput, RunModel
from experiments.services import runs
from mlportal.lib.errors import Forbidden, Missing
from projects.actor import Actor
from projects.models import DatasetVersion, Project
from projects.permissions import Permission, require

MODELS_TAG = "mlflow.log-model.history"
CONTEXT_TAG = "mlflow.data.context"
_OF_PORTAL = re.compile(r"/datasets/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)/(?:v|versions)/(?P<number>\d{1,9})\b")
_HASH = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, slots=True)
class Described:
    """A dataset as a client describes it, and the tags of this one reading of it."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str = ""
    profile: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def record(by: Actor, *, run: Run, datasets: Sequence[Described] = (), models: Sequence[str] = ()) -> None:
    """Record that a run read datasets and logged models; what it is known to have read stays as it is.

    Raises
    ------
    Missing
        If the project has no such logged model.
    Forbidden
        If the run is written by its training job.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    _check_writer(run)
    first: dict[tuple[str, str], Described] = {}
    for given in datasets:
        first.setdefault((given.name, given.digest), given)
    with metricstore.writing():
        if first:
            _record_datasets(run, list(first.values()))
        if models:
            _record_models(run, models)


def remember_model(by: Actor, *, run: Run, entry: Mapping[str, object]) -> None:
    """Append a model to the tag in which clients before MLflow 3 list what a run has logged.

    Raises
    ------
    Invalid
        If the tag would be longer than a tag may be.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    _check_writer(run)
    with metricstore.writing():
        tags = orjson.loads(Run.objects.select_for_update(no_key=True).values_list("tags", flat=True).get(pk=run.pk))
        history = [*_list(tags.get(MODELS_TAG, "")), entry]
        runs.log_batch(by, run=run, tags={MODELS_TAG: orjson.dumps(history).decode()})


def _record_datasets(run: Run, given: Sequence[Described]) -> None:
    known = _known(run, given)
    # In one order for all writers, so that two of them cannot block each other.
    fresh = sorted((d for d in given if (d.name, d.digest) not in known), key=lambda d: (d.name, d.digest))
    if fresh:
        # Another run may describe the same dataset at this moment: then its row is used.
        InputDataset.objects.bulk_create([_row(run, d) for d in fresh], ignore_conflicts=True)
        known = _known(run, given)
    links = [
        RunInput(
            run=run, dataset_id=known[d.name, d.digest], tags=dict(d.tags), context=d.tags.get(CONTEXT_TAG, "")
        )
        for d in given
    ]  # fmt: skip
    RunInput.objects.bulk_create(links, ignore_conflicts=True)
    if version := _version_of(run.project, given):
        Run.objects.filter(pk=run.pk, dataset_version=None).update(dataset_version=version)


def _known(run: Run, given: Sequence[Described]) -> dict[tuple[str, str], int]:
    rows = InputDataset.objects.filter(
        experiment=run.experiment_id, name__in={d.name for d in given}, digest__in={d.digest for d in given}
    )
    return {(name, digest): pk for pk, name, digest in rows.values_list("pk", "name", "digest")}


def _row(run: Run, given: Described) -> InputDataset:
    return InputDataset(
        experiment_id=run.experiment_id, name=given.name, digest=given.digest, source_type=given.source_type,
        source=given.source, schema=given.schema, profile=given.profile,
    )  # fmt: skip


def _record_models(run: Run, ids: Sequence[str]) -> None:
    rows = LoggedModel.objects.active().filter(project=run.project, uuid__in=ids)
    known = dict(rows.values_list("uuid", "pk"))
    if unknown := [model_id for model_id in ids if model_id not in known]:
        raise Missing(f"Logged model with ID '{unknown[0][:60]}' not found.", field="models")
    links = [RunModel(run=run, logged_model_id=pk, direction=RunModel.Direction.INPUT) for pk in known.values()]
    RunModel.objects.bulk_create(links, ignore_conflicts=True)


def _version_of(project: Project, given: Sequence[Described]) -> DatasetVersion | None:
    """The portal's own version that a dataset is, when its source or its digest says so."""
    rows = DatasetVersion.objects.in_project(project).order_by("-pk")
    for each in given:
        if found := _OF_PORTAL.search(each.source):
            named = rows.filter(dataset__name=found["name"], number=int(found["number"])).first()
            if named is not None:
                return named
        if _HASH.fullmatch(each.digest):
            begins = Q(sha256__startswith=each.digest) | Q(parquet_sha256__startswith=each.digest)
            if (same := rows.filter(begins).first()) is not None:
                return same
    return None


def _check_writer(run: Run) -> None:
    if run.source == Run.Source.JOB:
        raise Forbidden(f"Run {run.pk} is written by its training job. Log to a run of your own.", code="run_of_job")


def _list(text: str) -> list[object]:
    """Read the tag; a person may have written anything into it."""
    try:
        found = orjson.loads(text or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []
