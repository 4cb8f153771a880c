"""Alerts: the list, one alert, and what people do with it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string

from mlportal.lib.errors import DomainError, Invalid, Missing
from mlportal.lib.moments import Span
from monitoring import charts, queries
from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, AlertTransition, Monitor
from monitoring.models.rules import Metric, Severity
from monitoring.services import alerts, marked, past, response
from projects.access import ProjectView
from projects.actor import Actor
from projects.models import User
from projects.permissions import Permission, allowed
from projects.services.past import Section

PAGE = 50
SEVERITY_LOOK = {
    Severity.CRITICAL: ("bad", "alert-octagon"),
    Severity.HIGH: ("bad", "alert-triangle"),
    Severity.MEDIUM: ("warn", "alert-triangle"),
    Severity.LOW: ("", "info-circle"),
}
TAB_WORDS = {"open": "Open", "acknowledged": "Acknowledged", "silenced": "Silenced", "resolved": "Resolved, 7 days"}
LINE_ICONS = {
    "state": "alert-triangle", "level": "arrow-up", "acknowledged": "check", "unacknowledged": "arrow-back-up",
    "silenced": "bell-off", "unsilenced": "bell", "assigned": "user-plus", "judged": "check",
}  # fmt: skip
STATE_WORDS = {
    "pending": "Limit passed for the first time",
    "firing": "Fired",
    "recovering": "Back inside the clear limit",
    "resolved": "Resolved",
    "inactive": "Back to normal before it fired",
    "no_data": "Opened: no data",
    "error": "Opened: the rule fails",
}
LITTLE = "What drifts now matters too little to the model, or may be chance"
RUNBOOKS = {
    "drift": "Drift is a change of what comes in, not proof of worse predictions. Look whether the change is real, "
    "then retrain with data that has it.",
    "quality": "Look at the pipeline that fills this column before retraining: gaps and new values are often faults.",
    "errors": "Read the first refused requests in the log: a changed caller sends what the signature refuses.",
    "latency": "Compare with the number of rows a request and with other work on the machine.",
    "traffic": "Ask the caller first; then look whether the serving process is up.",
    "log": "Callers got their answers, the log did not: look on Operations whether the disk of the serving host is "
    "full or its log waits for the shipper. What is lost cannot be brought back; say so where these predictions count.",
    "experiment": "Do not read the difference between the variants. Look for callers that lose or repeat requests of "
    "one variant, and for units that are not what the plan calls one.",
}
RETRAINED = ("drift", "performance", "retraining")


class AlertList(ProjectView):
    """Alerts of one tab; the first one is shown beside the list where there is room."""

    reads = Alert
    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the tab of the address."""
        tab = request.GET.get("state", "open")
        tab = tab if tab in TAB_WORDS else "open"
        listed = list(queries.alerts_in(self.project, tab)[:PAGE])
        chosen = listed[0] if listed else None
        return render(request, "monitoring/alerts.html", _context(self, tab, listed, chosen, alone=False))

    def past(self, span: Span) -> list[Section]:
        """Return the alerts that were open."""
        return past.alerts(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        """Return the name of the page."""
        del kwargs
        return "Alerts"


class AlertDetail(ProjectView):
    """One alert; on a phone a page of its own."""

    reads = Alert
    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the alert beside the tab that holds it."""
        return render(request, "monitoring/alerts.html", self.context(number))

    def context(self, number: int) -> dict[str, Any]:
        """Collect what the page shows."""
        chosen = self.find(_full(self), pk=number)
        tab = _tab_of(chosen)
        listed = list(queries.alerts_in(self.project, tab)[:PAGE])
        return _context(self, tab, listed, chosen, alone=True)


class AlertAction(ProjectView):
    """A button of an alert."""

    reads = Alert
    permission = Permission.MONITOR_VIEW
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int, action: str) -> HttpResponse:
        """Call the service, then show the alert again."""
        alert = self.find(_full(self), pk=number)
        handler = ACTIONS.get(action)
        if handler is None:
            raise Missing(f"An alert has no button {action!r}.")
        try:
            said = handler(self, alert)
        except DomainError as error:
            if error.status == Missing.status:
                raise
            shown = AlertDetail()
            shown.actor, shown.project = self.actor, self.project
            fault = {"error": error, "typed": request.POST.get("text", "")}
            return render(request, "monitoring/alerts.html", shown.context(number) | fault, status=_status(error))
        messages.success(request, said)
        response = redirect("monitoring:alert-detail", project=self.project.slug, number=number)
        response.status_code = 303
        return response


def _status(error: DomainError) -> int:
    return 422 if error.status == Invalid.status else error.status


# --- actions ---------------------------------------------------------------------------------------


def _acknowledge(view: AlertAction, alert: Alert) -> str:
    alerts.acknowledge(view.actor, alert=alert, note=view.request.POST.get("note", ""))
    return f"Alert {alert.pk} is acknowledged. Notifications about it stop until it gets worse."


def _unacknowledge(view: AlertAction, alert: Alert) -> str:
    alerts.unacknowledge(view.actor, alert=alert)
    return f"The acknowledgement of alert {alert.pk} is taken back."


def _silence(view: AlertAction, alert: Alert) -> str:
    until = silence_until(view.request.POST.get("for", ""), timezone.now())
    alerts.silence(view.actor, alert=alert, until=until, reason=view.request.POST.get("reason", ""))
    return f"Alert {alert.pk} is silent until {until:%-d %b, %H:%M} UTC."


def silence_until(choice: str, now: datetime) -> datetime:
    """Turn the choice of the menu into a moment; 09:00 is the next one, in UTC."""
    if choice == "1h":
        return now + timedelta(hours=1)
    if choice == "7d":
        return now + timedelta(days=7)
    if choice != "morning":
        raise Invalid("Choose 1 hour, until 09:00 or 7 days.", field="for", got=choice[:20])
    morning = now.replace(hour=9, minute=0, second=0, microsecond=0)
    return morning if morning > now else morning + timedelta(days=1)


def _unsilence(view: AlertAction, alert: Alert) -> str:
    alerts.unsilence(view.actor, alert=alert)
    return f"Alert {alert.pk} speaks again."


def _judge(view: AlertAction, alert: Alert) -> str:
    held = alerts.judge(view.actor, alert=alert, judgement=view.request.POST.get("judgement", ""))
    return f"Alert {alert.pk} is called {held.get_judgement_display()}. The precision of its rule counts it."


def _resolve(view: AlertAction, alert: Alert) -> str:
    alerts.resolve(view.actor, alert=alert, reason=view.request.POST.get("reason", ""))
    return f"Alert {alert.pk} is resolved. It stays quiet until its value has been clear once."


def _assign(view: AlertAction, alert: Alert) -> str:
    chosen = view.request.POST.get("user", "")
    user = None
    if chosen:
        user = User.objects.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 19 else None
        if user is None:
            raise Invalid("There is no such member.", field="user")
    alerts.assign(view.actor, alert=alert, user=user)
    return f"Alert {alert.pk} is assigned to {user or 'nobody'}."


def _comment(view: AlertAction, alert: Alert) -> str:
    alerts.comment(view.actor, alert=alert, text=view.request.POST.get("text", ""))
    return "Your comment is below the timeline."


ACTIONS: dict[str, Callable[[AlertAction, Alert], str]] = {
    "acknowledge": _acknowledge,
    "unacknowledge": _unacknowledge,
    "silence": _silence,
    "unsilence": _unsilence,
    "resolve": _resolve,
    "assign": _assign,
    "comment": _comment,
    "judge": _judge,
}


# --- what the page shows ---------------------------------------------------------------------------


def _full(view: ProjectView) -> Any:
    rows = view.rows().in_project(view.project).with_silence(timezone.now())
    return rows.select_related("project", "rule", "monitor", "assigned_to", "acknowledged_by", "judged_by")


def _tab_of(alert: Any) -> str:
    if not alert.is_open:
        return "resolved"
    if alert.silenced:
        return "silenced"
    return "acknowledged" if alert.acknowledged_by_id else "open"


def _context(view: ProjectView, tab: str, listed: list[Any], chosen: Any, *, alone: bool) -> dict[str, Any]:
    counts = queries.alert_counts(view.project)
    return {
        "tabs": [(key, words, counts[key]) for key, words in TAB_WORDS.items()],
        "tab": tab,
        "times": response.of_alerts(Alert.objects.in_project(view.project)),
        "listed": [_line(alert) for alert in listed],
        "alone": alone,
        **(_detail(view, chosen) if chosen is not None else {"alert": None}),
    }


def _line(alert: Any) -> dict[str, Any]:
    tone, icon = SEVERITY_LOOK[Severity(alert.severity)]
    return {"alert": alert, "tone": tone, "icon": icon, "kind": alert.rule.get_metric_display()}


def _detail(view: ProjectView, chosen: Any) -> dict[str, Any]:
    alert = view.find(_full(view), pk=chosen.pk)
    tone, icon = SEVERITY_LOOK[Severity(alert.severity)]
    kind = alert.kind
    return {
        "alert": alert,
        "way_back": way_back(view, alert),
        "tone": tone,
        "icon": icon,
        "runbook": RUNBOOKS.get(kind, ""),
        "steps": _steps(view, alert, kind),
        "timeline": _timeline(alert),
        "people": alerts.members(view.project),
        **_evidence(view.actor, alert),
    }


def way_back(view: ProjectView, alert: Alert) -> str | None:
    """Name the version that this person can roll the endpoint back to from here."""
    if not alert.is_open or not alert.endpoint or not allowed(view.actor, Permission.ENDPOINT_DEPLOY, view.project):
        return None
    found: str | None = import_string(settings.WAY_BACK)(view.project, alert.endpoint, alert.version)
    return found


def _evidence(by: Actor, alert: Alert) -> dict[str, Any]:
    points = queries.evidence(alert)
    made: dict[str, Any] = {"series": None, "bars": None}
    if len(points) > 1:
        line = charts.Line(alert.title[:60], [value for _at, value in points], 2)
        text = f"limit {alert.limit:.3g}" if alert.limit is not None else ""
        series = charts.Series([at for at, _value in points], [line], alert.limit, text)
        made |= {"series": series, "series_plot": series.plot(".3~f")}
    window = queries.latest_window(alert.monitor) if alert.monitor and alert.column else None
    if window is None or alert.monitor is None or alert.column not in alert.monitor.reference:
        return made
    within = window.starts_at, window.ends_at, alert.rule.segment
    counts = queries.counts_of(alert.monitor, [alert.column], *within).get(alert.column)
    called = marked.hidden_from(by, monitor=alert.monitor).namer(alert.column)
    bars = charts.bars(alert.monitor.reference[alert.column], counts, called=called) if counts else None
    made["bars_name"] = shape.display(alert.column)
    return made | {"bars": bars, "bars_plot": bars.plot(shape.display(alert.column)) if bars else None}


def _steps(view: ProjectView, alert: Alert, kind: str) -> list[dict[str, str]]:
    links = alert.monitor.links if isinstance(alert.monitor, Monitor) else {}
    root = f"/p/{view.project.slug}/"
    steps = []
    if kind == "drift" and links.get("run") and allowed(view.actor, Permission.JOB_LAUNCH, view.project):
        steps.append(
            {"icon": "cpu", "href": f"{root}jobs/new/?from=run:{links['run']}", "words": f"Retrain {alert.version}",
             "small": f"on the newest {links['dataset']}" if links.get("dataset") else ""}
        )  # fmt: skip
    if kind in RETRAINED and alert.endpoint and (links.get("run") or kind == "retraining"):
        steps.append(
            {"icon": "refresh", "href": f"{root}deployments/{alert.endpoint}/#retraining",
             "words": "See what retraining did", "small": "or which guard held it back"}
        )  # fmt: skip
    if links.get("model"):
        model = links["model"]
        steps.append({"icon": "box", "href": f"{root}models/{model}/", "words": f"Versions of {model}", "small": ""})
    if alert.endpoint:
        query = f"?endpoint={alert.endpoint}" + (f"&column={alert.column}" if alert.column else "")
        steps.append(
            {"icon": "activity", "href": reverse("monitoring:monitor-overview", args=[view.project.slug]) + query,
             "words": "Open the drift map", "small": alert.endpoint}
        )  # fmt: skip
    if isinstance(alert.monitor, Monitor) and alert.rule.segment:
        steps.append(_to_segment(view, alert, alert.monitor))
    if alert.endpoint:
        steps.append(
            {"icon": "server-2", "href": f"{root}deployments/{alert.endpoint}/", "words": "Open the deployment",
             "small": "traffic, history and settings"}
        )  # fmt: skip
    return steps


def _to_segment(view: ProjectView, alert: Alert, monitor: Monitor) -> dict[str, str]:
    name = next(iter(marked.called([alert.rule.segment], marked.hidden_from(view.actor, monitor=monitor))))
    query = urlencode(
        {"endpoint": alert.endpoint, "segment": name} | ({"column": alert.column} if alert.column else {})
    )
    href = f"{reverse('monitoring:monitor-window', args=[view.project.slug])}?{query}"
    return {"icon": "filter", "href": href, "words": "Look at this segment alone", "small": name}


def _timeline(alert: Alert) -> list[dict[str, Any]]:
    rows = alert.transitions.select_related("by").order_by("-seq")[:100]
    return [{"row": row, "icon": _line_icon(row), "words": _line_words(row, alert.rule)} for row in rows]


def state_words(row: AlertTransition, rule: AlertRule) -> str:
    """Say what a change of state means."""
    return LITTLE if row.after == "recovering" and _is_beyond(row, rule) else STATE_WORDS[row.after]


def _is_beyond(row: AlertTransition, rule: AlertRule) -> bool:
    """Whether a value passes a limit still: of many columns only those count that matter to the model."""
    limits = [limit for limit in (rule.warn, rule.critical) if limit is not None]
    drift = rule.metric == Metric.DRIFT_PSI and rule.compare == AlertRule.Compare.STATIC
    return drift and row.value is not None and bool(limits) and row.value >= min(limits)


def _line_icon(row: AlertTransition) -> str:
    if row.after == "resolved":
        return "circle-check"
    return LINE_ICONS[row.kind]


def _line_words(row: AlertTransition, rule: AlertRule) -> str:
    value = f", value {row.value:.3g}" if row.value is not None else ""
    if row.kind == AlertTransition.Kind.STATE:
        return state_words(row, rule) + value
    if row.kind == AlertTransition.Kind.LEVEL:
        return f"Now at the {'critical' if row.level == 'critical' else 'warning'} level{value}"
    return row.get_kind_display().capitalize()
