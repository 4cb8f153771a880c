"""Experiments of a project with what their list shows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db import models

from experiments.models import Experiment, ExperimentTag, Lifecycle, LoggedModel, Run
from projects.actor import Actor
from projects.models import Project

from .recorded import NOTE, own_tags

SHOWN_TAGS = 4


@dataclass(frozen=True, slots=True)
class ExperimentLine:
    """One line of the list of experiments."""

    experiment: Experiment
    note: str
    tags: list[tuple[str, str]]
    more_tags: int
    models: int
    sources: list[tuple[str, int]]


def experiments_of(by: Actor, project: Project) -> models.QuerySet[Experiment]:
    """Return a project's experiments with counts of runs and the time of the newest."""
    active = models.Q(runs__lifecycle=Lifecycle.ACTIVE)
    rows = Experiment.objects.visible_to(by).in_project(project).active().select_related("created_by")
    return rows.annotate(
        run_count=models.Count("runs", filter=active),
        running_count=models.Count("runs", filter=active & models.Q(runs__state=Run.State.RUNNING)),
        newest_at=models.Max("runs__created_at", filter=active),
    )


def experiment_lines(by: Actor, project: Project, *, limit: int) -> list[ExperimentLine]:
    """Return experiments, the most recently used first, in four queries."""
    found = list(experiments_of(by, project).order_by(models.F("newest_at").desc(nulls_last=True), "-id")[:limit])
    ids = [experiment.pk for experiment in found]
    tags = tags_of(ids)
    logged = LoggedModel.objects.active().filter(experiment__in=ids).order_by().values_list("experiment")
    made = dict(logged.annotate(count=models.Count("pk")))
    sources: dict[int, list[tuple[str, int]]] = defaultdict(list)
    runs = Run.objects.active().filter(experiment__in=ids).order_by("source").values_list("experiment", "source")
    for experiment, source, count in runs.annotate(count=models.Count("pk")):
        sources[experiment].append((source, count))
    return [_line(each, tags[each.pk], made.get(each.pk, 0), sources[each.pk]) for each in found]


def tags_of(experiment_ids: list[int]) -> dict[int, dict[str, str]]:
    """Return the tags of experiments."""
    found: dict[int, dict[str, str]] = {pk: {} for pk in experiment_ids}
    rows = ExperimentTag.objects.filter(experiment__in=experiment_ids).order_by("key")
    for pk, key, value in rows.values_list("experiment", "key", "value"):
        found[pk][key] = value
    return found


def note_of_experiment(experiment: Experiment, tags: dict[str, str]) -> str:
    """The note of an experiment: what a client set, else its description."""
    return tags.get(NOTE) or experiment.description


def _line(experiment: Experiment, tags: dict[str, str], made: int, sources: list[tuple[str, int]]) -> ExperimentLine:
    own = list(own_tags(tags).items())
    note = note_of_experiment(experiment, tags)
    return ExperimentLine(experiment, note, own[:SHOWN_TAGS], max(0, len(own) - SHOWN_TAGS), made, sources)
