"""What the page of one run reads, from every table that tells of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.urls import reverse

from experiments import charts, metricstore, queries
from experiments.metricstore import Window
from experiments.models import Artifact, Run, TrainingJob
from experiments.queries import RunFacts, files
from experiments.queries.folders import path_of
from experiments.views import baselines, environment, gallery, lineage, relaunch, reports, viewers
from experiments.views.metrics import FOLDS, POINTS, RunMetrics, by_prefix, is_system
from experiments.views.places import Place
from experiments.views.progress import progress_context
from experiments.views.technical import technical

IMAGES = 4000
SHOWN_FILES = 12
CHILD_METRICS = 4
SHOWN_TABLES = 4
PREVIEW_BYTES = 2**18
PREVIEW_ROWS = 5
MODEL_FILE = "model/model.skops"
Json = dict[str, Any]


def page_context(facts: RunFacts, asked: Mapping[str, str], **more: Any) -> Json:
    """What the run page reads; the address asks for a group of ``curves`` and for a ``baseline``."""
    run = facts.run
    names = queries.default_metrics(run.experiment, list(facts.metrics))
    metrics, chosen = RunMetrics(facts, names, asked.get("curves", "")), baselines.choose(facts, asked)
    recorded, stored = _recorded(facts), _files(run, facts)
    family = _family(run)
    return {
        "folder_path": path_of(run.experiment),
        "tags": sorted(queries.own_tags(facts.tags).items()), "note": queries.note_of(run, facts.tags),
        "technical": technical(facts.tags, run), **_curves(run, metrics, chosen.facts),
        "folds": _fold_table(run, metrics.folds, metrics.series), "params": sorted(facts.params.items()),
        "changed": _changed(facts, chosen.facts), "environment": environment.read(facts, stored["place"]),
        "lineage": lineage.of_run(run, family["children"], recorded),
        **live_context(facts, chosen, metrics.own), **family, **recorded, **stored, **more,
    }  # fmt: skip


def live_context(facts: RunFacts, chosen: baselines.Choice, own: Sequence[str] | None = None) -> Json:
    """What of the page changes while the run works: its head, progress, metrics and files at the top."""
    run, job = facts.run, _job(facts.run)
    if own is None:
        names = queries.default_metrics(run.experiment, list(facts.metrics))
        own = [n for n in names if not is_system(n) and not n.startswith(FOLDS)]
    lines = [_metric_line(n, facts, chosen.facts) for n in own]
    return {
        "run": run, "facts": facts, "experiment": run.experiment, "chosen": chosen, "baseline": chosen.facts,
        "metrics": lines, "metric_groups": by_prefix(lines),
        **(progress_context(job) if job is not None else {"job": None, "relaunch": relaunch.address(facts)}),
        **_top_files(run),
    }  # fmt: skip


def _zoom_url(run: Run, baseline: RunFacts | None) -> str:
    """Where charts ask for finer points of a range."""
    address = reverse("experiments:run-series", args=[run.project.slug, run.pk])
    return f"{address}?baseline={baseline.run.pk}" if baseline else address


def _curves(run: Run, metrics: RunMetrics, baseline: RunFacts | None) -> Json:
    machine = metrics.system_curves()
    return {
        "zoom_url": _zoom_url(run, baseline), "curve_groups": metrics.groups(), "drawn": metrics.drawn,
        "asked_group": metrics.asked,
        "curve_data": with_baseline(curve_data(run, metrics.drawn_series()), baseline, metrics.drawn),
        "system": machine,
        "system_values": metrics.system_values(),
        "system_data": curve_data(run, metrics.system_series()) if machine else None,
    }  # fmt: skip


def _family(run: Run) -> Json:
    """The run this one is part of, and the runs that are part of it, with the metrics they have most."""
    found = queries.children_of([run.pk]).get(run.pk)
    if found is None:
        return {"children": None}
    rows = queries.facts_of([child.pk for child in found.rows])
    known = {name for row in rows for name in row.metrics}
    names = queries.default_metrics(run.experiment, sorted(known))[:CHILD_METRICS]
    varying = queries.varying_params(rows)[:CHILD_METRICS]
    heads = [{"label": queries.label_of(n), "arrow": queries.arrow_of(n)} for n in names]
    lines = [
        {"run": r.run, "values": [r.value(n) for n in names], "params": [r.params.get(p) for p in varying]}
        for r in rows
    ]  # fmt: skip
    return {"children": found, "child_lines": lines, "child_metrics": heads, "child_params": varying}


def _recorded(facts: RunFacts) -> Json:
    run = facts.run
    models, folders = queries.models_of_runs([run.pk])[run.pk], queries.files_logged_as_models(facts.tags)
    # A newer client logs a model and names its folder too.
    known = {line.model.name for line in models}
    folders = [path for path in folders if path not in known]
    return {
        "datasets": queries.datasets_of(run.project, [run.pk])[run.pk], "models": models,
        "model_folders": [{"path": path, "url": Place(run, run.project.slug).folder(path)} for path in folders],
        "model_count": len(models) + len(folders), "registered": queries.versions_of(runs=[run.pk]),
    }  # fmt: skip


def _top_files(run: Run) -> Json:
    """Files and folders at the top, with their addresses."""
    place, top = Place(run, run.project.slug), files.listing(run, limit=SHOWN_FILES)
    return {
        "place": place, "top": top, "file_count": top.total + sum(f.files for f in top.folders),
        "top_folders": [{"folder": f, "url": place.folder(f.path)} for f in top.folders],
        "top_files": [{"file": f, "url": place.show(f.path)} for f in top.files],
    }  # fmt: skip


def _files(run: Run, facts: RunFacts) -> Json:
    """The reports of a training, and what was logged as images and tables."""
    place, every = Place(run, run.project.slug), files.files_of(run)
    known = list(every.filter(path__in=[*reports.PATHS, MODEL_FILE]))
    paths = [path for _, path in files.image_paths([run.pk], limit=IMAGES)]
    return {
        "place": place, "galleries": gallery.galleries(paths, place.image, place.show),
        "tables": _tables(run, facts, place),
        "can_register": any(a.path == MODEL_FILE for a in known) and run.state == Run.State.FINISHED,
        **reports.read(a for a in known if a.path != MODEL_FILE),
    }  # fmt: skip


def table_paths(tags: dict[str, str]) -> list[str]:
    """Paths of the tables a client logged, as its tag tells."""
    try:
        told = json.loads(tags.get("mlflow.loggedArtifacts", "[]"))
    except (ValueError, RecursionError):
        return []
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    paths = [row.get("path") for row in rows if row.get("type") == "table"]
    return list(dict.fromkeys(path for path in paths if isinstance(path, str)))


def _tables(run: Run, facts: RunFacts, place: Place) -> list[Json]:
    paths = table_paths(facts.tags)
    found = {a.path: a for a in files.files_of(run).filter(path__in=paths[:100])} if paths else {}
    return [
        {"artifact": found[path], "url": place.show(path),
         "table": small_table(found[path], place) if at < SHOWN_TABLES else None}
        for at, path in enumerate(p for p in paths if p in found)
    ]  # fmt: skip


def small_table(artifact: Artifact, place: Place, rows: int = PREVIEW_ROWS) -> viewers.Table | None:
    """The first rows of a table file that is small enough to be read in passing."""
    if artifact.size_bytes > PREVIEW_BYTES:
        return None
    found = viewers.look(artifact, address=place.image, limit=rows)
    table = found.get("table")
    return table if isinstance(table, viewers.Table) else None


def curve_data(run: Run, series: dict[str, metricstore.Series]) -> dict[str, Any]:
    """Curves of one run, as the charts read them."""
    return {
        "runs": [
            {
                "id": run.pk, "name": f"{run.pk} {run.name}", "k": 1, "dash": 0,
                "metrics": {
                    name: {
                        "steps": found.steps.tolist(), "times": found.stamps.tolist(),
                        "values": charts.finite(found.values.tolist()), "total": found.total,
                    }
                    for name, found in series.items()
                },
                "started": run.started_ms,
            }
        ]
    }  # fmt: skip


def points_of(run: Run, names: Sequence[str], window: Window | None = None) -> dict[str, metricstore.Series]:
    """Points of some metrics, at most 500 each: of the whole curves, or of the range that is looked at."""
    if window is None:
        found = metricstore.many_series([run.pk], names, at_most=POINTS)
        return {name: series for (_, name), series in found.items()}
    mine = replace(window, origins={run.pk: run.started_ms})
    return {name: part for _, name, part in metricstore.bundle([run.pk], names, at_most=POINTS, window=mine)}


def with_baseline(data: Json, baseline: RunFacts | None, names: Sequence[str], window: Window | None = None) -> Json:
    """Add the curves of the run that is compared with: grey, dotted, behind."""
    shared = [n for n in names if baseline is not None and n in baseline.metrics]
    if baseline is not None and shared:
        (other,) = curve_data(baseline.run, points_of(baseline.run, shared, window))["runs"]
        data["runs"].insert(0, other | {"k": 0, "dash": 2})
    return data


def _job(run: Run) -> TrainingJob | None:
    return TrainingJob.objects.with_context().filter(run=run).first() if run.source == Run.Source.JOB else None


def _metric_line(name: str, facts: RunFacts, baseline: RunFacts | None) -> dict[str, Any]:
    point, other = facts.metrics[name], baseline.value(name) if baseline else None
    delta = point.value - other if other is not None else None
    known = delta is not None and math.isfinite(delta)
    arrow = queries.arrow_of(name)
    better = known and delta != 0 and (delta > 0) == queries.higher_is_better(name)
    return {
        "name": name, "label": queries.label_of(name), "arrow": arrow, "value": point.value, "step": point.step,
        "delta": delta if known else None, "better": better, "judged": bool(arrow),
        "same": delta == 0, "exact": repr(point.value), "finite": math.isfinite(point.value),
    }  # fmt: skip


def _fold_table(run: Run, names: list[str], series: dict[tuple[int, str], metricstore.Series]) -> list[dict[str, Any]]:
    out = []
    for name in names:
        values = [v for v in series[run.pk, name].values.tolist() if math.isfinite(v)]
        if values:
            mean = sum(values) / len(values)
            spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
            metric = name.removeprefix("cv/")
            out.append(
                {
                    "label": queries.label_of(metric),
                    "arrow": queries.arrow_of(metric),
                    "values": values,
                    "mean": mean,
                    "spread": spread,
                }
            )
    return out


def _changed(facts: RunFacts, baseline: RunFacts | None) -> list[queries.Difference]:
    if baseline is None:
        return []
    return [
        d
        for d in queries.differences([baseline, facts])
        if d.section in ("Parameters", "Data and context") and d.name != "state"
    ]
