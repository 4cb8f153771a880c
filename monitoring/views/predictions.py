"""Pages of predictions: find one, see what the model was given and what it answered."""

import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone

from mlportal.lib.errors import Invalid, Missing
from monitoring.models import Prediction
from monitoring.services import predictions
from projects.access import ProjectView
from projects.models import Event, Project
from projects.permissions import Permission

PAGE_ROWS = 50


class Predictions(ProjectView):
    """The thin table of a project, newest first, with a search by id."""

    reads = Prediction
    permission = Permission.PREDICTION_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        endpoint = request.GET.get("endpoint", "").strip()[:210]
        sought = request.GET.get("q", "").strip()[:200]
        rows = self.rows().in_project(self.project).with_origin()
        if endpoint:
            rows = rows.filter(endpoint=endpoint)
        if sought:
            rows = _search(rows, sought)
        shown, older, newer = _page(rows, request)
        context = {
            "gaps": _gaps(self.project, endpoint), "rows": shown, "endpoint": endpoint, "sought": sought,
            "nav": "monitoring",
            "next": _query(endpoint, sought, before=older), "previous": _query(endpoint, sought, after=newer),
        }  # fmt: skip
        return render(request, "monitoring/predictions.html", context)


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


def _search(rows: Any, sought: str) -> Any:
    key = _key(sought)
    return rows.filter(pk=key) if key else rows.filter(external_id=sought)


def _key(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _page(rows: Any, request: HttpRequest) -> tuple[list[Prediction], str, str]:
    """One page by id; the texts are the ids that the next and the previous page start from, or empty."""
    after, before = _key(request.GET.get("after", "")), _key(request.GET.get("before", ""))
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


def _query(endpoint: str, sought: str, **place: str) -> str:
    if not any(place.values()):
        return ""
    return "?" + urlencode(
        {name: value for name, value in {"endpoint": endpoint, "q": sought, **place}.items() if value}
    )
