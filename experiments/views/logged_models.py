"""Pages of logged models: those of an experiment, and one of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from experiments import queries
from experiments.models import LoggedModel, LoggedModelMetric, RunModel
from experiments.queries import files
from experiments.views.files import LoggedModelPage, tree
from experiments.views.places import Place
from experiments.views.runs_of import RunsOf
from experiments.views.technical import technical

PAGE = 50
POINTS = 500
SHOWN_METRICS = 4
READERS = 50


class ModelList(RunsOf):
    """Logged models of one experiment."""

    def get(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """List them, the newest first."""
        found, given = self.experiment(experiment), request.GET.get("before", "")
        before = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
        rows = queries.models_of_experiment(found, limit=PAGE + 1, before=before)
        lines = queries.model_lines(rows[:PAGE])
        names = list(dict.fromkeys(name for line in lines for name in line.metrics))[:SHOWN_METRICS]
        context = {
            "experiment": found, "lines": [(line, [line.metrics.get(n) for n in names]) for line in lines],
            "metric_names": names, "next": f"?before={rows[PAGE - 1].pk}" if len(rows) > PAGE else "",
            "previous": "?" if before else "", "total": LoggedModel.objects.active().filter(experiment=found).count(),
        }  # fmt: skip
        return render(request, "experiments/logged_model_list.html", context)


class ModelShow(LoggedModelPage):
    """Everything about a logged model."""

    def get(self, request: HttpRequest, model: str) -> HttpResponse:
        """Show it."""
        found = self.load(model)
        place = Place(found, self.project.slug)
        listed = files.listing(found)
        tags = dict(found.tag_rows.order_by("key").values_list("key", "value"))
        links = RunModel.objects.filter(logged_model=found).select_related("run").order_by("-pk")[:READERS]
        context = {
            "model": found, "experiment": found.experiment, "place": place,
            "params": list(found.param_rows.order_by("key").values_list("key", "value")),
            "tags": list(queries.own_tags(tags).items()), "technical": technical(tags),
            "note": tags.get(queries.NOTE, ""), "metrics": _metrics(found),
            "versions": queries.versions_of(logged_models=[found.pk]), "links": links,
            "created": _moment(found.created_ms), "updated": _moment(found.updated_ms),
            "size": sum(f.size_bytes for f in listed.folders) + sum(f.size_bytes for f in listed.files),
            "file_count": listed.total + sum(f.files for f in listed.folders), **tree(listed, place),
        }  # fmt: skip
        return render(request, "experiments/logged_model_show.html", context)


def _metrics(model: LoggedModel) -> list[dict[str, Any]]:
    """The latest point of each metric on each dataset."""
    found: dict[tuple[str, str, str], LoggedModelMetric] = {}
    rows = LoggedModelMetric.objects.filter(logged_model=model).select_related("run")
    for row in rows.order_by("-step", "-stamp_ms", "-value")[:POINTS]:
        found.setdefault((row.key, row.dataset_name, row.dataset_digest), row)
    return [
        {"key": key, "label": queries.label_of(key), "value": math.nan if row.is_nan else row.value, "step": row.step,
         "dataset": name, "digest": digest, "run": row.run_id}
        for (key, name, digest), row in sorted(found.items(), key=lambda pair: pair[0])
    ]  # fmt: skip


def _moment(stamp_ms: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(stamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
