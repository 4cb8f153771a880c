"""What clients record beside metrics: datasets read, models read and made, runs inside runs."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

from experiments.models import (
    Artifact,
    Experiment,
    InputDataset,
    Lifecycle,
    LoggedModel,
    LoggedModelMetric,
    Run,
    RunInput,
    RunModel,
)
from projects.models import DatasetVersion, Project

CHILDREN = 100
METRIC_POINTS = 5000
TECHNICAL = "mlflow."
NOTE = "mlflow.note.content"
LOGGED_MODELS = "mlflow.log-model.history"
_OF_PORTAL = re.compile(r"/p/(?P<slug>[^/\s\"]+)/datasets/(?P<name>[^/\s\"]+)/v/(?P<number>\d{1,9})\b")
_PLACES = ("uri", "url", "path", "table_name", "table", "name", "dataset_path")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetLine:
    """A dataset as one run read it.

    Parameters
    ----------
    dataset : InputDataset
    context : str
        What for: training, validation …
    source : str
        Where it came from, as text.
    fields : list of (str, str, bool)
        Name, type and whether values may be missing.
    profile : list of (str, str)
        Numbers the client gave, such as rows.
    version : DatasetVersion or None
        The portal's own version, when the source names one of this project.
    """

    dataset: InputDataset
    context: str
    source: str
    fields: list[tuple[str, str, bool]]
    profile: list[tuple[str, str]]
    version: DatasetVersion | None

    @property
    def label(self) -> str:
        """Name and digest in one line."""
        return f"{self.dataset.name} ({self.dataset.digest})"


@dataclass(frozen=True, slots=True)
class Registered:
    """A version that was registered from a run or from a logged model."""

    run: int | None
    logged_model: int | None
    label: str
    url: str


@dataclass(slots=True)
class ModelLine:
    """A logged model with what a table line shows."""

    model: LoggedModel
    direction: str = ""
    step: int | None = None
    files: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    versions: list[Registered] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Family:
    """The children of one run that a page shows, and how many there are."""

    rows: list[Run]
    total: int


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that people chose: all but those a client writes for itself."""
    return {name: value for name, value in tags.items() if not name.startswith(TECHNICAL)}


def technical_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags a client writes for itself, without the note, which has its own place."""
    return {name: value for name, value in tags.items() if name.startswith(TECHNICAL) and name != NOTE}


def note_of(run: Run, tags: Mapping[str, str]) -> str:
    """The note of a run: what a client set last, else what was written on its page."""
    return tags.get(NOTE) or run.notes


def datasets_of(project: Project, run_ids: Sequence[int]) -> dict[int, list[DatasetLine]]:
    """Return the datasets that runs read, by run; two queries for any number."""
    rows = RunInput.objects.filter(run__in=run_ids).select_related("dataset").order_by("pk")
    versions = _portal_versions(project, [row.dataset for row in rows])
    found: dict[int, list[DatasetLine]] = {run_id: [] for run_id in run_ids}
    for row in rows:
        data = row.dataset
        line = DatasetLine(
            data, row.context or row.tags.get("mlflow.data.context", ""), _source(data.source), _fields(data.schema),
            _profile(data.profile), versions.get(data.pk),
        )  # fmt: skip
        found[row.run_id].append(line)
    return found


def models_of_runs(run_ids: Sequence[int]) -> dict[int, list[ModelLine]]:
    """Return the logged models that runs made or read, by run, in a fixed number of queries."""
    links = list(RunModel.objects.filter(run__in=run_ids).select_related("logged_model").order_by("step", "pk"))
    linked = {(link.run_id, link.logged_model_id) for link in links}
    made = LoggedModel.objects.active().filter(source_run__in=run_ids).order_by("pk")
    placed = [(link.run_id, ModelLine(link.logged_model, link.direction, link.step)) for link in links]
    placed += [
        (model.source_run_id, ModelLine(model, RunModel.Direction.OUTPUT))
        for model in made
        if model.source_run_id is not None and (model.source_run_id, model.pk) not in linked
    ]
    _fill([line for _, line in placed])
    found: dict[int, list[ModelLine]] = {run_id: [] for run_id in run_ids}
    for run_id, line in placed:
        if line.model.lifecycle == Lifecycle.ACTIVE:
            found[run_id].append(line)
    return found


def models_of_experiment(experiment: Experiment, *, limit: int, before: int | None = None) -> list[LoggedModel]:
    """Return a page of an experiment's logged models, newest first; ``before`` is the last row's number."""
    rows = LoggedModel.objects.active().filter(experiment=experiment)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.select_related("source_run", "created_by").order_by("-pk")[:limit])


def model_lines(found: Sequence[LoggedModel]) -> list[ModelLine]:
    """Join logged models with their files, metrics and versions; three queries in all."""
    return _fill([ModelLine(model) for model in found])


def versions_of(*, runs: Sequence[int] = (), logged_models: Sequence[int] = ()) -> list[Registered]:
    """Return the versions registered from runs and logged models.

    The answers come from the apps above, which are named in ``settings.MODEL_VERSIONS``.
    """
    return [
        each
        for path in (settings.MODEL_VERSIONS if runs or logged_models else ())
        for each in import_string(path)(runs=runs, logged_models=logged_models)
    ]


def uses_of_run(run: int) -> list[tuple[str, str, str]]:
    """Return (kind, name, address) of what uses a run's models, as the apps above tell: ``settings.RUN_USES``."""
    return [each for path in settings.RUN_USES for each in import_string(path)(run=run)]


def files_logged_as_models(tags: Mapping[str, str]) -> list[str]:
    """Return the folders that an older client logged models to, as its tag tells."""
    told = _json(tags.get(LOGGED_MODELS, ""))
    rows = told if isinstance(told, list) else []
    paths = [row.get("artifact_path") for row in rows if isinstance(row, dict)]
    return list(dict.fromkeys(path for path in paths if isinstance(path, str) and path))


def child_counts(run_ids: Sequence[int]) -> dict[int, int]:
    """Count the active children of each run."""
    rows = Run.objects.active().filter(parent__in=run_ids).order_by()
    return dict(rows.values_list("parent").annotate(count=models.Count("pk")))


def children_of(run_ids: Sequence[int], *, limit: int = CHILDREN) -> dict[int, Family]:
    """Return the oldest children of runs; at most ``limit`` of each, two queries in all."""
    totals = child_counts(run_ids)
    if not totals:
        return {}
    place = models.Window(models.functions.RowNumber(), partition_by="parent", order_by="id")
    rows = Run.objects.active().filter(parent__in=list(totals)).annotate(place=place).filter(place__lte=limit)
    found: dict[int, list[Run]] = defaultdict(list)
    for run in rows.with_context().order_by("pk"):
        if run.parent_id is not None:
            found[run.parent_id].append(run)
    return {run_id: Family(found[run_id], total) for run_id, total in totals.items()}


def _fill(lines: list[ModelLine]) -> list[ModelLine]:
    ids = list({line.model.pk for line in lines})
    if not ids:
        return lines
    counts = Artifact.objects.filter(logged_model__in=ids).order_by().values_list("logged_model")
    files = dict(counts.annotate(count=models.Count("pk")))
    values: dict[int, dict[str, float]] = defaultdict(dict)
    points = LoggedModelMetric.objects.filter(logged_model__in=ids).order_by("-step", "-stamp_ms", "-value")
    for model, key, value, is_nan in points.values_list("logged_model", "key", "value", "is_nan")[:METRIC_POINTS]:
        values[model].setdefault(key, float("nan") if is_nan else value)
    versions: dict[int | None, list[Registered]] = defaultdict(list)
    for each in versions_of(logged_models=ids):
        versions[each.logged_model].append(each)
    for line in lines:
        pk = line.model.pk
        line.files, line.metrics, line.versions = files.get(pk, 0), dict(sorted(values[pk].items())), versions[pk]
    return lines


def _portal_versions(project: Project, datasets: Iterable[InputDataset]) -> dict[int, DatasetVersion]:
    """Find the portal's own versions that sources name by their address."""
    named = {}
    for data in datasets:
        match = _OF_PORTAL.search(data.source)
        if match and match["slug"] == project.slug:
            named[data.pk] = (match["name"], int(match["number"]))
    if not named:
        return {}
    rows = DatasetVersion.objects.filter(
        dataset__project=project, dataset__name__in={name for name, _ in named.values()}
    ).select_related("dataset")
    known = {(row.dataset.name, row.number): row for row in rows.defer("profile", "warnings", "schema", "facts")}
    return {pk: known[key] for pk, key in named.items() if key in known}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _source(text: str) -> str:
    told = _json(text)
    if not isinstance(told, dict):
        return text
    place = next((told[name] for name in _PLACES if isinstance(told.get(name), str) and told[name]), None)
    return place if place is not None else ", ".join(f"{name}: {_short(value)}" for name, value in told.items())


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _fields(text: str) -> list[tuple[str, str, bool]]:
    """Read the column or tensor schema that clients write."""
    told = _json(text)
    if not isinstance(told, dict):
        return []
    specs = told.get("mlflow_colspec", told.get("mlflow_tensorspec"))
    if isinstance(specs, dict):
        parts = {name: _json(part) if isinstance(part, str) else part for name, part in specs.items()}
        specs = [{"name": name, **spec} for name, part in parts.items() for spec in _dicts(part)]
    return [(_label(spec), _type(spec), not spec.get("required", True)) for spec in _dicts(specs)]


def _label(spec: Json) -> str:
    name = spec.get("name")
    return ", ".join(map(str, name)) if isinstance(name, list) else str(name or "–")


def _dicts(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _type(spec: Json) -> str:
    tensor = spec.get("tensor-spec")
    if isinstance(tensor, dict):
        return f"{tensor.get('dtype', 'tensor')} {tensor.get('shape', '')}".strip()
    return str(spec.get("type", "–"))


def _profile(text: str) -> list[tuple[str, str]]:
    told = _json(text)
    if not isinstance(told, dict):
        return [("profile", _short(text))] if text else []
    return [(name.replace("_", " "), _figure(value)) for name, value in told.items()]


def _figure(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _short(value)
