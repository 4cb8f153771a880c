"""Pages for models that are served elsewhere: make a monitor, send it predictions."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.errors import DomainError
from monitoring.forms.labels import ElsewhereForm, PredictionFile
from monitoring.models import Monitor, PredictionUpload
from monitoring.services import elsewhere
from projects.access import ProjectView
from projects.permissions import Permission

SHOWN = 20


class MonitorCreate(ProjectView):
    """Watch a model that is served elsewhere."""

    reads = Monitor
    permission = Permission.MONITOR_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show(request, ElsewhereForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the monitor, or show what is wrong."""
        form = ElsewhereForm(request.POST)
        if form.is_valid():
            try:
                made = elsewhere.create(self.actor, project=self.project, **form.values())
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(request, f"{made.endpoint} is watched. Send its predictions.")
                return HttpResponseRedirect(reverse("monitoring:monitor-upload", args=[self.project.slug, made.pk]))
        return self.show(request, form, status=422)

    def show(self, request: HttpRequest, form: ElsewhereForm, status: int = 200) -> HttpResponse:
        """Render the form."""
        return render(request, "monitoring/monitor_new.html", {"form": form, "nav": "monitoring"}, status=status)


class Upload(ProjectView):
    """Files of predictions of one monitor."""

    reads = Monitor
    permission = Permission.MONITOR_EDIT

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the form and the newest uploads."""
        return self.show(request, PredictionFile(), self.monitor(number))

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Take the file in, or show what is wrong."""
        monitor = self.monitor(number)
        form = PredictionFile(request.POST, request.FILES)
        if form.is_valid():
            file = form.cleaned_data["file"]
            kind = "parquet" if file.name.casefold().endswith(".parquet") else "csv"
            try:
                elsewhere.take(self.actor, monitor=monitor, file=file, format=kind)
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(request, "The file is stored; a worker takes its predictions in.")
                return HttpResponseRedirect(request.path)
        return self.show(request, form, monitor, status=422)

    def monitor(self, number: int) -> Monitor:
        """Return the monitor of the address."""
        rows = self.rows().in_project(self.project).select_related("project").defer("reference")
        found: Monitor = self.find(rows, pk=number)
        return found

    def show(self, request: HttpRequest, form: PredictionFile, monitor: Monitor, status: int = 200) -> HttpResponse:
        """Render the page."""
        uploads = list(PredictionUpload.objects.filter(monitor=monitor).order_by("-pk")[:SHOWN])
        context: dict[str, Any] = {"form": form, "monitor": monitor, "uploads": uploads, "nav": "monitoring"}
        return render(request, "monitoring/monitor_upload.html", context, status=status)
