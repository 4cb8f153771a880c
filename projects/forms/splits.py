"""The form of a saved split. It only parses; the engine judges."""

import math
from collections.abc import Sequence
from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.tabular.split.recipe import LEAST, MOST


class SplitForm(Form):
    """How to cut a version.

    Parameters
    ----------
    columns : sequence of str
        Columns of the version.
    """

    name = forms.CharField(max_length=100)
    kind = forms.ChoiceField(
        widget=forms.RadioSelect, initial="random",
        choices=[
            ("random", "Random: rows drawn by the seed"), ("stratified", "Stratified: same shares of a column"),
            ("time", "By time: the latest rows are held out"), ("group", "By group: no group on both sides"),
        ],
    )  # fmt: skip
    column = forms.ChoiceField(
        label="Column", required=False, help_text="Labels, dates or groups. By time without one: the order in the file."
    )
    test_share = forms.CharField(label="Test, %", initial="20", max_length=20)
    validation_share = forms.CharField(label="Validation, %", initial="0", required=False, max_length=20)
    seed = forms.IntegerField(initial=0, min_value=0, max_value=2**32 - 1)
    balance = forms.ChoiceField(label="Show the balance of", required=False)

    def __init__(self, *args: Any, columns: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, nothing in (("column", "none"), ("balance", "chosen for me")):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", nothing), *((column, column) for column in columns)]

    def clean_test_share(self) -> float:
        """Return the share of the test part, as a part of one."""
        return _share(self.cleaned_data["test_share"], LEAST)

    def clean_validation_share(self) -> float:
        """Return the share of the validation part, as a part of one."""
        return _share(self.cleaned_data["validation_share"] or "0", 0.0)

    def recipe(self) -> dict[str, Any]:
        """Return the recipe as JSON, for the engine to check."""
        values = self.cleaned_data
        return {
            "kind": values["kind"],
            "test_share": values["test_share"],
            "validation_share": values["validation_share"],
            "seed": values["seed"],
            "column": values["column"],
            "balance": values["balance"],
        }


def _share(text: str, least: float) -> float:
    """Read a share written in percent, as the field asks for it."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not least <= share <= MOST:
        raise forms.ValidationError(f"{text[:20]!r} is not {least:.0%} to {MOST:.0%} of the rows.", code="share")
    return share
