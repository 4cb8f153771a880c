"""The launch page: one form that follows the chosen data, task and algorithm."""

from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments.forms import PREFIX, LaunchForm, as_text
from experiments.models import Experiment, Run, TrainingJob
from experiments.queries import pace
from experiments.services import jobs
from experiments.training import catalogue
from mlportal.lib.errors import DomainError, Missing
from mlportal.lib.lease import WorkState
from projects.access import ProjectView
from projects.models import DatasetVersion
from projects.permissions import Permission
from projects.services import checks, splits

Values = dict[str, list[str]]
MAX_VERSIONS = 200
DEFAULT_ALGORITHM = {"classification": "random_forest", "regression": "random_forest"}
FEW_CLASSES = 20


class Launch(ProjectView):
    """Start a training, from a run, a job, a dataset or nothing."""

    reads = TrainingJob
    permission = Permission.JOB_LAUNCH

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form; values in the address stand over those it starts from."""
        page = self._page(request.GET)
        if page is None:
            return render(request, "experiments/job_new_empty.html", {})
        return render(request, "experiments/job_new.html", page)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Launch, or show what needs a change; ``refresh`` only renews the form."""
        page = self._page(request.POST, bound=True)
        if page is None:
            return render(request, "experiments/job_new_empty.html", {}, status=422)
        form: LaunchForm = page["form"]
        if "refresh" in request.POST:
            _show_fault_of(form, request.POST["refresh"])
            return render(request, "experiments/job_new.html", page)
        try:
            job = self._launch(form, page)
        except DomainError as error:
            if error.status == 403:
                raise
            form.refuse(error)
            return render(request, "experiments/job_new.html", page, status=422)
        messages.success(request, f"Job {job.pk} is queued.")
        return redirect("experiments:job-detail", self.project.slug, job.pk)

    def _launch(self, form: LaunchForm, page: dict[str, Any]) -> TrainingJob:
        return jobs.launch(
            self.actor,
            project=self.project,
            experiment=form.values["experiment"][-1],
            dataset_version=form.version,
            spec=form.spec(),
            name=form.values.get("name", [""])[-1],
            baseline=page["baseline"],
            limits=form.limits(),
            override_reason=self.request.POST.get("override_reason", "").strip(),
        )

    def _page(self, given: QueryDict, *, bound: bool = False) -> dict[str, Any] | None:
        source, baseline = self._source(given.get("from", ""))
        versions = list(self._versions())
        if not versions:
            return None
        version = _chosen(versions, given, source)
        known = list(Experiment.objects.visible_to(self.actor).in_project(self.project).active()[:50])
        before = source.spec if source else {}
        values = _values(given, version, before, source)
        values.setdefault("experiment", [known[0].name if known else "default"])
        known_splits = self._splits(version, values)
        form = LaunchForm(
            values,
            versions=versions,
            version=version,
            before=before,
            experiments=[entry.name for entry in known],
            most_memory_mb=settings.TRAINING_MEMORY_MB,
            address=reverse("experiments:job-launch", args=[self.project.slug]),
            bound=bound,
            splits=known_splits,
        )
        return {
            "form": form,
            "version": version,
            "source": source,
            "baseline": baseline,
            "from": given.get("from", ""),
            "changes": _changes(form, before),
            "barred": checks.barred(self.actor, version=version),
            "override_reason": given.get("override_reason", ""),
            "estimate": self._estimate(form, version),
            "waiting": TrainingJob.objects.visible_to(self.actor).in_project(self.project).active().count(),
            "starts": self._starts(),
            "body": form.body_text(),
            "command": form.command(self.project.slug),
            "api": self.request.build_absolute_uri(f"/api/v1/projects/{self.project.slug}/jobs/"),
        }

    def _splits(self, version: DatasetVersion, values: Values) -> list[tuple[str, str]]:
        """Saved splits of the version; one of another version is not kept."""
        found = [
            (split.name, f"{split.name}: {splits.recipe_of(split).sentence}"[:120])
            for split in splits.of_version(self.actor, version=version)
            if split.state == WorkState.SUCCEEDED
        ]
        if values.get("split", [""])[-1] not in dict(found):
            values["split"] = [""]
        return found

    def _versions(self) -> Any:
        rows = DatasetVersion.objects.visible_to(self.actor).in_project(self.project).ready()
        return rows.light().select_related("dataset").order_by("-created_at", "-pk")[:MAX_VERSIONS]

    def _source(self, text: str) -> tuple[TrainingJob | None, Run | None]:
        """Return the job that ``run:<n>`` or ``job:<n>`` names, and its run as the baseline."""
        kind, _, digits = text.partition(":")
        if kind not in ("run", "job") or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            return None, None
        rows = TrainingJob.objects.visible_to(self.actor).in_project(self.project).with_context()
        where = {"run_id": int(digits)} if kind == "run" else {"pk": int(digits)}
        job = rows.filter(**where).first()
        if job is None:
            raise Missing(f"There is no {kind} {digits} of a training job here to start from.")
        return job, job.run

    def _starts(self) -> list[TrainingJob]:
        rows = TrainingJob.objects.visible_to(self.actor).in_project(self.project).with_context()
        return list(rows.filter(state=WorkState.SUCCEEDED).order_by("-pk")[:5])

    def _estimate(self, form: LaunchForm, version: DatasetVersion) -> float | None:
        """Return the seconds that trainings like this one took."""
        rows = TrainingJob.objects.visible_to(self.actor).in_project(self.project)
        found = pace.usual(rows, spec={"algorithm": form.algorithm}, row_count=version.row_count)
        return None if found is None else found.seconds


def _chosen(versions: list[DatasetVersion], given: Mapping[str, str], source: TrainingJob | None) -> DatasetVersion:
    asked = given.get("dataset", "")
    by_name = {f"{entry.dataset.name}@{entry.number}": entry for entry in reversed(versions)}
    newest = {entry.dataset.name: entry for entry in reversed(versions)}
    if asked in by_name or asked in newest:
        return by_name.get(asked) or newest[asked]
    own = [entry for entry in versions if source and entry.pk == source.dataset_version_id]
    return own[0] if own else versions[0]


def _values(given: QueryDict, version: DatasetVersion, before: Mapping[str, Any], source: TrainingJob | None) -> Values:
    typed: Values = {name: [str(value) for value in given.getlist(name)] for name in given}
    start = _start(version, before, source)
    columns = {str(column["name"]) for column in version.schema}
    if typed.get("target", [""])[-1] not in columns:
        typed.pop("target", None)
    values = start | typed
    values["dataset"] = [f"{version.dataset.name}@{version.number}"]
    target = values["target"][-1]
    values["features"] = [name for name in values["features"] if name in columns and name != target]
    moved = given.get("refresh", "") in ("target", "dataset")
    if "task" not in typed or values["task"][-1] not in catalogue.TASKS or moved:
        values["task"] = [_task(version, target) if "target" in typed or not before else before["task"]]
    if "sent" in typed and "stratify" not in typed:
        values["stratify"] = []  # an unticked box sends nothing
    _fit_algorithm(values, before)
    return values


def _start(version: DatasetVersion, before: Mapping[str, Any], source: TrainingJob | None) -> Values:
    """Return what the form shows first."""
    columns = [str(column["name"]) for column in version.schema]
    target = before.get("target") if before.get("target") in columns else columns[-1]
    features = before.get("features")
    limits = source.limits if source else {}
    start = {
        "target": [str(target)],
        "task": [before.get("task", "")],
        "missing_target": [before.get("missing_target", "fail")],
        "features_from": ["some" if features else "all"],
        "features": list(features or [name for name in columns if name != target]),
        "test_share": [as_text(before.get("test_share", 0.2))],
        "seed": [as_text(before.get("seed", 0))],
        "split": [before.get("split", "")],
        "folds": [as_text(before.get("folds", 0))],
        "stratify": ["on"] if before.get("stratify", True) else [],
        "algorithm": [before.get("algorithm", "")],
        "wall_minutes": [as_text(limits.get("wall_seconds", settings.TRAINING_WALL_SECONDS) / 60)],
        "memory_mb": [str(limits.get("memory_mb", settings.TRAINING_MEMORY_MB))],
        "name": [""],
    }
    if source:
        start["experiment"] = [source.run.experiment.name]
    return start


def _fit_algorithm(values: Values, before: Mapping[str, Any]) -> None:
    """Choose an algorithm that can do the task, and give each of its parameters a value."""
    task = values["task"][-1]
    names = [entry.name for entry in catalogue.algorithms(task)]
    if values["algorithm"][-1:] == [] or values["algorithm"][-1] not in names:
        values["algorithm"] = [DEFAULT_ALGORITHM[task]]
    algorithm = values["algorithm"][-1]
    earlier = before.get("hyper_parameters", {}) if before.get("algorithm") == algorithm else {}
    for name, rule in catalogue.parameters(algorithm, task).items():
        values.setdefault(PREFIX + name, [as_text(earlier.get(name, rule.default))])


def _task(version: DatasetVersion, target: str) -> str:
    """Return the task a target suggests: numbers with many values are predicted as numbers."""
    kind = next((str(column["kind"]) for column in version.schema if column["name"] == target), "")
    if kind not in ("numeric", "integer"):
        return "classification"
    distinct = version.profile.get(target, {}).get("distinct")
    few = isinstance(distinct, int) and distinct <= FEW_CLASSES
    return "classification" if kind == "integer" and few else "regression"


def _changes(form: LaunchForm, before: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, before, now) of what differs from the specification it starts from."""
    if not before:
        return []
    now = form.spec()
    out = [
        (name, _short(before.get(name)), _short(now.get(name)))
        for name in ("task", "target", "features", "split", "test_share", "seed", "folds", "stratify", "algorithm")
        if before.get(name) != now.get(name)
    ]
    if before.get("algorithm") == now["algorithm"]:
        earlier = cast("dict[str, Any]", before["hyper_parameters"])
        for name, value in now["hyper_parameters"].items():
            if earlier.get(name) != value:
                out.append((name, _short(earlier.get(name)), _short(value)))
    return out


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} columns"
    return as_text(value) or "none"


def _show_fault_of(form: LaunchForm, touched: str) -> None:
    """Show the fault of the field that was just left, and no other."""
    fault = form.faults()
    mine = [entry for entry in fault.errors if entry["field"] == touched] if fault else []
    if mine and fault is not None:
        fault.errors = mine
        form.refuse(fault)
