"""Forms of legal holds."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.models import Dataset


class NewHold(Form):
    """What is kept, and why; ``datasets`` are those of the project, also those in its trash."""

    dataset = forms.ModelChoiceField(
        label="What", queryset=Dataset.objects.none(), required=False, empty_label="The whole project",
        help_text="A hold on a dataset keeps its versions; one on the project keeps everything.",
    )  # fmt: skip
    reason = forms.CharField(
        label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="At least 10 characters. Whoever reads the audit log can read it.",
    )  # fmt: skip

    def __init__(self, *args: Any, datasets: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["dataset"].queryset = datasets  # type: ignore[attr-defined]


class LiftHold(Form):
    """Why it need not be kept any more."""

    reason = forms.CharField(
        label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}), help_text="At least 10 characters."
    )
