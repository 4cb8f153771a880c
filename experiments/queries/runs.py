"""Reads that join several tables: pages of runs, comparisons, columns."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.db import models
from django.utils import timezone

from experiments import metricstore
from experiments.metricstore import NEWEST_FIRST, Context, Latest, Order, Question, Scope
from experiments.models import Experiment, Lifecycle, MetricChunk, Run, TrainingJob
from mlportal.lib.errors import Invalid
from mlportal.lib.lease import TERMINAL
from projects.actor import Actor
from projects.models import DatasetVersion
from projects.services.dataset_removal import Hold
from projects.services.datasets import Use, Uses
from projects.services.lineage import MOST as LINEAGE
from projects.services.lineage import Graph, Node

from .metrics import higher_is_better, leading_metrics
from .places import Place, runs_of, scope_of
from .recorded import own_tags
from .tokens import settled

SHOWN_METRICS = 4
SHOWN_PARAMS = 6


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run with its documents read: what a table line, a card or an answer shows."""

    run: Run
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, Latest]

    def value(self, metric: str) -> float | None:
        """Latest value of a metric, None when it was never logged."""
        point = self.metrics.get(metric)
        return None if point is None else point.value


@dataclass(frozen=True, slots=True)
class RunPage:
    """One page of a runs table."""

    rows: list[RunFacts]
    after: str
    before: str
    total: int
    order: Order


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of a difference table; ``values`` in the order of the runs."""

    section: str
    name: str
    values: list[object]
    is_number: bool = False
    higher_is_better: bool = True
    differs: bool = field(default=True)


def question(by: Actor, place: Place, text: str, order: Order, lifecycle: str = "active") -> Question:
    """Make the question of a filter text.

    Raises
    ------
    FilterError
        If the text cannot be read.
    """
    now_ms = int(timezone.now().timestamp() * 1000)
    conditions = metricstore.parse(text)
    scope = metricstore.narrowed(scope_of(place), conditions)
    return Question(Context(scope, now_ms, by.user.pk if by.user else None), conditions, order, lifecycle)


def narrowed(asked: Question, text: str, order: Order) -> Question:
    """Return the same question with another filter and order."""
    conditions = metricstore.parse(text)
    context = replace(asked.context, scope=metricstore.narrowed(asked.context.scope, conditions))
    return replace(asked, context=context, conditions=conditions, order=order)


def page_of_runs(
    asked: Question, *, limit: int, after: str = "", before: str = "", names: Sequence[str] | None = None
) -> RunPage:
    """Return one page of runs with everything a table shows, in a fixed number of queries.

    Parameters
    ----------
    asked : Question
    limit : int
    after, before : str
    names : sequence of str, optional
        Load only these metrics; a run may have thousands.

    Raises
    ------
    FilterError, Invalid
        If the filter names something unknown or the cursor is foreign.
    """
    found = metricstore.search(asked, limit=limit, after=after, before=before)
    rows = facts_of(found.run_ids, names)
    return RunPage(rows, found.after, found.before, metricstore.count(asked), asked.order)


def facts_of(run_ids: Sequence[int], names: Sequence[str] | None = None) -> list[RunFacts]:
    """Load runs in the order of their ids, with latest metrics: all of them, or those named."""
    runs = Run.objects.with_context().in_bulk(run_ids)
    latest = metricstore.latest(run_ids, names)
    return [facts(runs[run_id], latest[run_id]) for run_id in run_ids if run_id in runs]


def documents_of(run_ids: Sequence[int]) -> list[RunFacts]:
    """Load what runs are compared by beside metrics, in the order of their ids: documents, state, dataset version."""
    runs = Run.objects.only("params", "tags", "state", "dataset_version_id").in_bulk(run_ids)
    used = {run.dataset_version_id for run in runs.values() if run.dataset_version_id is not None}
    versions = DatasetVersion.objects.select_related("dataset").only("number", "dataset__name").in_bulk(used)
    for run in runs.values():
        if run.dataset_version_id is not None:
            run.dataset_version = versions[run.dataset_version_id]
    return [facts(runs[run_id], {}) for run_id in run_ids if run_id in runs]


def fill_metrics(rows: Sequence[RunFacts], names: Sequence[str] | None) -> None:
    """Load these metrics, or all, into rows that were read without any."""
    latest = metricstore.latest([row.run.pk for row in rows], names)
    for row in rows:
        row.metrics.update(latest[row.run.pk])


def facts(run: Run, latest: Mapping[str, Latest] | None = None) -> RunFacts:
    """Read one run's documents."""
    metrics = metricstore.latest([run.pk])[run.pk] if latest is None else dict(latest)
    return RunFacts(run, json.loads(run.params), json.loads(run.tags), metrics)


def aggregated(point: Latest | None, agg: str) -> float | None:
    """Return the last, the least or the greatest value of a metric, None when it was never logged.

    The least and the greatest of a metric that was only ever NaN are NaN.
    """
    if point is None:
        return None
    found = {"min": point.low, "max": point.high}.get(agg, point.value)
    return math.nan if found is None else found


def order_of(place: Place, text: str, agg: str = "last") -> Order:
    """Read an order; a metric without an aggregate of its own is ordered by `agg`.

    Raises
    ------
    FilterError
        If runs cannot be ordered so.
    """
    found = metricstore.parse_order(text, scope_of(place), agg)
    if found.kind == "metric":
        found = replace(found, agg=settled(found.agg, found.key))
    return replace(found, settled_first=found.kind != "attribute")


def checked_order(place: Place, text: str, agg: str = "last") -> Order:
    """Read an order whose name some run here has.

    Raises
    ------
    FilterError
        If runs cannot be ordered so.
    Invalid
        If no run has the metric, parameter or tag.
    """
    found = order_of(place, text, agg)
    is_written_out = text.strip().removeprefix("-").startswith(("metrics.", "params.", "tags."))  # others are looked up
    if is_written_out and not metricstore.have(scope_of(place), found.kind, [found.key]):
        word = {"param": "parameter"}.get(found.kind, found.kind)
        raise Invalid(f"No run here has the {word} {found.key[:60]!r}.", field="sort", got=text[:100])
    return found


def first_order(place: Place, agg: str = "last") -> Order:
    """Return the order of a table nobody sorted: best first by the first metric, else newest first.

    Of several experiments always the newest come first: their metrics do not measure the same.
    """
    names = leading_metrics(place) if isinstance(place, Experiment) else []
    if not names:
        return NEWEST_FIRST
    wanted = "last" if agg.startswith("step") else settled(agg, names[0])
    return Order("metric", names[0], higher_is_better(names[0]), settled_first=True, agg=wanted)


def best_values(asked: Question, wanted: Mapping[str, metricstore.Top], total: int) -> dict[str, float]:
    """Return the best value of each column over all runs of a filter, of which there are `total`."""
    found = metricstore.tops(asked, list(wanted.values()), total)
    return {column: value for column, value in zip(wanted, found, strict=True) if value is not None}


def values_at(rows: Sequence[RunFacts], names: Sequence[str], step: int) -> dict[tuple[int, str, int], float]:
    """Return the value of each metric at a step, of those runs that came so far."""
    found = metricstore.at_step([row.run.pk for row in rows], names, step)
    reached = {(row.run.pk, name) for row in rows for name, point in row.metrics.items() if point.step >= step}
    return {(run, name, step): value for (run, name), value in found.items() if (run, name) in reached}


def best_run(experiment: Experiment, metric: str, *, without: Iterable[int] = ()) -> int | None:
    """Return the best run of an experiment by a metric, leaving some out."""
    left_out = set(without)
    asked = Question(
        Context(Scope.of(experiment.pk), 0), (), Order("metric", metric, higher_is_better(metric), settled_first=True)
    )
    found = metricstore.search(asked, limit=len(left_out) + 1).run_ids
    values = metricstore.latest(found, [metric])
    return next((i for i in found if i not in left_out and values[i]), None)


def varying_params(rows: Sequence[RunFacts]) -> list[str]:
    """Names of parameters with more than one value among these runs, most varied first."""
    seen: dict[str, set[str | None]] = {}
    for name in {name for row in rows for name in row.params}:
        seen[name] = {row.params.get(name) for row in rows}
    varied = [name for name, values in seen.items() if len(values) > 1]
    return sorted(varied, key=lambda name: (-len(seen[name]), name))


def points_per_metric(run_id: int) -> dict[str, int]:
    """Count the points of each metric of a run without reading them."""
    metricstore.fold_runs([run_id])
    rows = MetricChunk.objects.filter(run=run_id, key__isnull=False).order_by()
    return dict(rows.values_list("key__name").annotate(count=models.Sum("points")))


def state_counts(place: Place) -> dict[str, int]:
    """Count a place's working runs: few, so counting is cheap."""
    rows = runs_of(place).active().filter(state__in=[Run.State.RUNNING, Run.State.QUEUED])
    return dict(Counter(rows.values_list("state", flat=True)))


def differences(rows: Sequence[RunFacts], *, only_different: bool = True) -> list[Difference]:
    """Compare runs: metrics, parameters, data and tags, one row a fact."""
    out = [
        Difference("Metrics", name, [r.value(name) for r in rows], True, higher_is_better(name))
        for name in _union(r.metrics for r in rows)
    ]
    out += [
        Difference("Parameters", name, [r.params.get(name) for r in rows]) for name in _union(r.params for r in rows)
    ]
    out.append(Difference("Data and context", "dataset", [dataset_label(r.run) for r in rows]))
    out.append(Difference("Data and context", "state", [r.run.state for r in rows]))
    own = [own_tags(r.tags) for r in rows]
    out += [Difference("Tags", name, [_tag(tags, name) for tags in own]) for name in _union(own)]
    marked = [replace(d, differs=not _same(d.values)) for d in out]
    return [d for d in marked if d.differs or not only_different]


def dataset_label(run: Run) -> str | None:
    """Name and number of the dataset version a run used."""
    version = run.dataset_version
    return f"{version.dataset.name} v{version.number}" if version is not None else None


def dataset_uses(version_ids: Sequence[int], *, newest: int) -> dict[int, Uses]:
    """Runs that used these dataset versions: how many, and the newest of them all."""
    runs = Run.objects.filter(dataset_version__in=version_ids, lifecycle=Lifecycle.ACTIVE)
    counted = runs.order_by().values_list("dataset_version")
    found = {
        version: Uses(runs=count, last_at=last)
        for version, count, last in counted.annotate(count=models.Count("pk"), last=models.Max("created_at"))
    }
    for run in runs.select_related("project").order_by("-pk")[:newest] if newest else ():
        shown = Use("run", f"run {run.pk}, {run.name}", f"/p/{run.project.slug}/runs/{run.pk}/")
        found[run.dataset_version_id] += Uses(newest=(shown,))
    return found


HOLDS = 100


def dataset_lineage(version_id: int, key: str, graph: Graph) -> None:
    """Add the newest runs that used a dataset version to its graph; two queries."""
    runs = Run.objects.filter(dataset_version=version_id, lifecycle=Lifecycle.ACTIVE)
    for pk, name, state, slug in runs.order_by("-pk").values_list("pk", "name", "state", "project__slug")[:LINEAGE]:
        graph.add(Node(f"run:{pk}", "run", f"run {pk}, {name}", f"/p/{slug}/runs/{pk}/", state), after=key)
    graph.counts["run"] = runs.count()


def dataset_holds(version_ids: Sequence[int]) -> list[Hold]:
    """Jobs that have not ended and train on these dataset versions; one query."""
    jobs = TrainingJob.objects.filter(dataset_version__in=version_ids).exclude(state__in=TERMINAL)
    rows = jobs.order_by("pk").values_list("pk", "dataset_version_id", "project__slug")[:HOLDS]
    return [Hold(version, f"is used by job {job}", f"/p/{slug}/jobs/{job}/") for job, version, slug in rows]


def _tag(tags: Mapping[str, str], name: str) -> str | None:
    return tags[name] or "set" if name in tags else None


def _union(documents: Iterable[Mapping[str, object]]) -> list[str]:
    names: dict[str, None] = {}
    for document in documents:
        names.update(dict.fromkeys(document))
    return sorted(names)


def _same(values: Sequence[object]) -> bool:
    return len({repr(v) for v in values}) <= 1
