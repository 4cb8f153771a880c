"""Alert rules: list, edit, new, switch off; and the pace of monitors."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from mlportal.lib.errors import DomainError
from monitoring.forms.rules import PaceForm, RuleForm
from monitoring.models import AlertRule, Monitor
from monitoring.services import backtests, monitors, rules, segments
from projects.access import ProjectView
from projects.permissions import Permission
from projects.services import marks


def _endpoints(view: ProjectView) -> list[str]:
    rows = Monitor.objects.visible_to(view.actor).in_project(view.project).live().main()
    return list(rows.order_by("endpoint").values_list("endpoint", flat=True))


def _back(view: ProjectView, name: str = "monitoring:rule-list") -> HttpResponse:
    response = redirect(name, project=view.project.slug)
    response.status_code = 303
    return response


def _played(view: ProjectView, form: RuleForm) -> dict[str, Any]:
    """What the settings of a form would have done in the last 90 days; faults go to the form."""
    if not form.is_valid():
        return {"played": None}
    try:
        rule = rules.draft(view.actor, project=view.project, **form.values())
        played = backtests.play(view.actor, project=view.project, rule=rule)
    except DomainError as error:
        form.refuse(error)
        return {"played": None}
    days = backtests.days_of(played)
    most = max((count for _day, count, _real in days), default=0)
    return {"played": played, "days": [(day, count, real, count / most if most else 0) for day, count, real in days],
            "newest": played.firings[::-1][:20]}  # fmt: skip


class RuleList(ProjectView):
    """All rules of the project, and how often each endpoint is judged."""

    reads = AlertRule
    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them by name."""
        live = Monitor.objects.visible_to(self.actor).in_project(self.project).live().defer("reference")
        records = backtests.records(self.project)
        rows = self.rows().in_project(self.project).order_by("-enabled", "name")
        hidden = marks.anywhere(self.project)
        context = {
            "rules": [(rule, records.get(rule.pk, backtests.Record()), segments.told(rule, hidden)) for rule in rows],
            "monitors": live.order_by("endpoint"),
        }
        return render(request, "monitoring/rules.html", context)


class RuleCreate(ProjectView):
    """A new rule."""

    reads = AlertRule
    permission = Permission.MONITOR_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the empty form."""
        return self.show(request, RuleForm(endpoints=_endpoints(self)))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Store it, play it back without storing, or show what is wrong."""
        form = RuleForm(request.POST, endpoints=_endpoints(self))
        if "try" in request.POST:
            return self.show(request, form, **_played(self, form))
        if form.is_valid():
            try:
                rule = rules.create(self.actor, project=self.project, **form.values())
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(request, f"The rule “{rule.name}” is applied from the next window on.")
                return _back(self)
        return self.show(request, form, status=422)

    def show(self, request: HttpRequest, form: RuleForm, status: int = 200, **played: Any) -> HttpResponse:
        """Render the form."""
        context = {"form": form, "rule": None, "segments": segments.offered(self.project), **played}
        return render(request, "monitoring/rule.html", context, status=status)


class RuleEdit(ProjectView):
    """One rule: everybody may look, editors may change."""

    reads = AlertRule
    permission = Permission.MONITOR_VIEW
    write_permission = Permission.MONITOR_EDIT

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the form."""
        rule = self.rule(number)
        return self.show(request, RuleForm(initial=RuleForm.initial_of(rule), endpoints=_endpoints(self)), rule)

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Store the changes, or show what is wrong; a change by somebody else in between is a conflict."""
        rule = self.rule(number)
        form = RuleForm(request.POST, endpoints=[*_endpoints(self), rule.endpoint])
        if "try" in request.POST:
            return self.show(request, form, rule, **_played(self, form))
        if form.is_valid():
            try:
                rules.update(self.actor, rule=rule, revision=form.cleaned_data["revision"], **form.changes(rule))
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(request, f"The rule “{rule.name}” is saved.")
                return _back(self)
        return self.show(request, form, rule, status=422)

    def rule(self, number: int) -> AlertRule:
        """Return the rule of the address."""
        found: AlertRule = self.find(self.rows().in_project(self.project), pk=number)
        return found

    def show(
        self, request: HttpRequest, form: RuleForm, rule: AlertRule, status: int = 200, **played: Any
    ) -> HttpResponse:
        """Render the form."""
        context = {"form": form, "rule": rule, "segments": segments.offered(self.project), **played}
        return render(request, "monitoring/rule.html", context, status=status)


class MonitorPace(ProjectView):
    """How often and over how much one endpoint is judged."""

    reads = Monitor
    permission = Permission.MONITOR_EDIT

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the form."""
        monitor = self.monitor(number)
        return self.show(request, PaceForm(monitor=monitor), monitor)

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Store the pace, or show what is wrong."""
        monitor = self.monitor(number)
        form = PaceForm(request.POST, monitor=monitor)
        if form.is_valid():
            try:
                monitors.update_pace(self.actor, monitor=monitor, **form.cleaned_data)
            except DomainError as error:
                form.refuse(error)
            else:
                messages.success(request, f"{monitor.endpoint} is judged by the new pace from now on.")
                return _back(self)
        return self.show(request, form, monitor, status=422)

    def monitor(self, number: int) -> Monitor:
        """Return the live monitor of the address."""
        found: Monitor = self.find(self.rows().in_project(self.project).live().defer("reference"), pk=number)
        return found

    def show(self, request: HttpRequest, form: PaceForm, monitor: Monitor, status: int = 200) -> HttpResponse:
        """Render the form."""
        context: dict[str, Any] = {"form": form, "monitor": monitor}
        return render(request, "monitoring/pace.html", context, status=status)
