"""Pages of predictions: find one, see what the model was given and what it answered."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone

from mlportal.lib.errors import Invalid, Missing
from monitoring.models import Monitor, Prediction
from monitoring.services import predictionlog, predictions
from projects.access import ProjectView
from projects.models import Event, Project
from projects.permissions import Permission

PAGE_ROWS = 50
VERSIONS = 500


class Predictions(ProjectView):
    """The thin table of a project, newest first, with a search by id, time, version and outcome."""

    reads = Prediction
    permission = Permission.PREDICTION_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        given, trouble = request.GET, ""
        try:
            chosen = predictionlog.Chosen.read(given)
        except Invalid as error:
            chosen, trouble = predictionlog.Chosen(endpoint=given.get("endpoint", "").strip()[:210]), error.message
        rows = predictionlog.found(self.actor, project=self.project, chosen=chosen)
        shown, older, newer = ([], "", "") if trouble else _page(rows, request)
        wanted = {name: given.get(name, "").strip()[:210] for name in predictionlog.FIELDS}
        context = {
            "gaps": _gaps(self.project, chosen.endpoint), "rows": shown, "endpoint": chosen.endpoint, "wanted": wanted,
            "sought": any(value for name, value in wanted.items() if name != "endpoint"), "trouble": trouble,
            "labels": predictionlog.LABELS.items(),
            "protocols": [choice for choice in Prediction.Protocol.choices if choice[0]],
            "versions": _versions(self.project, chosen.endpoint),
            "query": _query(wanted), "most": predictionlog.MOST_EXPORTED, "nav": "monitoring",
            "next": _query(wanted, before=older) if older else "",
            "previous": _query(wanted, after=newer) if newer else "",
        }  # fmt: skip
        return render(request, "monitoring/predictions.html", context, status=422 if trouble else 200)


class PredictionExport(ProjectView):
    """What was found as a CSV."""

    reads = Prediction
    permission = Permission.PREDICTION_VIEW

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        lines = predictionlog.export(self.actor, project=self.project, chosen=predictionlog.Chosen.read(request.GET))
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="predictions.csv"'
        return response


class PredictionDetail(ProjectView):
    """One prediction with its features, probabilities and labels."""

    reads = Prediction
    permission = Permission.PREDICTION_VIEW

    def get(self, request: HttpRequest, prediction: uuid.UUID) -> HttpResponse:
        rows = self.rows().in_project(self.project).with_origin().select_related("project")
        found = self.find(rows.prefetch_related("truths"), pk=prediction)
        try:
            inside, lost = predictions.content(self.actor, prediction=found), ""
        except Missing as error:
            inside, lost = predictions.Content({}, {}), error.message
        context = {"prediction": found, "content": inside, "lost": lost, "nav": "monitoring"}
        return render(request, "monitoring/prediction.html", context)

    def post(self, request: HttpRequest, prediction: uuid.UUID) -> HttpResponse:
        """Record what turned out to be true for it."""
        found = self.find(self.rows().in_project(self.project), pk=prediction)
        item = {"prediction_id": str(found.pk), "label": request.POST.get("label", "")}
        try:
            predictions.record_truth(self.actor, project=self.project, items=[item])
        except Invalid as error:
            messages.error(request, error.message.removeprefix("items[0]."))
        else:
            messages.success(request, "The label is recorded.")
        return HttpResponseRedirect(request.path)


def _gaps(project: Project, endpoint: str) -> int:
    """Rows of the last week that were answered without a log line."""
    since = timezone.now() - timedelta(days=7)
    found = Event.objects.filter(project=project, verb="predictions.unlogged", at__gte=since)
    return sum(event.data["rows"] for event in found if endpoint in ("", event.data["endpoint"]))


def _versions(project: Project, endpoint: str) -> list[str]:
    """Versions to choose from: those that are or were watched."""
    rows = Monitor.objects.in_project(project)
    rows = rows.filter(endpoint=endpoint) if endpoint else rows
    return sorted(set(rows.order_by("-pk").values_list("version", flat=True)[:VERSIONS]))


def _page(rows: Any, request: HttpRequest) -> tuple[list[Prediction], str, str]:
    """One page by id; the texts are the ids that the next and the previous page start from, or empty."""
    after, before = (
        predictionlog.identifier(request.GET.get("after", "")),
        predictionlog.identifier(request.GET.get("before", "")),
    )
    if after:
        found = list(rows.filter(pk__gt=after).order_by("id")[: PAGE_ROWS + 1])
        more_newer, more_older = len(found) > PAGE_ROWS, True
        shown = found[:PAGE_ROWS][::-1]
    else:
        if before:
            rows = rows.filter(pk__lt=before)
        found = list(rows.order_by("-id")[: PAGE_ROWS + 1])
        more_newer, more_older = before is not None, len(found) > PAGE_ROWS
        shown = found[:PAGE_ROWS]
    older = str(shown[-1].pk) if shown and more_older else ""
    newer = str(shown[0].pk) if shown and more_newer else ""
    return shown, older, newer


def _query(wanted: Mapping[str, str], **place: str) -> str:
    return "?" + urlencode({name: value for name, value in {**wanted, **place}.items() if value})
