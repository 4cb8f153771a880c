"""REST routes of alerts and silences."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import moments
from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from monitoring import queries
from monitoring.api import shapes
from monitoring.models import Alert, Silence
from monitoring.services import alerts, past, response
from projects.access import ScopedAPIView
from projects.api.marks import CommentOut
from projects.models import User
from projects.permissions import Permission
from projects.services.past import Section

MOST_DAYS = 365
STATES = ("open", "acknowledged", "silenced", "resolved", "all")


class Alerts(ScopedAPIView):
    """Alerts of a project."""

    reads = Alert
    permissions = {"GET": Permission.MONITOR_VIEW}

    def past(self, span: Span) -> list[Section]:
        """Return the alerts that were open."""
        return past.alerts(self.project, span)

    @extend_schema(
        operation_id="alerts_list",
        parameters=[
            OpenApiParameter("state", str, enum=STATES, description="open: whatever is not over. Left out: all."),
            OpenApiParameter("endpoint", str),
        ],
        responses=shapes.AlertOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List alerts, newest first."""
        state = request.query_params.get("state") or "all"
        if state not in STATES:
            raise Invalid(f"state must be one of: {', '.join(STATES)}.", field="state", got=state[:40])
        rows = queries.alerts_by_state(self.project, state)
        endpoint = request.query_params.get("endpoint", "")
        return self.page(rows.filter(endpoint=endpoint) if endpoint else rows, shapes.AlertOut)


class AlertTimes(ScopedAPIView):
    """How long alerts took."""

    reads = Alert
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(
        operation_id="alert_times",
        parameters=[OpenApiParameter("days", int, description="1 to 365; 30 when left out.")],
        responses=shapes.AlertTimesOut,
    )
    def get(self, request: Request) -> Response:
        """Read the mean and median time to acknowledge and to resolve of the alerts that fired lately."""
        days = request.query_params.get("days") or str(response.DAYS)
        if not (days.isascii() and days.isdigit() and 1 <= int(days[:4]) <= MOST_DAYS):
            raise Invalid(f"days must be a whole number from 1 to {MOST_DAYS}.", field="days", got=days[:20])
        rows = Alert.objects.in_project(self.project)
        return Response(shapes.AlertTimesOut(response.of_alerts(rows, days=int(days)).plain()).data)


class _One(ScopedAPIView):
    """Finds the alert of the address and answers with it."""

    abstract = True
    reads = Alert
    permissions = {"POST": Permission.ALERT_HANDLE}

    def alert(self, number: int) -> Alert:
        """Return the alert of the address with all that is shown."""
        found: Alert = self.find(queries.alerts_by_state(self.project, "all"), pk=number)
        return found

    def shown(self, number: int) -> Response:
        """Answer with the alert as it is now."""
        alert: Any = self.alert(number)
        alert.timeline = alert.transitions.select_related("by").order_by("-seq")[:200]
        return Response(shapes.AlertDetailOut(alert).data)


class AlertDetail(_One):
    """One alert with its timeline."""

    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="alerts_get", responses=shapes.AlertDetailOut)
    def get(self, request: Request, number: int) -> Response:
        """Read an alert."""
        return self.shown(number)


class Acknowledge(_One):
    """Somebody has seen it."""

    @extend_schema(operation_id="alerts_acknowledge", request=shapes.NoteIn, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """Acknowledge an alert."""
        alerts.acknowledge(self.actor, alert=self.alert(number), **shapes.body(request, shapes.NoteIn))
        return self.shown(number)


class Judge(_One):
    """It was real, or a false alarm."""

    @extend_schema(operation_id="alerts_judge", request=shapes.JudgementIn, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """Say whether an alert was real; the precision of its rule counts it."""
        alerts.judge(self.actor, alert=self.alert(number), **shapes.body(request, shapes.JudgementIn))
        return self.shown(number)


class Unacknowledge(_One):
    """Nobody has seen it after all."""

    @extend_schema(operation_id="alerts_unacknowledge", request=None, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """Take an acknowledgement back."""
        alerts.unacknowledge(self.actor, alert=self.alert(number))
        return self.shown(number)


class SilenceIt(_One):
    """No notifications for a while."""

    @extend_schema(operation_id="alerts_silence", request=shapes.SilenceIn, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """Silence an alert."""
        given = shapes.body(request, shapes.SilenceIn)
        alerts.silence(self.actor, alert=self.alert(number), **(given | {"until": _moment(given["until"])}))
        return self.shown(number)


class Unsilence(_One):
    """Notifications again."""

    @extend_schema(operation_id="alerts_unsilence", request=None, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """End the silence of an alert."""
        alerts.unsilence(self.actor, alert=self.alert(number))
        return self.shown(number)


class Resolve(_One):
    """Over, by hand."""

    @extend_schema(operation_id="alerts_resolve", request=shapes.ReasonIn, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """Resolve an alert; it stays quiet until its value has been clear once."""
        alerts.resolve(self.actor, alert=self.alert(number), **shapes.body(request, shapes.ReasonIn))
        return self.shown(number)


class Assign(_One):
    """Whose it is."""

    @extend_schema(operation_id="alerts_assign", request=shapes.AssignIn, responses=shapes.AlertDetailOut)
    def post(self, request: Request, number: int) -> Response:
        """Give an alert to a member."""
        name = shapes.body(request, shapes.AssignIn)["user"]
        alerts.assign(self.actor, alert=self.alert(number), user=None if name is None else _member(name))
        return self.shown(number)


class Comments(_One):
    """Comments on an alert."""

    permissions = {"POST": Permission.COMMENT_ADD}

    @extend_schema(operation_id="alerts_comment", request=shapes.CommentIn, responses={201: CommentOut})
    def post(self, request: Request, number: int) -> Response:
        """Add a comment; ``@username`` calls a member."""
        said = alerts.comment(self.actor, alert=self.alert(number), **shapes.body(request, shapes.CommentIn))
        return Response(CommentOut(said).data, status=status.HTTP_201_CREATED)


class Silences(ScopedAPIView):
    """Silences of a project, also those that are over."""

    reads = Silence
    permissions = {"GET": Permission.MONITOR_VIEW, "POST": Permission.ALERT_HANDLE}

    @extend_schema(operation_id="silences_create", request=shapes.MatchersIn, responses={201: shapes.SilenceOut})
    def post(self, request: Request) -> Response:
        """Silence every alert whose labels match."""
        given = shapes.body(request, shapes.MatchersIn)
        made = alerts.silence_matching(
            self.actor, project=self.project, text=given["matchers"], until=_moment(given["until"]),
            reason=given.get("reason", ""),
        )  # fmt: skip
        return Response(shapes.SilenceOut(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="silences_list", responses=shapes.SilenceOut(many=True))
    def get(self, request: Request) -> Response:
        """List silences, newest first."""
        return self.page(self.rows().in_project(self.project).select_related("rule", "author"), shapes.SilenceOut)


class SilenceEnd(ScopedAPIView):
    """The end of a silence."""

    reads = Silence
    permissions = {"POST": Permission.ALERT_HANDLE}

    @extend_schema(operation_id="silences_end", request=None, responses=shapes.SilenceOut)
    def post(self, request: Request, silence: int) -> Response:
        """End a silence now."""
        rows = self.rows().in_project(self.project).select_related("project", "rule", "author")
        return Response(shapes.SilenceOut(alerts.end_silence(self.actor, silence=self.find(rows, pk=silence))).data)


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise Invalid("until must be a moment such as 2026-11-21T09:00:00Z.", field="until")
    return moments.read(value, field="until").end


def _member(name: object) -> User:
    found = User.objects.filter(username__iexact=name).first() if isinstance(name, str) and len(name) <= 100 else None
    if found is None:
        raise Invalid("There is no member of this name.", field="user")
    return found
