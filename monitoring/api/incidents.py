"""REST routes of incidents, and of rules played back over the past."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.errors import Invalid
from monitoring.api import shapes
from monitoring.models import AlertRule, Incident
from monitoring.services import backtests, causes, incidents, rules
from projects.access import ScopedAPIView
from projects.permissions import Permission


class IncidentOut(serializers.ModelSerializer):
    """An incident."""

    closed_by = serializers.CharField(source="closed_by.username", default=None, allow_null=True)

    class Meta:
        model = Incident
        fields = (
            "id", "endpoint", "title", "severity", "opened_at", "acknowledged_at", "quiet_at", "closed_at", "closed_by",
            "outcome", "cause", "cause_event",
        )  # fmt: skip


class CauseOut(serializers.Serializer):
    """A candidate for what is behind an incident."""

    score = serializers.FloatField()
    kind = serializers.CharField()
    title = serializers.CharField()
    evidence = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    event = serializers.IntegerField(allow_null=True)
    column = serializers.CharField()


class IncidentDetailOut(IncidentOut):
    """An incident with its ranked causes and the numbers of its alerts."""

    causes = CauseOut(many=True)
    alerts = serializers.ListField(child=serializers.IntegerField())

    class Meta(IncidentOut.Meta):
        fields = (*IncidentOut.Meta.fields, "causes", "alerts")


class CloseIn(serializers.Serializer):
    """How it ended."""

    outcome = serializers.ChoiceField(Incident.Outcome.choices)
    cause = serializers.CharField(max_length=1000)
    event = serializers.IntegerField(required=False, allow_null=True, help_text="Number of the change behind it.")


class FiringOut(serializers.Serializer):
    """One time a rule would have fired."""

    at = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)
    endpoint = serializers.CharField()
    title = serializers.CharField()
    level = serializers.CharField()
    judgement = serializers.CharField()
    incident = serializers.IntegerField(allow_null=True)


class PlayedOut(serializers.Serializer):
    """What a rule would have done."""

    sentence = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    windows = serializers.IntegerField()
    undecided = serializers.IntegerField(help_text="Windows with too little data for a verdict.")
    every_seconds = serializers.IntegerField(
        help_text="Of a segment only one window in this time was looked at; 0: each."
    )
    real = serializers.IntegerField()
    false = serializers.IntegerField()
    missed = serializers.IntegerField()
    precision = serializers.FloatField(allow_null=True)
    firings = FiringOut(many=True)


class Incidents(ScopedAPIView):
    """Incidents of a project."""

    reads = Incident
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="incidents_list", responses=IncidentOut(many=True))
    def get(self, request: Request) -> Response:
        """List incidents, newest first."""
        return self.page(self.rows().in_project(self.project).select_related("closed_by"), IncidentOut)


class IncidentDetail(ScopedAPIView):
    """One incident."""

    reads = Incident
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="incidents_get", responses=IncidentDetailOut)
    def get(self, request: Request, number: int) -> Response:
        """Read an incident with its causes."""
        incident: Any = self.find(
            self.rows().in_project(self.project).select_related("project", "closed_by"), pk=number
        )
        incident.causes = causes.ranked(self.actor, incident=incident)
        held = {**IncidentOut(incident).data, "causes": CauseOut(incident.causes, many=True).data}
        return Response(held | {"alerts": list(incident.alerts.order_by("pk").values_list("pk", flat=True))})


class IncidentClose(ScopedAPIView):
    """The end of an incident."""

    reads = Incident
    permissions = {"POST": Permission.ALERT_HANDLE}

    @extend_schema(operation_id="incidents_close", request=CloseIn, responses=IncidentOut)
    def post(self, request: Request, number: int) -> Response:
        """Close an incident with its cause."""
        incident = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        return Response(
            IncidentOut(incidents.close(self.actor, incident=incident, **shapes.body(request, CloseIn))).data
        )


class RuleBacktest(ScopedAPIView):
    """A rule played back over the last 90 days, before it is saved."""

    reads = AlertRule
    permissions = {"POST": Permission.MONITOR_VIEW}
    idempotent = False  # nothing is changed

    @extend_schema(operation_id="alert_rules_backtest", request=shapes.RuleChange, responses=PlayedOut)
    def post(self, request: Request) -> Response:
        """Say when a rule with these settings would have fired, and whether that was real."""
        given = shapes.body(request, shapes.RuleChange)
        given.pop("revision", None)
        if "metric" not in given:
            raise Invalid("metric is missing.", field="metric")
        rule = rules.draft(self.actor, project=self.project, **{"name": "draft", **given})
        return Response(PlayedOut(backtests.play(self.actor, project=self.project, rule=rule)).data)
