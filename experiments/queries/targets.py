"""Experiments and runs as things that carry stars and comments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from experiments.models import Experiment, Run
from projects.permissions import Permission
from projects.services.targets import Target


def experiments(numbers: Sequence[int]) -> Iterable[Target]:
    """Living experiments."""
    for row in Experiment.objects.active().filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/experiments/{row.address}/"
        yield Target("experiment", row, row.project_id, row.name, href, Permission.RUN_VIEW)


def runs(numbers: Sequence[int]) -> Iterable[Target]:
    """Runs, deleted ones included: their pages stay."""
    for row in Run.objects.filter(pk__in=numbers).select_related("project").defer("params", "tags", "notes"):
        href = f"/p/{row.project.slug}/runs/{row.pk}/"
        yield Target("run", row, row.project_id, f"run {row.pk}, {row.name}", href, Permission.RUN_VIEW)
