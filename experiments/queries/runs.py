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
from experiments.metricstore import Context, Latest, Order, Question
from experiments.models import Experiment, Lifecycle, MetricChunk, Run
from experiments.training import catalogue
from projects.actor import Actor
from projects.services.datasets import Use, Uses

from .recorded import own_tags

_LOWER_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "mape", "brier", "median_ae", "seconds", "_ms", "latency")
_HIGHER_IS_BETTER = ("acc", "auc", "f1", "score", "precision", "recall", "iou", "dice", "r2", "bleu", "rouge", "map",
                     "ndcg", "reward", "psnr", "ssim", "mcc", "kappa", "hit")  # fmt: skip
SYSTEM = "system/"  # what clients log of the machine, not of the model
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


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better; unknown names that sound like a loss are not."""
    name = metric.rpartition("/")[2]
    known = catalogue.METRICS.get(name) or catalogue.METRICS.get(name.removeprefix("val_").removeprefix("train_"))
    if known:
        return known["better"] == "higher"
    return not any(word in name.lower() for word in _LOWER_IS_BETTER)


def arrow_of(metric: str) -> str:
    """Which way is better, as an arrow; empty where the name does not tell, as for a learning rate."""
    words = metric.lower()
    name = words.rpartition("/")[2]
    known = catalogue.METRICS.get(name) or catalogue.METRICS.get(name.removeprefix("val_").removeprefix("train_"))
    if known or any(word in name for word in _HIGHER_IS_BETTER):
        return "↑" if higher_is_better(metric) else "↓"
    return "" if higher_is_better(metric) else "↓"


def label_of(metric: str) -> str:
    """A metric's name for people; names we do not know stay as they are."""
    known = catalogue.METRICS.get(metric)
    return known["label"] if known else metric


def question(by: Actor, experiment: Experiment, text: str, order: Order, lifecycle: str = "active") -> Question:
    """Make the question of a filter text.

    Raises
    ------
    FilterError
        If the text cannot be read.
    """
    now_ms = int(timezone.now().timestamp() * 1000)
    context = Context(experiment.pk, now_ms, by.user.pk if by.user else None)
    return Question(context, metricstore.parse(text), order, lifecycle)


def page_of_runs(asked: Question, *, limit: int, after: str = "", before: str = "") -> RunPage:
    """Return one page of runs with everything a table shows, in a fixed number of queries.

    Raises
    ------
    FilterError, Invalid
        If the filter names something unknown or the cursor is foreign.
    """
    found = metricstore.search(asked, limit=limit, after=after, before=before)
    rows = facts_of(found.run_ids)
    return RunPage(rows, found.after, found.before, metricstore.count(asked), asked.order)


def facts_of(run_ids: Sequence[int]) -> list[RunFacts]:
    """Load runs in the order of their ids, with latest metrics."""
    runs = Run.objects.with_context().in_bulk(run_ids)
    latest = metricstore.latest(run_ids)
    return [facts(runs[run_id], latest[run_id]) for run_id in run_ids if run_id in runs]


def facts(run: Run, latest: Mapping[str, Latest] | None = None) -> RunFacts:
    """Read one run's documents."""
    metrics = metricstore.latest([run.pk])[run.pk] if latest is None else dict(latest)
    return RunFacts(run, json.loads(run.params), json.loads(run.tags), metrics)


def best_value(asked: Question, metric: str) -> float | None:
    """Best value of a metric over the whole filtered set."""
    order = Order("metric", metric, descending=higher_is_better(metric))
    top = metricstore.first(Question(asked.context, asked.conditions, order, asked.lifecycle))
    point = metricstore.latest([top], [metric])[top].get(metric) if top is not None else None
    return None if point is None or math.isnan(point.value) else point.value


def best_run(experiment: Experiment, metric: str, *, without: Iterable[int] = ()) -> int | None:
    """Return the best run of an experiment by a metric, leaving some out."""
    left_out = set(without)
    asked = Question(
        Context(experiment.pk, 0), (), Order("metric", metric, higher_is_better(metric), settled_first=True)
    )
    found = metricstore.search(asked, limit=len(left_out) + 1).run_ids
    values = metricstore.latest(found, [metric])
    return next((i for i in found if i not in left_out and values[i]), None)


def default_metrics(experiment: Experiment, known: Sequence[str]) -> list[str]:
    """Order metrics for people: the primary first, then the catalogue's order, folds and the machine's last."""
    rank = {name: i for i, name in enumerate(catalogue.METRICS)}
    primary = experiment.primary_metric or next((m for m in catalogue.PRIMARY_METRIC.values() if m in known), "")
    return sorted(known, key=lambda m: (m != primary, _class_of(m), rank.get(m, len(rank)), m))


def _class_of(metric: str) -> int:
    """What people look at first: results, then results on the training rows, numbers that judge nothing, folds."""
    if metric.startswith(SYSTEM):
        return 4
    if metric.startswith("cv/"):
        return 3
    if not arrow_of(metric):
        return 2
    return 1 if metric.lower().startswith("train") else 0


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


def state_counts(experiment: Experiment) -> dict[str, int]:
    """Count an experiment's working runs: few, so counting is cheap."""
    rows = Run.objects.active().filter(experiment=experiment, state__in=[Run.State.RUNNING, Run.State.QUEUED])
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
    found = {
        version: Uses(runs=count)
        for version, count in runs.order_by().values_list("dataset_version").annotate(count=models.Count("pk"))
    }
    for run in runs.select_related("project").order_by("-pk")[:newest] if newest else ():
        shown = Use("run", f"run {run.pk}, {run.name}", f"/p/{run.project.slug}/runs/{run.pk}/")
        found[run.dataset_version_id] += Uses(newest=(shown,))
    return found


def _tag(tags: Mapping[str, str], name: str) -> str | None:
    return tags[name] or "set" if name in tags else None


def _union(documents: Iterable[Mapping[str, object]]) -> list[str]:
    names: dict[str, None] = {}
    for document in documents:
        names.update(dict.fromkeys(document))
    return sorted(names)


def _same(values: Sequence[object]) -> bool:
    return len({repr(v) for v in values}) <= 1
