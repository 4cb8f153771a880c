"""The project's overview: from data to production in one row, what needs attention, recent runs, activity."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from deployments.models import Endpoint, ModelVersion, PromotionRequest
from experiments import metricstore
from experiments.models import Run, TrainingJob
from experiments.training import catalogue
from mlportal.lib.lease import ACTIVE, WorkState
from mlportal.lib.quantities import metric, num
from mlportal.views import activity, waiting
from monitoring.models import Alert, Window
from monitoring.models.rules import Severity
from projects.access import ProjectView
from projects.models import DatasetVersion, Project
from projects.permissions import Permission

RECENT = 9
BEST_DAYS = 30
BEST_RUNS = 200


@dataclass(frozen=True)
class Step:
    """One step of the rail."""

    icon: str
    label: str
    title: str
    href: str
    small: str = ""
    state: str = ""
    words: str = ""


@dataclass
class Recent:
    """The newest runs with two metrics of each and the line of the first."""

    runs: list[Run]
    keys: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def has_course(self) -> bool:
        """Whether any run logged the first metric more than once, so that there is a line to draw."""
        return any(len(row["spark"]) > 1 for row in self.rows)

    @property
    def heads(self) -> list[str]:
        """Column heads with the arrow of the better direction."""
        return [_head(key) for key in self.keys]


class Overview(ProjectView):
    """The first page of a project."""

    reads = Project
    permission = Permission.PROJECT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        recent = recent_runs(self.project)
        items = waiting.for_person(self.actor, self.project)
        values = {
            "rail": rail(self.project), "items": items[:8], "item_count": len(items), "recent": recent,
            "best": best(self.project, recent.keys[0]) if recent.keys else None,
            "activity": activity.of(self.project), "fresh": not recent.runs,
        }  # fmt: skip
        return render(request, "overview.html", values)


def _head(key: str) -> str:
    known = catalogue.METRICS.get(key)
    arrow = "↓" if known and known["better"] == "lower" else "↑"
    return f"{known['label'] if known else key} {arrow}"


# ---------------------------------------------------------------- the rail


def rail(project: Project) -> list[Step]:
    """Data, training, candidate, production, monitoring: seven queries."""
    root = f"/p/{project.slug}/"
    return [_data(project, root), _training(project, root), _candidate(project, root), _production(project, root),
            _monitoring(project, root)]  # fmt: skip


def _data(project: Project, root: str) -> Step:
    rows = DatasetVersion.objects.in_project(project).select_related("dataset")
    version = rows.only("number", "state", "row_count", "created_at", "dataset__name").order_by("-pk").first()
    if version is None:
        return Step("database", "Data", "No dataset yet", f"{root}datasets/", "Upload a table or take a sample")
    small = f"{num(version.row_count)} rows" if version.row_count else "being profiled"
    return Step(
        "database", "Data", f"{version.dataset.name} v{version.number}",
        f"{root}datasets/{version.dataset.name}/v/{version.number}/", small, version.state,
        "ready" if version.state == WorkState.SUCCEEDED else "",
    )  # fmt: skip


def _training(project: Project, root: str) -> Step:
    job = TrainingJob.objects.in_project(project).select_related("run").order_by("-pk").first()
    if job is None:
        return Step("flask", "Training", "No run yet", f"{root}jobs/new/", "Launch training")
    counts = TrainingJob.objects.in_project(project).aggregate(
        running=Count("pk", filter=Q(state__in=ACTIVE)), queued=Count("pk", filter=Q(state=WorkState.QUEUED))
    )
    words = f"{job.progress_percent}%" if job.is_active else ""
    small = f"{counts['running']} running, {counts['queued']} queued"
    return Step("flask", "Training", f"Run {job.run_id}", f"{root}runs/{job.run_id}/", small, job.state, words)


def _candidate(project: Project, root: str) -> Step:
    request = PromotionRequest.objects.in_project(project).in_brief().order_by("-pk").first()
    if request is not None:
        state = "waiting" if request.is_pending else request.state
        words = "waiting for review" if request.is_pending else ""
        small = f"to {request.environment.name}, asked by {request.requested_by}"
        return Step("box", "Candidate", str(request.version), f"{root}promotions/{request.pk}/", small, state, words)
    version = ModelVersion.objects.in_project(project).select_related("model").order_by("-pk").first()
    if version is None:
        return Step("box", "Candidate", "No model yet", f"{root}models/", "Register a run's model")
    place = f"{root}models/{quote(version.model.name, safe='')}/v/{version.number}/"
    return Step("box", "Candidate", str(version), place, "not requested anywhere", version.state)


def _production(project: Project, root: str) -> Step:
    live = Endpoint.objects.in_project(project).with_live().exclude(current_revision=None)
    endpoint = live.order_by("-environment__position", "-current_revision__created_at").first()
    if endpoint is None or endpoint.current_revision is None:
        return Step("server-2", "Production", "Nothing is live", f"{root}deployments/", "Approval puts a model live")
    revision = endpoint.current_revision
    state, words = ("live", "answering") if endpoint.enabled else ("disabled", "switched off")
    small = f"{endpoint.environment.name}, revision {revision.number}"
    return Step(
        "server-2", "Production", str(revision.version), f"{root}deployments/{endpoint.name}/", small, state, words
    )


def _monitoring(project: Project, root: str) -> Step:
    """Say what the open alerts come to: the worst of them, and how many features moved where one tells of drift."""
    alerts = Alert.objects.in_project(project).shown().worst_first()
    shown = list(alerts.values_list("severity", "rule__metric", "monitor")[:200])
    if not shown:
        return Step("activity", "Monitoring", "Nothing open", f"{root}monitoring/", "no alert fires", "ok", "quiet")
    moved = next(((monitor,) for _severity, metric, monitor in shown if metric.startswith("drift")), None)
    title = _drifted(*moved) if moved else "No drift"
    worst = Counter(severity for severity, *_rest in shown)
    severity = next(one for one in Severity if worst[one])
    words = f"{worst[severity]} {severity} alert{'s' if worst[severity] != 1 else ''}"
    return Step("activity", "Monitoring", title, f"{root}monitoring/", f"{len(shown)} open", severity, words)


def _drifted(monitor: int | None) -> str:
    """Say how many features moved in the newest window of a monitor: one alert stands for all of them."""
    newest = Window.objects.filter(monitor=monitor).order_by("-ends_at").values_list("drifted", flat=True).first()
    return f"{newest} feature{'s' if newest != 1 else ''} drifted" if newest else "Drift"


# ---------------------------------------------------------------- runs


def recent_runs(project: Project) -> Recent:
    """The newest runs with their primary metric, a second one, and a small line: four queries whatever their number."""
    runs = list(Run.objects.in_project(project).active().with_context().order_by("-started_ms", "-pk")[:RECENT])
    latest = metricstore.latest([run.pk for run in runs])
    recent = Recent(runs, _columns(runs, latest))
    sparks = metricstore.sparks([run.pk for run in runs], recent.keys[:1])
    first = recent.keys[0] if recent.keys else ""
    for run in runs:
        values = [latest[run.pk][key].value if key in latest[run.pk] else None for key in recent.keys]
        recent.rows.append({"run": run, "values": values, "spark": sparks.get((run.pk, first), [])})
    return recent


def _columns(runs: list[Run], latest: dict[int, dict[str, metricstore.Latest]]) -> list[str]:
    """The metric most runs call primary, and the commonest other known one."""
    seen = Counter(key for values in latest.values() for key in values if not key.startswith("cv/"))
    if not seen:
        return []
    primary = Counter(run.primary_metric for run in runs if run.primary_metric in seen)
    known = [key for key in catalogue.METRICS if key in seen]
    ranked = [key for key, _count in primary.most_common(1)] + known + sorted(seen)
    first = ranked[0]
    lower = [key for key in known if key != first and catalogue.METRICS[key]["better"] == "lower"]
    return [first, *(lower or [key for key in ranked if key != first])[:1]]


def best(project: Project, key: str) -> dict[str, Any] | None:
    """How the best value of a metric grew over thirty days."""
    since = int((timezone.now().timestamp() - BEST_DAYS * 86400) * 1000)
    runs = Run.objects.in_project(project).active().filter(state=Run.State.FINISHED, started_ms__gte=since)
    ids = list(runs.order_by("-started_ms").values_list("pk", flat=True)[:BEST_RUNS])[::-1]
    found = metricstore.latest(ids, [key])
    values = [(found[pk][key].value, pk) for pk in ids if key in found[pk] and math.isfinite(found[pk][key].value)]
    if not values:
        return None
    better = min if catalogue.METRICS.get(key, {}).get("better") == "lower" else max
    line: list[float] = []
    for value, _pk in values:
        line.append(better(line[-1], value) if line else value)
    top, run = better(values)
    return {"label": _head(key)[:-2], "value": metric(top), "run": run, "line": line, "gain": line[-1] - line[0]}
