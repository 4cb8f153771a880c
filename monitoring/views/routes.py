"""Routes of alerts: the ordered list with its channels, one route, and the silences in force."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from mlportal.lib.errors import DomainError
from mlportal.lib.forms import Form
from monitoring.models import AlertRoute, Silence
from monitoring.services import alerts, routes
from monitoring.views.alerts import silence_until
from projects.access import ProjectView
from projects.models import Channel
from projects.permissions import Permission

NUMBERS = ("group_wait", "group_interval", "repeat", "repeat_critical", "escalate_after")


class RouteForm(Form):
    """All settings of a route; the service judges them."""

    name = forms.CharField(max_length=100)
    matchers = forms.CharField(
        max_length=500, required=False, help_text="Such as severity=critical, endpoint=~churn-.*; empty: every alert."
    )
    channel = forms.TypedChoiceField(coerce=int)
    position = forms.IntegerField(required=False, help_text="The first route that matches takes an alert.")
    group_by = forms.CharField(max_length=500, initial="endpoint", help_text="Labels that one message shares.")
    group_wait = forms.IntegerField(initial=30, label="First message after (seconds)")
    group_interval = forms.IntegerField(initial=300, label="Further news after (seconds)")
    repeat = forms.IntegerField(initial=14_400, label="Again after (seconds)")
    repeat_critical = forms.IntegerField(initial=3600, label="Again after, critical (seconds)")
    escalate_after = forms.IntegerField(
        initial=1800, label="Passed on after (seconds)",
        help_text="Unacknowledged critical alerts go to the next route that matches; 0: never.",
    )  # fmt: skip
    enabled = forms.BooleanField(required=False, initial=True, label="Apply this route")

    def __init__(self, *args: Any, channels: list[Channel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"].choices = [(one.pk, f"{one.name} ({one.get_kind_display()})") for one in channels]

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        given = dict(self.cleaned_data)
        given["group_by"] = [one.strip() for one in given["group_by"].split(",") if one.strip()]
        return given if given["position"] is not None else {k: v for k, v in given.items() if k != "position"}


class _Routes(ProjectView):
    abstract = True
    reads = AlertRoute
    permission = Permission.MONITOR_EDIT

    def held(self) -> Any:
        """Routes that were not removed."""
        return self.rows().in_project(self.project).filter(removed_at=None).select_related("project", "channel")

    def channels(self) -> list[Channel]:
        """Channels that a route can have."""
        rows = Channel.objects.visible_to(self.actor).in_project(self.project).filter(removed_at=None)
        return list(rows.exclude(kind=Channel.Kind.MLFLOW).order_by("name"))

    def back(self) -> HttpResponse:
        """To the list."""
        response = redirect("monitoring:route-list", project=self.project.slug)
        response.status_code = 303
        return response

    def form_page(
        self, request: HttpRequest, form: RouteForm, route: AlertRoute | None, status: int = 200
    ) -> HttpResponse:
        """Render the form."""
        return render(request, "monitoring/route.html", {"form": form, "route": route}, status=status)


class RouteList(_Routes):
    """Routes in their order, and silences in force."""

    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show both."""
        active = Silence.objects.visible_to(self.actor).in_project(self.project).active(timezone.now())
        context = {
            "routes": self.held().order_by("position", "pk"),
            "silences": active.select_related("author", "rule").order_by("ends_at"),
        }
        return render(request, "monitoring/routes.html", context)


class RouteCreate(_Routes):
    """A new route."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the empty form."""
        return self.form_page(request, RouteForm(channels=self.channels()), None)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Store it, or show what is wrong."""
        form = RouteForm(request.POST, channels=self.channels())
        if form.is_valid():
            made = form.attempt(lambda: routes.create(self.actor, project=self.project, **form.values()))
            if made is not None:
                messages.success(request, f"The route “{made.name}” decides from now on.")
                return self.back()
        return self.form_page(request, form, None, 422)


class RouteEdit(_Routes):
    """One route."""

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the form."""
        route = self.find(self.held(), pk=number)
        shown = {field: getattr(route, field) for field in (*NUMBERS, "name", "matchers", "position", "enabled")}
        initial = shown | {"channel": route.channel_id, "group_by": ", ".join(route.group_by)}
        return self.form_page(request, RouteForm(initial=initial, channels=self.channels()), route)

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Store the changes, or take the route away."""
        route = self.find(self.held(), pk=number)
        if "remove" in request.POST:
            routes.remove(self.actor, route=route)
            messages.success(request, f"The route “{route.name}” is removed.")
            return self.back()
        form = RouteForm(request.POST, channels=self.channels())
        saved = form.attempt(lambda: self._save(route, form)) if form.is_valid() else None
        if saved is not None:
            messages.success(request, f"The route “{route.name}” is saved.")
            return self.back()
        return self.form_page(request, form, route, 422)

    def _save(self, route: AlertRoute, form: RouteForm) -> AlertRoute:
        return routes.update(self.actor, route=route, **form.values())


class SilenceCreate(_Routes):
    """A silence by labels."""

    permission = Permission.ALERT_HANDLE
    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """Begin it now."""
        given = request.POST
        try:
            until = silence_until(given.get("for", ""), timezone.now())
            alerts.silence_matching(
                self.actor, project=self.project, text=given.get("matchers", ""), until=until,
                reason=given.get("reason", ""),
            )  # fmt: skip
        except DomainError as error:
            if error.status in (403, 404):
                raise
            messages.error(request, error.message)
        else:
            messages.success(request, "Alerts with these labels are silent now.")
        return self.back()


class SilenceEnd(_Routes):
    """The end of a silence."""

    reads = Silence
    permission = Permission.ALERT_HANDLE
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """End it now."""
        rows = self.rows().in_project(self.project).select_related("project")
        silence = self.find(rows, pk=number)
        try:
            alerts.end_silence(self.actor, silence=silence)
        except DomainError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, "The silence is over.")
        return self.back()
