"""Forms of the deployments pages. They parse; the services decide."""

from typing import Any

from django import forms

from deployments.models import Automation, Endpoint, Environment, RegisteredModel
from mlportal.lib.forms import Form


class RegisterForm(Form):
    """Register the model of a run."""

    run = forms.IntegerField(min_value=1, max_value=2**62, label="Run", help_text="Number of a finished run.")
    model_name = forms.CharField(
        max_length=256, label="Model", help_text="A new name starts a new model; a known one adds a version to it."
    )
    description = forms.CharField(
        required=False, max_length=10_000, label="Description", widget=forms.Textarea(attrs={"rows": 3})
    )


class RequestForm(Form):
    """Ask that a version goes live."""

    environment = forms.ModelChoiceField(Environment.objects.none(), label="Environment", empty_label=None)
    reason = forms.CharField(
        max_length=4000,
        label="Why now",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What gets better, for whom, and what you know to be worse. The approver reads this first.",
    )

    def __init__(self, *args: Any, environments: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].queryset = environments


def _area(label: str, about: str, rows: int = 4) -> forms.CharField:
    """Return a field of longer text that may stay empty."""
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(required=False, max_length=100_000, label=label, help_text=about, widget=widget)


class ModelFactsForm(Form):
    """What people say of a model."""

    owner = forms.ChoiceField(required=False, label="Owner", help_text="Who answers for it.")
    risk_class = forms.ChoiceField(
        required=False, choices=RegisteredModel.Risk, label="Risk class", help_text="In the words of the EU AI Act."
    )
    intended_purpose = _area("Intended purpose", "What it decides or supports, for whom, in which context.")
    out_of_scope_use = _area("Out-of-scope use", "What it must not be used for, and where it was never tried.")
    description = _area("Description", "Markdown.", rows=6)
    revision = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, members: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("", "Nobody"), *((name, name) for name in members)]


class BatchForm(Form):
    """Score a dataset version."""

    data = forms.ChoiceField(label="Data", help_text="A version that is profiled. Its columns are checked at once.")
    scorer = forms.ChoiceField(
        label="Scored by", help_text="An endpoint stands for the version that answers there now."
    )
    keep = forms.CharField(
        required=False, max_length=100_000, label="Columns to pass through",
        help_text="Names with commas between them, such as a key. Empty: all that the model does not read.",
    )  # fmt: skip
    name = forms.CharField(
        required=False, max_length=100, label="Result",
        help_text="Dataset that gets the scores as its next version. Empty: called after the data and the model.",
    )  # fmt: skip
    most_refused = forms.IntegerField(
        min_value=0, max_value=1_000_000, initial=100, label="Rows that may stay without an answer",
        help_text="With more of them it fails and names the first.",
    )  # fmt: skip

    def __init__(self, *args: Any, data: list[Any], scorers: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **{"initial": {}, **kwargs})
        self.fields["data"].choices = data
        self.fields["scorer"].choices = scorers

    def clean_keep(self) -> list[str] | None:
        """Names of the columns, None for the usual ones."""
        names = [name.strip() for name in self.cleaned_data["keep"].split(",") if name.strip()]
        return names or None


class ReasonForm(Form):
    """A reason that goes to the audit log."""

    reason = forms.CharField(max_length=4000, label="Reason", widget=forms.Textarea(attrs={"rows": 3}))


class RollbackForm(ReasonForm):
    """Return to an earlier version."""

    version = forms.IntegerField(min_value=1, required=False, widget=forms.HiddenInput)


class EndpointForm(Form):
    """Settings of an endpoint."""

    log_mode = forms.ChoiceField(
        choices=Endpoint.LogMode,
        label="Features in the log",
        help_text="What is kept of each request's features. Drift is counted in each mode.",
    )
    logging = forms.ChoiceField(choices=Endpoint.Logging, label="Prediction log", required=False)
    sample_share = forms.FloatField(
        label="Share of a sample", required=False, help_text="Over 0, at most 1. Used by sample only."
    )
    masked_columns = forms.CharField(
        label="Masked columns", required=False, help_text="Separated by commas. The log keeps only hashes of them."
    )
    log_days = forms.IntegerField(
        label="Days predictions are kept", required=False, min_value=0, max_value=36_500,
        help_text="0: as the installation says. Older ones go with their labels; counts and figures stay.",
    )  # fmt: skip
    on_log_failure = forms.ChoiceField(
        choices=Endpoint.OnLogFailure, label="When the log cannot be written", required=False
    )
    requests_per_minute = forms.IntegerField(
        label="Requests a minute", required=False, help_text="Of all callers. 0 for no limit; more get 429."
    )
    caller_requests_per_minute = forms.IntegerField(
        label="Requests a minute of each token", required=False, help_text="0 for no limit."
    )

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointForm":
        """Return the form with the settings as they are."""
        held = {name: getattr(endpoint, name) for name in cls.base_fields}
        return cls(initial=held | {"masked_columns": ", ".join(endpoint.masked_columns)})

    def values(self) -> dict[str, Any]:
        """Return the settings of a valid form; what was not sent is left out."""
        sent = {
            name: value for name, value in self.cleaned_data.items() if name in self.data and value not in ("", None)
        }
        if "masked_columns" in self.data:
            names = self.cleaned_data["masked_columns"].split(",")
            sent["masked_columns"] = [name.strip() for name in names if name.strip()]
        return sent


class AutomationForm(Form):
    """When to retrain by itself."""

    trigger = forms.ChoiceField(choices=Automation.Trigger, widget=forms.HiddenInput)
    enabled = forms.BooleanField(required=False, label="Retrain when a drift alert fires")
    cooldown_hours = forms.IntegerField(
        min_value=1, max_value=2160, initial=24, label="At most once in", help_text="Hours between two retrainings."
    )
    labelled_rows = forms.ChoiceField(
        choices=Automation.Rows,
        label="New labelled rows are needed",
        required=False,
        help_text="1,000, or a tenth of the training rows: rows its dataset grew by, or predictions whose label came.",
    )
    monthly_runs = forms.IntegerField(
        required=False, min_value=1, max_value=1000, label="Retrainings a month", help_text="Empty: no limit."
    )
    monthly_cpu_minutes = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, label="CPU minutes a month", help_text="Empty: no limit."
    )
    least_severity = forms.ChoiceField(choices=Automation.Severity, label="Alerts from", required=False)
    dataset_name = forms.CharField(
        required=False, max_length=100, label="Dataset", help_text="Empty: the newest version of the live model's own."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.data.get("trigger") or self.initial.get("trigger") or Automation.Trigger.DRIFT
        self.fields["enabled"].label = f"Retrain when a {kind} alert fires"

    @classmethod
    def of(cls, automation: Automation | None, kind: str) -> "AutomationForm":
        """Return the form with the settings as they are, or as they usually are."""
        auto_id = "id_%s" if kind == Automation.Trigger.DRIFT else f"id_{kind}_%s"
        if automation is None:
            usual = {
                "enabled": False, "cooldown_hours": 24, "labelled_rows": Automation.Rows.AFTER_FIRST,
                "monthly_runs": 10, "monthly_cpu_minutes": 600, "least_severity": Automation.Severity.LOW,
            }  # fmt: skip
            return cls(initial={"trigger": kind, **usual}, auto_id=auto_id)
        held = {name: getattr(automation, name) for name in cls.base_fields}
        held["enabled"] = automation.enabled and automation.stopped_at is None
        return cls(initial=held, auto_id=auto_id)

    def values(self) -> dict[str, Any]:
        """Return the settings of a valid form; choices that were not sent are left to the service."""
        return {name: value for name, value in self.cleaned_data.items() if value != "" or name == "dataset_name"}
