"""Pages of one run."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments import charts, metricstore, queries
from experiments.models import Artifact, Run
from experiments.queries import RunFacts
from experiments.services import runs
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError, Invalid
from projects.access import ProjectView
from projects.permissions import Permission

CURVES = 6
POINTS = 500
REPORT_BYTES = 4 * 2**20
REPORTS = ("metrics", "confusion_matrix", "roc", "precision_recall", "calibration", "residuals", "importance")


class RunPage(ProjectView):
    """Base of the pages of one run."""

    abstract = True
    reads = Run
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def load(self, number: int) -> Run:
        """The run of the address, or 404."""
        return self.find(self.rows().in_project(self.project).with_context(), pk=number)


class RunShow(RunPage):
    """Everything about a run."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Show it."""
        facts = queries.facts(self.load(run))
        return render(request, "experiments/run_show.html", page_context(facts))


def page_context(facts: RunFacts, **more: Any) -> dict[str, Any]:
    """What the run page reads."""
    run = facts.run
    names = queries.default_metrics(run.experiment, list(facts.metrics))
    series = metricstore.many_series([run.pk], names, at_most=POINTS)
    drawn = [n for n in names if len(series[run.pk, n].values) > 1 and "/" not in n][:CURVES]
    folds = [n for n in names if n.startswith("cv/")]
    artifacts = list(Artifact.objects.filter(run=run).order_by("path"))
    baseline = _baseline(facts)
    return {
        "run": run, "facts": facts, "experiment": run.experiment, "job": _job(run), "tags": sorted(facts.tags.items()),
        "metrics": [_metric_line(n, facts, baseline) for n in names if not n.startswith("cv/")],
        "curves": [_curve_head(n, facts) for n in drawn],
        "curve_data": curve_data(run, {n: series[run.pk, n] for n in drawn}),
        "folds": _fold_table(run, folds, series), "params": sorted(facts.params.items()),
        "changed": _changed(facts, baseline), "baseline": baseline, "artifacts": artifacts,
        "can_register": any(a.path == "model/model.skops" for a in artifacts) and run.state == Run.State.FINISHED,
        **_reports(artifacts), **more,
    }  # fmt: skip


def _curve_head(name: str, facts: RunFacts) -> dict[str, Any]:
    return {"name": name, "label": queries.label_of(name), "arrow": _arrow(name), "value": facts.value(name)}


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


class RunSeries(RunPage):
    """The curves of a run that is still working, for its open page."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Send the asked metrics, thinned, and the run's state."""
        found = self.load(run)
        names = request.GET.getlist("key")
        if len(names) > CURVES:
            raise Invalid(f"At most {CURVES} metrics.", field="key", limit=CURVES, got=len(names))
        series = metricstore.many_series([found.pk], names, at_most=POINTS)
        latest = metricstore.latest([found.pk], names)[found.pk]
        body = {
            "state": found.state,
            "settled": found.is_settled,
            "latest": {n: p.value if math.isfinite(p.value) else None for n, p in latest.items()},
            **curve_data(found, {name: s for (_, name), s in series.items()}),
        }
        return HttpResponse(orjson.dumps(body), content_type="application/json")


class RunNotes(RunPage):
    """Name and notes of a run."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Save them, or show the page again with what is wrong."""
        found = self.load(run)
        try:
            runs.annotate(self.actor, run=found, name=request.POST.get("name"), notes=request.POST.get("notes"))
        except DomainError as error:
            context = page_context(queries.facts(found), error=error, given=request.POST)
            return render(request, "experiments/run_show.html", context, status=422)
        return redirect("experiments:run-show", self.project.slug, found.pk)


class RunTags(RunPage):
    """Tags of a run."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Add or remove one tag."""
        found = self.load(run)
        try:
            if drop := request.POST.get("drop", ""):
                runs.drop_tag(self.actor, run=found, key=drop)
            else:
                name, _, value = request.POST.get("tag", "").strip().partition("=")
                runs.set_tags(self.actor, run=found, tags={name.strip(): value.strip()})
        except DomainError as error:
            return render(
                request, "experiments/run_show.html", page_context(queries.facts(found), error=error), status=422
            )
        return redirect("experiments:run-show", self.project.slug, found.pk)


class RunArchive(RunPage):
    """Hide a run from lists, or show it again."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Archive an active run; restore an archived one."""
        found = self.load(run)
        if found.lifecycle == "deleted":
            runs.restore(self.actor, run=found)
            messages.success(request, f"Run {found.pk} restored.")
        else:
            runs.delete(self.actor, run=found)
            messages.success(request, f"Run {found.pk} archived. It can be restored here.")
        return redirect("experiments:run-show", self.project.slug, found.pk)


def _job(run: Run) -> Any:
    return getattr(run, "job", None) if run.source == Run.Source.JOB else None


def _baseline(facts: RunFacts) -> RunFacts | None:
    """What the job named as baseline, else the best other run by the primary metric."""
    job = _job(facts.run)
    number = job.baseline_id if job is not None else None
    if number is None:
        names = queries.default_metrics(facts.run.experiment, metricstore.known_keys(facts.run.experiment_id)["metric"])
        number = queries.best_run(facts.run.experiment, names[0], without=[facts.run.pk]) if names else None
    found = queries.facts_of([number]) if number else []
    return found[0] if found else None


def _metric_line(name: str, facts: RunFacts, baseline: RunFacts | None) -> dict[str, Any]:
    point, other = facts.metrics[name], baseline.value(name) if baseline else None
    delta = point.value - other if other is not None else None
    known = delta is not None and math.isfinite(delta)
    better = known and delta != 0 and (delta > 0) == queries.higher_is_better(name)
    return {
        "name": name, "label": queries.label_of(name), "arrow": _arrow(name), "value": point.value, "step": point.step,
        "delta": delta if known else None, "better": better,
        "same": delta == 0, "exact": repr(point.value),
    }  # fmt: skip


def _arrow(name: str) -> str:
    return "↑" if queries.higher_is_better(name) else "↓"


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
                    "arrow": _arrow(metric),
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


def _reports(artifacts: list[Artifact]) -> dict[str, Any]:
    """Figures from the JSON artifacts of a training; a report that cannot be read is left out by name."""
    found, broken = {}, []
    for artifact in artifacts:
        name = artifact.path.removesuffix(".json")
        if name not in REPORTS or artifact.size_bytes > REPORT_BYTES:
            continue
        try:
            found[name] = json.loads(blobs.read_bytes(artifact.sha256, limit_bytes=REPORT_BYTES))
        except (ValueError, DomainError):
            broken.append(artifact.path)
    try:
        figures, matrix = (
            _figures(found),
            charts.confusion(found["confusion_matrix"]) if "confusion_matrix" in found else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        # Artifacts of the API may have these names and any content.
        figures, matrix, broken = [], None, [*broken, "a report of unknown shape"]
    return {"figures": figures, "confusion": matrix, "broken_reports": broken}


def _figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    makers = (
        ("roc", "ROC", charts.roc), ("precision_recall", "Precision and recall", charts.precision_recall),
        ("calibration", "Calibration", charts.calibration), ("residuals", "Predicted and actual", charts.residuals),
        ("residuals", "Residuals", charts.residual_histogram),
        ("importance", "Permutation importance", charts.importance),
    )  # fmt: skip
    return [
        {"id": f"fig-{at}", "heading": heading, "data": make(found[name])}
        for at, (name, heading, make) in enumerate(makers)
        if found.get(name)
    ]
