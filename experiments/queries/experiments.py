"""Experiments of a project with what their list shows."""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.models.functions import Coalesce, Lower

from experiments import metricstore
from experiments.models import Experiment, ExperimentTag, Lifecycle, LoggedModel, Run
from mlportal.lib.errors import Invalid
from projects.actor import Actor
from projects.models import Project, Star

from .folders import Tree
from .metrics import USUAL, arrow_of, higher_is_better, label_of
from .recorded import NOTE, own_tags

SHOWN_TAGS = 4
NEVER = -(2**62)  # before any moment a client sends
SORTS = {"activity": "last activity", "name": "name", "runs": "runs", "created": "creation"}
DEFAULT_SORT = "-activity"


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of an experiment's primary metric, and those of its newest runs."""

    metric: str
    value: float
    trend: list[float | None]

    @property
    def label(self) -> str:
        """Name of the metric and which way is better."""
        return f"{label_of(self.metric)} {arrow_of(self.metric)}".strip()


@dataclass(frozen=True, slots=True)
class ExperimentLine:
    """One line of the list of experiments."""

    experiment: Experiment
    note: str
    tags: list[tuple[str, str]]
    more_tags: int
    models: int
    sources: list[tuple[str, int]]
    running: int = 0
    newest_at: datetime | None = None
    best: Best | None = None
    path: str = ""

    @property
    def runs(self) -> int:
        """How many active runs it has."""
        return sum(count for _, count in self.sources)


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """One page of the list."""

    lines: list[ExperimentLine]
    after: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which experiments are asked for, and in which order."""

    folder_id: int | None = None
    text: str = ""
    sort: str = DEFAULT_SORT
    everywhere: bool = field(default=False)

    @property
    def key(self) -> str:
        """What it is sorted by."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.sort.startswith("-")


def experiments_of(by: Actor, project: Project) -> models.QuerySet[Experiment]:
    """Return a project's experiments with counts of runs and the time of the newest."""
    return _counted(Experiment.objects.visible_to(by).in_project(project).active())


def recounted(experiment: Experiment) -> Experiment:
    """Return an experiment as it stands now, with its counts, to answer a change that its service allowed."""
    return _counted(Experiment.objects.all()).get(pk=experiment.pk)


def _counted(rows: models.QuerySet[Experiment]) -> models.QuerySet[Experiment]:
    active = models.Q(runs__lifecycle=Lifecycle.ACTIVE)
    return rows.select_related("created_by").annotate(
        run_count=models.Count("runs", filter=active),
        running_count=models.Count("runs", filter=active & models.Q(runs__state=Run.State.RUNNING)),
        newest_at=models.Max("runs__created_at", filter=active),
    )


def listed(by: Actor, project: Project, asked: Listing, tree: Tree) -> models.QuerySet[Experiment]:
    """Return the experiments that lie in a folder; with a text those at any depth below it that have it."""
    rows = Experiment.objects.visible_to(by).in_project(project).active()
    if asked.text:
        rows = rows.filter(models.Q(name__icontains=asked.text) | models.Q(description__icontains=asked.text))
    if asked.text or asked.everywhere:
        return rows if asked.folder_id is None else rows.filter(folder__in=tree.below(asked.folder_id))
    return rows.filter(folder=asked.folder_id)


@dataclass(frozen=True, slots=True)
class InOrder:
    """One page of experiments: those that the reader starred come before all others, each in the order asked for."""

    found: list[Experiment]
    after: str
    before: str


def in_order(
    by: Actor, project: Project, asked: Listing, tree: Tree, *, limit: int, after: str = "", before: str = ""
) -> InOrder:
    """Find one page of experiments; each has ``rank``: 0 if it is starred, else 1.

    Raises
    ------
    Invalid
        If the order is unknown or the cursor is foreign.
    """
    if asked.key not in SORTS:
        raise Invalid(f"Sort by one of {', '.join(SORTS)}.", field="sort", got=asked.sort[:40])
    rows: Any = listed(by, project, asked, tree).annotate(at=_value_of(asked.key), rank=_rank(by))
    down = asked.descending != bool(before)
    if place := after or before:
        rows = _behind(rows, _decoded(place, asked), "lt" if down else "gt", "lt" if before else "gt")
    mark = "-" if down else ""
    ordered = rows.order_by("-rank" if before else "rank", f"{mark}at", f"{mark}pk")
    found: list[Experiment] = list(ordered.select_related("created_by")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if before:
        found.reverse()
    has_next, has_previous = (True, more) if before else (more, bool(after))
    return InOrder(
        found,
        _encoded(found[-1], asked) if found and has_next else "",
        _encoded(found[0], asked) if found and has_previous else "",
    )


def experiment_page(
    by: Actor, project: Project, asked: Listing, tree: Tree, *, limit: int, after: str = "", before: str = ""
) -> ExperimentPage:
    """Return one page of the list, in a fixed number of queries; runs are read of those shown only."""
    page = in_order(by, project, asked, tree, limit=limit, after=after, before=before)
    return ExperimentPage(_lines(page.found, tree if asked.text else None), page.after, page.before)


def _rank(by: Actor) -> Any:
    user = by.user.pk if by.user else None
    mine = Star.objects.filter(user=user, target_type="experiment", target_id=models.OuterRef("pk"))
    return models.Case(models.When(models.Exists(mine), then=0), default=1, output_field=models.IntegerField())


def _value_of(key: str) -> Any:
    runs = Run.objects.active().filter(experiment=models.OuterRef("pk"))
    if key == "activity":
        newest = runs.order_by("-started_ms", "-pk").values("started_ms")[:1]
        return Coalesce(models.Subquery(newest), models.Value(NEVER), output_field=models.BigIntegerField())
    if key == "runs":
        count = runs.order_by().values("experiment").annotate(count=models.Count("pk")).values("count")
        return Coalesce(models.Subquery(count), 0)
    return Lower("name") if key == "name" else models.F("pk")


def _behind(rows: Any, place: tuple[int, Any, int], step: str, rank_step: str) -> Any:
    rank, value, pk = place
    beyond = models.Q(**{f"at__{step}": value}) | models.Q(**{"at": value, f"pk__{step}": pk})
    return rows.filter(models.Q(**{f"rank__{rank_step}": rank}) | models.Q(rank=rank) & beyond)


def _encoded(experiment: Experiment, asked: Listing) -> str:
    place = [asked.key, experiment.rank, experiment.at, experiment.pk]  # type: ignore[attr-defined]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _decoded(text: str, asked: Listing) -> tuple[int, Any, int]:
    try:
        key, rank, value, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        named = asked.key == "name"
        fits = type(value) is str if named else type(value) is int and -(2**63) <= value < 2**63
        if (
            rank not in (0, 1)
            or key != asked.key
            or type(pk) is not int
            or not 0 <= pk < 2**63
            or not fits
            or "\0" in str(value)
        ):
            raise ValueError(text)
        str(value).encode()
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Invalid("The page cursor does not belong to this list.", code="bad_cursor", field="cursor") from None
    return rank, value, pk


def _lines(found: list[Experiment], tree: Tree | None) -> list[ExperimentLine]:
    ids = [experiment.pk for experiment in found]
    tags, best = tags_of(ids), _best_of(found)
    logged = LoggedModel.objects.active().filter(experiment__in=ids).order_by().values_list("experiment")
    made = dict(logged.annotate(count=models.Count("pk")))
    sources: dict[int, list[tuple[str, int]]] = defaultdict(list)
    running: dict[int, int] = defaultdict(int)
    newest: dict[int, int] = defaultdict(lambda: NEVER)
    runs = Run.objects.active().filter(experiment__in=ids).order_by("source").values_list("experiment", "source")
    at_work = models.Count("pk", filter=models.Q(state=Run.State.RUNNING))
    for pk, source, count, working, last in runs.annotate(
        count=models.Count("pk"), working=at_work, last=models.Max("started_ms")
    ):
        sources[pk].append((source, count))
        running[pk] += working
        newest[pk] = max(newest[pk], last)
    lines = []
    for each in found:
        own = list(own_tags(tags[each.pk]).items())
        lines.append(
            ExperimentLine(
                each, note_of_experiment(each, tags[each.pk]), own[:SHOWN_TAGS], max(0, len(own) - SHOWN_TAGS),
                made.get(each.pk, 0), sources[each.pk], running[each.pk], _moment(newest[each.pk]), best.get(each.pk),
                tree.label(each.folder_id) if tree is not None else "",
            )
        )  # fmt: skip
    return lines


def _best_of(found: list[Experiment]) -> dict[int, Best]:
    """The best value of each experiment's primary metric; where none is set, of the usual ones."""
    asked = [
        metricstore.BestAsked(each.pk, name, higher_is_better(name))
        for each in found
        for name in ([each.primary_metric] if each.primary_metric else USUAL)
    ]
    values = metricstore.best_each(asked)
    first = {each.experiment_id: each for each in reversed(asked) if each in values}
    trends = metricstore.newest_each(list(first.values()))
    return {pk: Best(each.metric, values[each], trends.get(each, [])) for pk, each in first.items()}


def _moment(ms: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def metric_names(experiment: Experiment) -> list[str]:
    """Return the names of the metrics that an experiment's runs have."""
    return metricstore.known_keys(experiment.pk)["metric"]


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
