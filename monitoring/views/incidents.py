"""Incidents: the list, one incident with its ranked causes, and what people do with it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from mlportal.lib.errors import DomainError, Missing
from monitoring.models import Alert, AlertTransition, Incident
from monitoring.models.alerts import SHOWN
from monitoring.models.rules import Severity
from monitoring.services import alerts, causes, incidents
from monitoring.services.causes import VERBS, is_near
from monitoring.views.alerts import LINE_ICONS, SEVERITY_LOOK, silence_until, state_words, way_back
from projects.access import ProjectView
from projects.models import Event
from projects.permissions import Permission
from projects.views import event_links

PAGE = 50
MOST_WAYS = 3
KIND_ICONS = {
    "deploy": "server-2", "data": "database", "drift": "activity", "schema": "table", "traffic": "chart-line",
    "rule": "adjustments-horizontal", "log": "alert-triangle", "mix": "users", "labels": "clock",
}  # fmt: skip


class IncidentList(ProjectView):
    """Incidents of the project, open ones first."""

    reads = Incident
    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the open ones, or those that are closed."""
        closed = request.GET.get("state") == "closed"
        rows = self.rows().in_project(self.project).filter(closed_at__isnull=not closed)
        rows = rows.annotate(total=Count("alerts"), firing=Count("alerts", filter=Q(alerts__state__in=SHOWN)))
        order = ("-closed_at", "-pk") if closed else ("severity_rank", "-opened_at", "-pk")
        listed = rows.select_related("closed_by").order_by(*order)[:PAGE]
        context = {"listed": [_line(one) for one in listed], "tab": "closed" if closed else "open"}
        return render(request, "monitoring/incidents.html", context)


class IncidentDetail(ProjectView):
    """One incident."""

    reads = Incident
    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show causes, alerts and what happened around it."""
        return render(request, "monitoring/incident.html", self.context(number))

    def context(self, number: int) -> dict[str, Any]:
        """Collect what the page shows."""
        rows = self.rows().in_project(self.project).select_related("project", "closed_by", "cause_event__who")
        incident = self.find(rows, pk=number)
        own = list(incident.alerts.with_silence(timezone.now()).select_related("rule").worst_first())
        ranked = causes.ranked(self.actor, incident=incident)
        return {
            **_line(incident),
            **_roll_back(self, own),
            "alerts": [{**_tone(alert), "alert": alert} for alert in own],
            "firing": sum(alert.state in SHOWN for alert in own),
            "causes": [{"cause": cause, "icon": KIND_ICONS[cause.kind]} for cause in ranked],
            "changes": [cause for cause in ranked if cause.event],
            "timeline": _timeline(incident, own),
            "rules": list({alert.rule_id: alert.rule for alert in own}.values()),
            "links": next((alert.monitor.links for alert in own if alert.monitor), {}),
        }


def _roll_back(view: ProjectView, own: list[Alert]) -> dict[str, Any]:
    """Name where a rollback leads and the worst alert it is for; nothing when no version of theirs answers any more."""
    worst: dict[str, Alert] = {}
    for alert in own:
        if alert.is_open:
            worst.setdefault(alert.version, alert)
    ways = ((way_back(view, alert), alert) for alert in list(worst.values())[:MOST_WAYS])
    goal, alert = next(((goal, alert) for goal, alert in ways if goal), (None, None))
    return {"way_back": goal, "bad": alert}


class IncidentAction(ProjectView):
    """A button of an incident."""

    reads = Incident
    permission = Permission.MONITOR_VIEW
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int, action: str) -> HttpResponse:
        """Call the service, then show the incident again."""
        incident = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        handler = ACTIONS.get(action)
        if handler is None:
            raise Missing(f"An incident has no button {action!r}.")
        try:
            said = handler(self, incident)
        except DomainError as error:
            if error.status in (403, 404):
                raise
            shown = IncidentDetail()
            shown.actor, shown.project = self.actor, self.project
            typed = {"error": error, "typed": request.POST}
            status = 422 if error.status == 400 else error.status
            return render(request, "monitoring/incident.html", shown.context(number) | typed, status=status)
        messages.success(request, said)
        response = redirect("monitoring:incident-detail", project=self.project.slug, number=number)
        response.status_code = 303
        return response


def _close(view: IncidentAction, incident: Incident) -> str:
    given = view.request.POST
    event = given.get("event", "")
    incidents.close(
        view.actor, incident=incident, outcome=given.get("outcome", ""), cause=given.get("cause", ""),
        event=int(event) if event.isdecimal() and len(event) < 18 else None,
    )  # fmt: skip
    return f"Incident {incident.pk} is closed."


def _silence(view: IncidentAction, incident: Incident) -> str:
    until = silence_until(view.request.POST.get("for", ""), timezone.now())
    line = f"endpoint={incident.endpoint}"
    alerts.silence_matching(view.actor, project=view.project, text=line, until=until, reason=f"incident {incident.pk}")
    return f"Alerts of {incident.endpoint} are silent until {until:%-d %b, %H:%M} UTC."


def _acknowledge(view: IncidentAction, incident: Incident) -> str:
    waiting = list(incident.alerts.shown().filter(acknowledged_at=None).select_related("project").order_by("pk"))
    for alert in waiting:
        alerts.acknowledge(view.actor, alert=alert)
    return f"{len(waiting)} alert{'s are' if len(waiting) != 1 else ' is'} acknowledged."


ACTIONS: dict[str, Callable[[IncidentAction, Incident], str]] = {
    "close": _close, "silence": _silence, "acknowledge": _acknowledge,
}  # fmt: skip


def _tone(row: Any) -> dict[str, Any]:
    tone, icon = SEVERITY_LOOK[Severity(row.severity)]
    return {"tone": tone, "icon": icon}


def _line(incident: Incident) -> dict[str, Any]:
    return {**_tone(incident), "incident": incident}


def _timeline(incident: Incident, own: list[Alert]) -> list[dict[str, Any]]:
    """Moves of its alerts and changes around it, newest first; deploys stand out."""
    alerts_by = {alert.pk: alert for alert in own}
    rows = AlertTransition.objects.filter(alert__in=list(alerts_by)).select_related("by").order_by("-at", "-seq")[:100]
    root = f"/p/{incident.project.slug}/alerts"
    lines = [
        {"at": row.at, "icon": LINE_ICONS.get(row.kind, "alert-triangle"), "is_change": False, "by": row.by,
         "words": _words(row, alerts_by[row.alert_id]), "what": alerts_by[row.alert_id].title,
         "href": f"{root}/{row.alert_id}/"}
        for row in rows
    ]  # fmt: skip
    end = (incident.closed_at or timezone.now()) + timedelta(minutes=1)
    changes = [
        _change(event) for event in causes.events_around(incident, until=end)
        if is_near(event, incident.endpoint) or VERBS[event.verb][1] == "data"
    ]  # fmt: skip
    return sorted([*lines, *changes], key=_when, reverse=True)[:120]


def _change(event: Event) -> dict[str, Any]:
    _weight, kind, words = VERBS[event.verb]
    told = {"at": event.at, "icon": KIND_ICONS[kind], "words": words, "by": event.actor_name, "is_change": True}
    return told | {"what": event.target_label, "href": event_links.address(event)}


def _when(line: dict[str, Any]) -> datetime:
    at: datetime = line["at"]
    return at


def _words(row: AlertTransition, alert: Alert) -> str:
    if row.kind == AlertTransition.Kind.STATE:
        return state_words(row, alert.rule)
    if row.kind == AlertTransition.Kind.LEVEL:
        return f"Now at the {'critical' if row.level == 'critical' else 'warning'} level"
    return row.get_kind_display().capitalize()
