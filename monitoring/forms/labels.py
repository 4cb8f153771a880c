"""Forms of labels and of what a monitor counts apart."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from monitoring.models import Monitor


class LabelFile(Form):
    """A file of labels."""

    file = forms.FileField(
        label="CSV file", help_text="Columns: prediction_id or inference_id, label, and observed_at if you like."
    )


class WatchForm(Form):
    """Choice of columns and the usual wait for a label."""

    segment_columns = forms.MultipleChoiceField(
        required=False, label="Segments", widget=forms.CheckboxSelectMultiple,
        help_text="Drift and performance of each value of these columns.",
    )  # fmt: skip
    sensitive_columns = forms.MultipleChoiceField(
        required=False, label="Fairness", widget=forms.CheckboxSelectMultiple,
        help_text="Groups of these columns are compared.",
    )  # fmt: skip
    label_delay_hours = forms.IntegerField(min_value=0, max_value=2160, label="Hours until labels usually are there")

    def __init__(self, *args: Any, monitor: Monitor, **kwargs: Any) -> None:
        initial = {
            "segment_columns": monitor.segment_columns,
            "sensitive_columns": monitor.sensitive_columns,
            "label_delay_hours": monitor.label_delay_seconds // 3600,
        }
        super().__init__(*args, initial=initial, **kwargs)
        usable = [
            name for name, grid in monitor.reference.items() if grid["role"] == "feature" and grid["kind"] != "text"
        ]
        for field in ("segment_columns", "sensitive_columns"):
            self.fields[field].choices = [(name, name) for name in usable]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        hours = self.cleaned_data["label_delay_hours"]
        chosen = {name: self.cleaned_data[name] for name in ("segment_columns", "sensitive_columns")}
        return chosen | {"label_delay_seconds": hours * 3600}


class ElsewhereForm(Form):
    """A model that is served elsewhere."""

    endpoint = forms.CharField(max_length=210, label="Name", help_text="Of the service, as people call it.")
    version = forms.CharField(max_length=200, help_text="A new version starts a new monitor.")
    task = forms.ChoiceField(choices=[("classification", "Classification"), ("regression", "Regression")])
    classes = forms.CharField(
        required=False, max_length=2000, help_text="Separated by commas, the class selected for last: no, yes."
    )

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        names = [name.strip() for name in self.cleaned_data["classes"].split(",") if name.strip()]
        return {name: self.cleaned_data[name] for name in ("endpoint", "version", "task")} | {"classes": names}


class PredictionFile(Form):
    """A file of predictions."""

    file = forms.FileField(
        label="CSV or Parquet",
        help_text="Columns: prediction; score, id and at where there are any; all others are features. Up to 256 MiB.",
    )
