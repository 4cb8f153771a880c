"""Send labels as a file, and choose what a monitor counts apart."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.errors import DomainError
from monitoring.forms.labels import LabelFile, WatchForm
from monitoring.models import GroundTruth, Monitor
from monitoring.services import monitors, truthfiles
from projects.access import ProjectView
from projects.permissions import Permission


class Labels(ProjectView):
    """A CSV of what turned out to be true."""

    reads = GroundTruth
    permission = Permission.PREDICTION_LABEL

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show(request, LabelFile())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Record the labels, or say which line is wrong."""
        form = LabelFile(request.POST, request.FILES)
        if form.is_valid():
            try:
                done = truthfiles.record(self.actor, project=self.project, file=form.cleaned_data["file"])
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(
                    request,
                    f"{done.matched:,} labels recorded; {done.waiting:,} wait up to 30 days for their prediction.",
                )
                return HttpResponseRedirect(reverse("monitoring:monitor-performance", args=[self.project.slug]))
        return self.show(request, form, status=422)

    def show(self, request: HttpRequest, form: LabelFile, status: int = 200) -> HttpResponse:
        """Render the form."""
        context = {"form": form, "nav": "monitoring", "most": truthfiles.MOST_ROWS}
        return render(request, "monitoring/labels.html", context, status=status)


class MonitorWatch(ProjectView):
    """Columns that are counted apart, groups that are compared, and how long labels take."""

    reads = Monitor
    permission = Permission.MONITOR_EDIT

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the form."""
        monitor = self.monitor(number)
        return self.show(request, WatchForm(monitor=monitor), monitor)

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Store the choice, or show what is wrong."""
        monitor = self.monitor(number)
        form = WatchForm(request.POST, monitor=monitor)
        if form.is_valid():
            try:
                monitors.update_watch(self.actor, monitor=monitor, **form.values())
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(request, f"{monitor.endpoint} is counted by these columns; stored requests follow.")
                where = reverse("monitoring:monitor-fairness", args=[self.project.slug])
                return HttpResponseRedirect(f"{where}?endpoint={monitor.endpoint}")
        return self.show(request, form, monitor, status=422)

    def monitor(self, number: int) -> Monitor:
        """Return the live monitor of the address."""
        found: Monitor = self.find(self.rows().in_project(self.project).live().select_related("project"), pk=number)
        return found

    def show(self, request: HttpRequest, form: WatchForm, monitor: Monitor, status: int = 200) -> HttpResponse:
        """Render the form."""
        context: dict[str, Any] = {"form": form, "monitor": monitor, "nav": "monitoring"}
        return render(request, "monitoring/watch.html", context, status=status)
