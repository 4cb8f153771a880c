"""The page that says why one logged prediction said what it said."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments.services import explanations, told
from deployments.views import explained
from deployments.views.answers import see
from mlportal.lib.errors import Conflict
from monitoring.models import Prediction
from projects.access import ProjectView
from projects.permissions import Permission


class PredictionExplain(ProjectView):
    """What each column added to one answer; a worker computes it when somebody asks."""

    reads = Prediction
    permission = Permission.PREDICTION_VIEW

    def get(self, request: HttpRequest, prediction: uuid.UUID) -> HttpResponse:
        """Show it as far as it is; htmx asks while a worker computes."""
        found = self.load(prediction)
        work = told.found(self.actor, prediction=found)
        context = {"prediction": found, "work": work, "nav": "monitoring", "here": told.version_of(found) is not None}
        if work is not None and work.result is not None:
            result = explanations.readable(self.actor, version=work.version, result=work.result)
            context["explained"] = explained.shown(result, "1")
        return render(request, "deployments/prediction_explained.html", context)

    def post(self, request: HttpRequest, prediction: uuid.UUID) -> HttpResponse:
        """Have it explained."""
        try:
            told.ask(self.actor, prediction=self.load(prediction))
        except Conflict as error:
            messages.error(request, error.message)
        return see(request.path)

    def load(self, key: uuid.UUID) -> Prediction:
        """Return the prediction of the address."""
        rows = self.rows().in_project(self.project).with_origin().select_related("project")
        found: Prediction = self.find(rows, pk=key)
        return found
