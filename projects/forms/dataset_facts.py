"""The form of what people say of a dataset. It only parses; the service checks."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.models import Dataset
from projects.services.dataset_facts import LICENCES, tag_words
from projects.services.marks import MARKS

MARK_PREFIX = "mark-"


class DatasetFacts(Form):
    """Owner, licence, description, tags; the marks of columns come beside it."""

    description = forms.CharField(
        required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 6}), help_text="Markdown."
    )
    owner = forms.ChoiceField(required=False, help_text="Who answers questions about it.")
    licence = forms.CharField(
        required=False, max_length=100, widget=forms.TextInput(attrs={"list": "licences", "autocomplete": "off"}),
        help_text="An SPDX identifier such as CC-BY-4.0, or other words.",
    )  # fmt: skip
    tags = forms.CharField(required=False, max_length=3_500, help_text="Separated by commas.")
    revision = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, members: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("", "Nobody"), *((name, name) for name in members)]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        given = dict(self.cleaned_data)
        marked = {
            key.removeprefix(MARK_PREFIX): value
            for key, value in self.data.items()
            if key.startswith(MARK_PREFIX) and value
        }
        return {**given, "tags": tag_words(given["tags"]), "marked": marked}


def initial_of(dataset: Dataset) -> dict[str, Any]:
    """What the form shows of a stored dataset."""
    return {
        "description": dataset.description,
        "owner": dataset.owner.username if dataset.owner else "",
        "licence": dataset.licence,
        "tags": ", ".join(dataset.tags),
        "revision": dataset.revision,
    }


__all__ = ["LICENCES", "MARKS", "MARK_PREFIX", "DatasetFacts", "initial_of"]
