"""What the REST API takes and gives for monitors, windows, rules and alerts."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from mlportal.lib.errors import Invalid
from monitoring.models import Alert, AlertRoute, AlertRule, AlertTransition, DriftScore, Monitor, Silence, Window
from monitoring.models.rules import Metric, Severity
from monitoring.services import segments
from projects.services import marks

RULE_FIELDS = (
    "name", "enabled", "endpoint", "version", "metric", "column", "segment", "group_by", "op", "warn", "critical",
    "clear", "needed", "of", "keep_firing", "min_samples", "no_data_after", "no_data_then", "severity", "compare",
    "over", "evaluation_delay", "window_seconds", "action", "cooldown", "labels", "inhibited_by",
)  # fmt: skip


def body(request: Request, shape: type[serializers.Serializer]) -> dict[str, Any]:
    """Return the fields of a body as they came; the services check their values.

    Raises
    ------
    Invalid
        When the body is no object, holds a field the shape does not declare, or misses one it requires.
    """
    if not isinstance(request.data, Mapping):
        raise Invalid("The body must be a JSON object.")
    known = shape().fields
    unknown = sorted(set(request.data) - set(known))
    if unknown:
        raise Invalid(f"Unknown field {unknown[0]!r}. Known: {', '.join(known)}.", field=unknown[0][:100])
    for name, field in known.items():
        if field.required and name not in request.data:
            raise Invalid(f"{name} is missing.", field=name)
    return dict(request.data)


class MonitorOut(serializers.ModelSerializer):
    """A version on an endpoint and how it is judged."""

    is_live = serializers.SerializerMethodField()

    class Meta:
        model = Monitor
        fields = (
            "id", "endpoint", "version", "variant", "is_live", "bucket_seconds", "step_seconds", "window_seconds",
            "min_samples", "valid_from", "valid_to", "rolled_to", "links", "segment_columns", "sensitive_columns",
            "label_delay_seconds",
        )  # fmt: skip

    def get_is_live(self, row: Monitor) -> bool:
        """Whether the version answers now."""
        return row.valid_to is None


class PaceIn(serializers.Serializer):
    """How often and over how much a monitor judges."""

    bucket_seconds = serializers.IntegerField(required=False, min_value=1)
    step_seconds = serializers.IntegerField(required=False, min_value=1)
    window_seconds = serializers.IntegerField(required=False, min_value=1)
    min_samples = serializers.IntegerField(required=False, min_value=1)


class WindowOut(serializers.ModelSerializer):
    """One judged window."""

    class Meta:
        model = Window
        fields = (
            "id", "starts_at", "ends_at", "rows", "verdict", "reasons", "drifted", "weighted_share", "requests",
            "errors", "latency_p50_us", "latency_p95_us", "latency_p99_us", "computed_at",
        )  # fmt: skip


class ScoreOut(serializers.ModelSerializer):
    """One column of a window beside its reference."""

    class Meta:
        model = DriftScore
        fields = (
            "column", "kind", "role", "weight", "state", "reason", "measure", "samples", "value", "floor", "psi", "ks",
            "wasserstein", "js", "chi2_p", "share", "mean", "p_value", "q_value", "null_share", "null_excess",
            "unseen_share", "outside_share", "others",
        )  # fmt: skip

    def to_representation(self, instance: DriftScore) -> dict[str, Any]:
        """Leave out values that nobody had seen of columns whose marks hide them from the reader."""
        told: dict[str, Any] = super().to_representation(instance)
        return told | {"others": {}} if instance.column in self.context.get("hidden", ()) else told


class WindowDetailOut(WindowOut):
    """A window with the scores of its columns."""

    scores = ScoreOut(many=True)

    class Meta(WindowOut.Meta):
        fields = (*WindowOut.Meta.fields, "scores")


class RuleOut(serializers.ModelSerializer):
    """An alert rule."""

    segment = serializers.SerializerMethodField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hidden: dict[int, dict[str, marks.Hidden]] = {}

    def get_segment(self, rule: AlertRule) -> str:
        """Return the segment it is about; if its column was marked since, by the code of its value."""
        if not rule.segment:
            return ""
        if rule.project_id not in self._hidden:
            self._hidden[rule.project_id] = marks.anywhere(rule.project)
        return segments.told(rule, self._hidden[rule.project_id])

    class Meta:
        model = AlertRule
        fields = ("id", *RULE_FIELDS, "built_in", "revision", "created_at", "updated_at")


class RuleChange(serializers.Serializer):
    """Fields of a rule; those left out stay as they are."""

    name = serializers.CharField(max_length=100, required=False)
    enabled = serializers.BooleanField(required=False)
    endpoint = serializers.CharField(max_length=210, required=False, allow_blank=True)
    version = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="As its monitor names it; empty: every version."
    )
    metric = serializers.ChoiceField(Metric.choices, required=False)
    column = serializers.CharField(max_length=500, required=False, allow_blank=True)
    segment = serializers.CharField(
        max_length=710, required=False, allow_blank=True, help_text="Such as region=north; empty: all requests."
    )
    group_by = serializers.ChoiceField(AlertRule.GroupBy.choices, required=False)
    op = serializers.ChoiceField(AlertRule.Op.choices, required=False)
    warn = serializers.FloatField(required=False, allow_null=True)
    critical = serializers.FloatField(required=False, allow_null=True)
    clear = serializers.FloatField(required=False, allow_null=True)
    needed = serializers.IntegerField(required=False, min_value=1, max_value=20)
    of = serializers.IntegerField(required=False, min_value=1, max_value=20)
    keep_firing = serializers.IntegerField(required=False, min_value=0, max_value=20)
    min_samples = serializers.IntegerField(required=False, min_value=0, max_value=10**9)
    no_data_after = serializers.IntegerField(required=False, min_value=1, max_value=100)
    no_data_then = serializers.ChoiceField(AlertRule.NoData.choices, required=False)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    window_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=60, help_text="A window of its own; null: as its endpoint is judged."
    )
    action = serializers.ChoiceField(
        AlertRule.Action.choices,
        required=False,
        allow_blank=True,
        help_text="What its alerts do: retrain, or roll back.",
    )
    compare = serializers.ChoiceField(AlertRule.Compare.choices, required=False)
    over = serializers.IntegerField(required=False, min_value=1, max_value=100)
    evaluation_delay = serializers.IntegerField(required=False, min_value=0, help_text="Seconds after a window's end.")
    cooldown = serializers.IntegerField(required=False, min_value=0, help_text="Seconds.")
    labels = serializers.DictField(child=serializers.CharField(), required=False)
    inhibited_by = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True, help_text="Matchers; null: by the metric."
    )
    revision = serializers.IntegerField(required=False, help_text="Refuses the change when the rule moved on.")


class RuleIn(RuleChange):
    """A new rule."""

    name = serializers.CharField(max_length=100)
    metric = serializers.ChoiceField(Metric.choices)
    revision = None


class TransitionOut(serializers.ModelSerializer):
    """One line of an alert's timeline."""

    by = serializers.CharField(source="by.username", default=None, allow_null=True)

    class Meta:
        model = AlertTransition
        fields = ("seq", "at", "kind", "before", "after", "level", "value", "text", "by", "window_end")


class AlertOut(serializers.ModelSerializer):
    """An alert."""

    rule = serializers.CharField(source="rule.name")
    metric = serializers.CharField(source="rule.metric")
    silenced = serializers.BooleanField()
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None, allow_null=True)
    assigned_to = serializers.CharField(source="assigned_to.username", default=None, allow_null=True)

    class Meta:
        model = Alert
        fields = (
            "id", "title", "detail", "state", "severity", "level", "nature", "rule", "metric", "endpoint", "version",
            "column", "value", "limit", "seen", "reopened", "silenced", "fingerprint", "labels", "opened_at",
            "changed_at", "resolved_at", "acknowledged_at", "acknowledged_by", "assigned_to", "flapping", "judgement",
            "incident",
        )  # fmt: skip


class AlertDetailOut(AlertOut):
    """An alert with its timeline, newest first."""

    timeline = TransitionOut(many=True)

    class Meta(AlertOut.Meta):
        fields = (*AlertOut.Meta.fields, "timeline")


class NoteIn(serializers.Serializer):
    """Why, if that needs saying."""

    note = serializers.CharField(required=False, allow_blank=True, max_length=1000)


class ReasonIn(serializers.Serializer):
    """Why, if that needs saying."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=1000)


class SilenceIn(serializers.Serializer):
    """Until when nothing is sent; at most 30 days."""

    until = serializers.DateTimeField()
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)


class AssignIn(serializers.Serializer):
    """Sign-in name of a member, or null for nobody."""

    user = serializers.CharField(allow_null=True, max_length=100)


class CommentIn(serializers.Serializer):
    """What somebody says of an alert."""

    text = serializers.CharField(max_length=10_000, help_text="Markdown.")


class MatchersIn(serializers.Serializer):
    """A silence of every alert whose labels match."""

    matchers = serializers.CharField(max_length=500, help_text="endpoint=churn-production, severity!=critical")
    until = serializers.DateTimeField()
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)


class JudgementIn(serializers.Serializer):
    """Whether an alert was real."""

    judgement = serializers.ChoiceField(Alert.Judgement.choices)


class RouteChange(serializers.Serializer):
    """Fields of a route; those left out stay as they are. Times are seconds."""

    name = serializers.CharField(max_length=100, required=False)
    matchers = serializers.CharField(max_length=500, required=False, allow_blank=True, help_text="Empty: every alert.")
    channel = serializers.IntegerField(required=False, help_text="Number of a channel of the project.")
    enabled = serializers.BooleanField(required=False)
    position = serializers.IntegerField(required=False, min_value=0)
    group_by = serializers.ListField(child=serializers.CharField(), required=False)
    group_wait = serializers.IntegerField(required=False)
    group_interval = serializers.IntegerField(required=False)
    repeat = serializers.IntegerField(required=False)
    repeat_critical = serializers.IntegerField(required=False)
    escalate_after = serializers.IntegerField(required=False, help_text="0: never.")


class RouteIn(RouteChange):
    """A new route."""

    name = serializers.CharField(max_length=100)
    channel = serializers.IntegerField()


class RouteOut(serializers.ModelSerializer):
    """A route."""

    channel_name = serializers.CharField(source="channel.name")

    class Meta:
        model = AlertRoute
        fields = (
            "id", "position", "name", "matchers", "channel", "channel_name", "enabled", "group_by", "group_wait",
            "group_interval", "repeat", "repeat_critical", "escalate_after", "created_at",
        )  # fmt: skip


class AlertmanagerIn(serializers.Serializer):
    """The webhook body of an Alertmanager, version 4."""

    version = serializers.CharField(required=False)
    alerts = serializers.ListField(child=serializers.DictField())


class ReceivedOut(serializers.Serializer):
    """What became of them."""

    received = serializers.IntegerField()
    changed = serializers.ListField(child=serializers.IntegerField(), help_text="Numbers of alerts.")


class SilenceOut(serializers.ModelSerializer):
    """A silence."""

    rule = serializers.CharField(source="rule.name", default=None, allow_null=True)
    author = serializers.CharField(source="author.username")

    class Meta:
        model = Silence
        fields = (
            "id",
            "fingerprint",
            "endpoint",
            "rule",
            "matchers",
            "starts_at",
            "ends_at",
            "ended_at",
            "author",
            "reason",
        )


class AlertWaitsOut(serializers.Serializer[Any]):
    """How long something took, over how many alerts."""

    mean_seconds = serializers.FloatField(allow_null=True)
    median_seconds = serializers.FloatField(allow_null=True)
    count = serializers.IntegerField()


class AlertTimesOut(serializers.Serializer[Any]):
    """Mean time to acknowledge (MTTA) and to resolve (MTTR)."""

    days = serializers.IntegerField()
    fired = serializers.IntegerField()
    acknowledge = AlertWaitsOut()
    resolve = AlertWaitsOut()
