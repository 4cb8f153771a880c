"""The Splits tab of a dataset version: saved splits with their sizes, balance and leakage."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib import names
from projects.forms.splits import SplitForm
from projects.models import DatasetVersion, SplitRecipe
from projects.permissions import Permission
from projects.services import marks, split_carrying, split_preview, splits
from projects.views import dataset_context
from projects.views.accounts import see_other
from projects.views.datasets import OneVersion


@dataclass(frozen=True)
class Card:
    """One split on the page."""

    split: SplitRecipe
    sentence: str
    report: dict[str, Any]

    @property
    def parts(self) -> list[tuple[str, Any]]:
        """Parts with their sizes."""
        return list(self.report.get("parts", {}).items())

    @property
    def train_until(self) -> float:
        """Where the training part ends in the bar, 0 to 100."""
        return round(100 * float(self.report["parts"]["train"]["share"]), 2)

    @property
    def held_until(self) -> float:
        """Where the validation part ends in the bar, 0 to 100."""
        return round(100 * (1 - float(self.report["parts"]["test"]["share"])), 2)

    @property
    def balance(self) -> list[tuple[str, list[float]]]:
        """Each value of the shown column, with its share in each part."""
        found = self.report.get("balance")
        if not found:
            return []
        columns = list(found["parts"].values())
        return [(value, [column[at] for column in columns]) for at, value in enumerate(found["values"])]

    @property
    def warnings(self) -> list[str]:
        """What should worry who trusts a metric."""
        told = []
        for part, count in self.report.get("duplicates", {}).items():
            if count:
                rows = "row" if count == 1 else "rows"
                told.append(f"{count:,} {rows} of the {part} part also {'is' if count == 1 else 'are'} in training.")
        return told


class VersionSplits(OneVersion):
    """Saved splits of a version; a post saves one more."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW
    write_permission = Permission.DATASET_CREATE

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show the tab."""
        version = self.version(name, number)
        return self._show(request, version, SplitForm(columns=_columns(version)), 200)

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Save, or show the sizes that saving would give, or say what needs a change."""
        version = self.version(name, number)
        form = SplitForm(request.POST, columns=_columns(version))
        if "preview" in request.POST:
            return self._preview(request, version, form)
        if form.is_valid() and form.attempt(lambda: self._save(version, form)) is not None:
            messages.success(request, "The split is saved and is being cut.")
            return see_other(request.path)
        return self._show(request, version, form, 422)

    def _save(self, version: DatasetVersion, form: SplitForm) -> SplitRecipe:
        return splits.save(self.actor, version=version, name=form.cleaned_data["name"], recipe=form.recipe())

    def _preview(self, request: HttpRequest, version: DatasetVersion, form: SplitForm) -> HttpResponse:
        form.fields["name"].required = False
        found = None
        if form.is_valid():
            found = form.attempt(lambda: split_preview.preview(self.actor, version=version, recipe=form.recipe()))
        return self._show(request, version, form, 200 if found else 422, found)

    def _show(
        self, request: HttpRequest, version: DatasetVersion, form: SplitForm, status: int,
        preview: split_preview.Preview | None = None,
    ) -> HttpResponse:  # fmt: skip
        found = list(splits.of_version(self.actor, version=version))
        hidden = marks.hidden(self.actor, dataset=version.dataset)
        source, left = split_carrying.left_behind(self.actor, version=version) if version.is_ready else (None, [])
        context = dataset_context.frame(self.actor, version) | {
            "cards": [
                Card(split, splits.recipe_of(split).sentence, splits.shown_report(split, hidden)) for split in found
            ],
            "cutting": any(not split.is_terminal for split in found),
            "form": form,
            "preview": preview,
            "carry_from": source,
            "left_behind": left,
        }
        return render(request, "projects/dataset_splits.html", context, status=status)


class SplitCarry(OneVersion):
    """Take over splits of the version before."""

    reads = DatasetVersion
    permission = Permission.DATASET_CREATE

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Carry over all that this version has not."""
        made = split_carrying.carry(self.actor, version=self.version(name, number))
        messages.success(request, f"{len(made):,} {'split is' if len(made) == 1 else 'splits are'} carried over.")
        return see_other(reverse("projects:dataset-version-splits", args=[self.project.slug, name, number]))


class SplitRemove(OneVersion):
    """Remove a split."""

    reads = DatasetVersion
    permission = Permission.DATASET_CREATE

    def post(self, request: HttpRequest, name: str, number: int, split: str) -> HttpResponse:
        """Remove it, unless a training used it."""
        version = self.version(name, number)
        found = self.find(splits.of_version(self.actor, version=version), name_key=names.key(split))
        splits.remove(self.actor, split=found)
        messages.success(request, f"The split {found.name} is removed.")
        return see_other(reverse("projects:dataset-version-splits", args=[self.project.slug, name, number]))


def _columns(version: DatasetVersion) -> list[str]:
    return [entry["name"] for entry in version.schema]
