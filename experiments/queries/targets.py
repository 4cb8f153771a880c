"""What lies in experiments, as things that carry stars and comments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from experiments.models import Artifact, Experiment, Folder, LoggedModel, Report, Run, SavedView, TrainingJob
from projects.permissions import Permission
from projects.services.targets import Target


def experiments(numbers: Sequence[int]) -> Iterable[Target]:
    """Living experiments."""
    for row in Experiment.objects.active().filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/experiments/{row.address}/"
        yield Target("experiment", row, row.project_id, row.name, href, Permission.RUN_VIEW)


def runs(numbers: Sequence[int]) -> Iterable[Target]:
    """Runs, deleted ones included: their pages stay."""
    for row in Run.objects.filter(pk__in=numbers).select_related("project").defer("params", "tags", "notes", "latest"):
        href = f"/p/{row.project.slug}/runs/{row.pk}/"
        yield Target("run", row, row.project_id, f"run {row.pk}, {row.name}", href, Permission.RUN_VIEW)


def folders(numbers: Sequence[int]) -> Iterable[Target]:
    """Folders of experiments."""
    for row in Folder.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/experiments/?folder={row.pk}"
        yield Target("folder", row, row.project_id, row.name, href, Permission.RUN_VIEW)


def jobs(numbers: Sequence[int]) -> Iterable[Target]:
    """Training jobs."""
    rows = TrainingJob.objects.filter(pk__in=numbers).select_related("project", "run__experiment")
    for row in rows.defer(
        "spec", "phases", "usage", "warnings", "run__params", "run__tags", "run__notes", "run__latest"
    ):
        href = f"/p/{row.project.slug}/jobs/{row.pk}/"
        yield Target("job", row, row.project_id, f"job {row.pk}, {row.run.name}", href, Permission.RUN_VIEW)


def logged_models(numbers: Sequence[int]) -> Iterable[Target]:
    """Logged models, deleted ones included: their pages stay."""
    for row in LoggedModel.objects.filter(pk__in=numbers).select_related("project", "experiment"):
        href = f"/p/{row.project.slug}/logged-models/{row.uuid}/"
        yield Target("logged_model", row, row.project_id, row.name, href, Permission.RUN_VIEW)


def artifacts(numbers: Sequence[int]) -> Iterable[Target]:
    """Files of runs and of logged models: the label a file has, not the bytes that now stand under it."""
    rows = Artifact.objects.filter(pk__in=numbers).select_related(
        "run__project", "run__experiment", "logged_model__project", "logged_model__experiment"
    )
    for row in rows.defer("run__params", "run__tags", "run__notes", "run__latest"):
        owner = row.run or row.logged_model
        if owner is None:  # a constraint forbids it
            continue
        at = f"runs/{owner.pk}" if isinstance(owner, Run) else f"logged-models/{owner.uuid}"
        href = f"/p/{owner.project.slug}/{at}/artifacts/{quote(row.path)}"
        label = f"{row.path} of {f'run {owner.pk}' if isinstance(owner, Run) else owner.name}"
        yield Target("artifact", row, owner.project_id, label, href, Permission.RUN_VIEW)


def views(numbers: Sequence[int]) -> Iterable[Target]:
    """Saved views; one that is not shared is its owner's alone."""
    for row in SavedView.objects.filter(pk__in=numbers).select_related("project"):
        href, alone = f"/p/{row.project.slug}/views/{row.number}/", None if row.shared else row.owner_id
        yield Target("view", row, row.project_id, row.name, href, Permission.RUN_VIEW, apart=True, reader_id=alone)


def reports(numbers: Sequence[int]) -> Iterable[Target]:
    """Reports."""
    for row in Report.objects.filter(pk__in=numbers).select_related("project").defer("blocks", "frozen", "frozen_runs"):
        href = f"/p/{row.project.slug}/reports/{row.pk}/"
        yield Target("report", row, row.project_id, row.title, href, Permission.RUN_VIEW)
