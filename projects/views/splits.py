"""The Splits tab of a dataset version: saved splits with their sizes, balance and leakage."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib import names
from projects.access import ProjectView
from projects.forms.splits import SplitForm
from projects.models import DatasetVersion, SplitRecipe
from projects.permissions import Permission
from projects.services import splits
from projects.views import dataset_context
from projects.views.accounts import see_other


@dataclass(frozen=True)
class Card:
    """One split on the page."""

    split: SplitRecipe
    sentence: str

    @property
    def parts(self) -> list[tuple[str, Any]]:
        """Parts with their sizes."""
        return list(self.split.report.get("parts", {}).items())

    @property
    def train_until(self) -> float:
        """Where the training part ends in the bar, 0 to 100."""
        return round(100 * float(self.split.report["parts"]["train"]["share"]), 2)

    @property
    def held_until(self) -> float:
        """Where the validation part ends in the bar, 0 to 100."""
        return round(100 * (1 - float(self.split.report["parts"]["test"]["share"])), 2)

    @property
    def balance(self) -> list[tuple[str, list[float]]]:
        """Each value of the shown column, with its share in each part."""
        found = self.split.report.get("balance")
        if not found:
            return []
        columns = list(found["parts"].values())
        return [(value, [column[at] for column in columns]) for at, value in enumerate(found["values"])]

    @property
    def warnings(self) -> list[str]:
        """What should worry who trusts a metric."""
        told = []
        for part, count in self.split.report.get("duplicates", {}).items():
            if count:
                rows = "row" if count == 1 else "rows"
                told.append(f"{count:,} {rows} of the {part} part also {'is' if count == 1 else 'are'} in training.")
        return told


class _Version(ProjectView):
    abstract = True
    reads = DatasetVersion
    permission = Permission.DATASET_VIEW
    write_permission = Permission.DATASET_CREATE

    def version(self, name: str, number: int) -> DatasetVersion:
        """The version that the address names."""
        rows = self.rows().in_project(self.project).select_related("dataset__project", "created_by")
        found: DatasetVersion = self.find(rows, dataset__name_key=names.key(name), number=number)
        return found


class VersionSplits(_Version):
    """Saved splits of a version; a post saves one more."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show the tab."""
        version = self.version(name, number)
        return self._show(request, version, SplitForm(columns=_columns(version)), 200)

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Save, or say what needs a change."""
        version = self.version(name, number)
        form = SplitForm(request.POST, columns=_columns(version))
        if form.is_valid() and form.attempt(lambda: self._save(version, form)) is not None:
            messages.success(request, "The split is saved and is being cut.")
            return see_other(request.path)
        return self._show(request, version, form, 422)

    def _save(self, version: DatasetVersion, form: SplitForm) -> SplitRecipe:
        return splits.save(self.actor, version=version, name=form.cleaned_data["name"], recipe=form.recipe())

    def _show(self, request: HttpRequest, version: DatasetVersion, form: SplitForm, status: int) -> HttpResponse:
        found = list(splits.of_version(self.actor, version=version))
        context = dataset_context.frame(self.actor, version) | {
            "cards": [Card(split, splits.recipe_of(split).sentence) for split in found],
            "cutting": any(not split.is_terminal for split in found),
            "form": form,
        }
        return render(request, "projects/dataset_splits.html", context, status=status)


class SplitRemove(_Version):
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
