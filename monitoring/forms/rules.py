"""Forms of alert rules and of a monitor's pace."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from monitoring.models import AlertRule, Monitor
from monitoring.models.rules import UNMEASURED, Metric, Severity
from monitoring.services import segments
from monitoring.services.monitors import PACE_FIELDS
from monitoring.services.rules import FIELDS

USUAL = {"compare": "static", "over": 1, "evaluation_delay": 0, "cooldown": 0}
SECONDS = {60: "1 minute", 300: "5 minutes", 3600: "1 hour", 21_600: "6 hours", 86_400: "1 day", 604_800: "7 days"}


class RuleForm(Form):
    """All settings of a rule; the service judges them."""

    name = forms.CharField(max_length=100)
    enabled = forms.BooleanField(required=False, initial=True, label="Apply this rule")
    metric = forms.ChoiceField(choices=[choice for choice in Metric.choices if choice[0] not in UNMEASURED])
    endpoint = forms.ChoiceField(required=False)
    version = forms.CharField(max_length=200, required=False, help_text="Empty: every version, each by itself.")
    column = forms.CharField(max_length=500, required=False, help_text="Empty: every column.")
    segment = forms.CharField(
        max_length=710, required=False, help_text="Such as region=north, of a column that is counted apart. "
        "Empty: all requests.", widget=forms.TextInput(attrs={"list": "segments", "autocomplete": "off"}),
    )  # fmt: skip
    group_by = forms.ChoiceField(choices=AlertRule.GroupBy.choices, label="Grouping")
    compare = forms.ChoiceField(
        choices=AlertRule.Compare.choices, label="What is compared", initial="static", required=False
    )
    over = forms.IntegerField(label="Mean of this many windows", initial=1, required=False)
    window_seconds = forms.IntegerField(
        required=False,
        label="Window of its own (seconds)",
        help_text="Empty: as its endpoint is judged. Not finer than its steps of counting; for the value itself only.",
    )
    action = forms.ChoiceField(choices=AlertRule.Action.choices, required=False, label="What its alerts do")
    op = forms.ChoiceField(choices=AlertRule.Op.choices, label="Raise when it is")
    warn = forms.FloatField(required=False, label="Warning limit")
    critical = forms.FloatField(required=False, label="Critical limit")
    clear = forms.FloatField(required=False, label="Clear limit", help_text="Empty: 0.8 times the warning limit.")
    needed = forms.IntegerField(label="Windows that must pass it", initial=2)
    of = forms.IntegerField(label="among the last", initial=3)
    keep_firing = forms.IntegerField(label="Clear windows before it is over", initial=1)
    min_samples = forms.IntegerField(label="Fewest requests", initial=0, help_text="Fewer give no verdict.")
    no_data_after = forms.IntegerField(label="Windows without data", initial=3)
    no_data_then = forms.ChoiceField(choices=AlertRule.NoData.choices, label="and then", initial="keep")
    evaluation_delay = forms.IntegerField(
        label="Wait for labels (seconds)",
        initial=0,
        required=False,
        help_text="A window is judged this long after its end.",
    )
    cooldown = forms.IntegerField(
        label="Quiet after the last (seconds)",
        initial=0,
        required=False,
        help_text="No notice of a new alert within this time.",
    )
    labels = forms.CharField(
        required=False, max_length=5000, help_text="name=value, with commas between; routes and silences match them."
    )
    inhibited_by = forms.CharField(
        required=False, max_length=5000, label="Hidden by",
        help_text="Matchers of alerts of the same endpoint that explain these; empty: no requests hides drift, "
        "quality, latency and performance. “none”: nothing hides them.",
    )  # fmt: skip
    severity = forms.ChoiceField(
        choices=Severity.choices, initial="high", help_text="At the critical limit; one step less at the warning limit."
    )
    revision = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, endpoints: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].choices = [("", "every endpoint"), *((name, name) for name in endpoints)]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        given = {field: self.cleaned_data[field] for field in FIELDS}
        for field, usual in USUAL.items():
            given[field] = given[field] or usual
        return given | {"labels": _labels(given["labels"]), "inhibited_by": _lines(given["inhibited_by"])}

    def changes(self, rule: AlertRule) -> dict[str, Any]:
        """Return them without a segment that was shown by its code and is still that one."""
        given = self.values()
        if given["segment"] == segments.told(rule):
            del given["segment"]
        return given

    @staticmethod
    def initial_of(rule: AlertRule) -> dict[str, Any]:
        """What the form shows of a stored rule."""
        shown = {field: getattr(rule, field) for field in (*FIELDS, "revision")}
        labels = ", ".join(f"{name}={text}" for name, text in rule.labels.items())
        hidden = "; ".join(rule.inhibited_by or ["none"]) if rule.inhibited_by is not None else ""
        return shown | {"labels": labels, "inhibited_by": hidden, "segment": segments.told(rule)}


def _labels(text: str) -> dict[str, str]:
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): value.strip() for name, _equals, value in parts}


def _lines(text: str) -> list[str] | None:
    if text.strip() == "none":
        return []
    return [line.strip() for line in text.split(";") if line.strip()] or None


class PaceForm(Form):
    """How often and over how much a monitor judges."""

    step_seconds = forms.TypedChoiceField(coerce=int, label="Judge every")
    window_seconds = forms.TypedChoiceField(coerce=int, label="over the last")
    bucket_seconds = forms.TypedChoiceField(coerce=int, label="Count in steps of")
    min_samples = forms.IntegerField(label="Fewest requests for a verdict")

    def __init__(self, *args: Any, monitor: Monitor, **kwargs: Any) -> None:
        initial = {field: getattr(monitor, field) for field in PACE_FIELDS}
        super().__init__(*args, initial=initial, **kwargs)
        for field in ("step_seconds", "window_seconds", "bucket_seconds"):
            known = {**SECONDS, initial[field]: SECONDS.get(initial[field], f"{initial[field]:,} seconds")}
            self.fields[field].choices = sorted(known.items())  # type: ignore[attr-defined]
