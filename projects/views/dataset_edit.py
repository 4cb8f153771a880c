"""Pages that change a dataset: what is said of it, and deletion after a look at its uses."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib import names
from mlportal.lib.errors import Conflict
from projects.access import ProjectView
from projects.forms.dataset_facts import LICENCES, MARK_PREFIX, MARKS, DatasetFacts, initial_of
from projects.models import Dataset, DatasetVersion, User
from projects.permissions import Permission
from projects.services import dataset_facts, dataset_removal, datasets
from projects.views.accounts import see_other
from projects.views.datasets import OneVersion, version_url


def dataset_url(dataset: Dataset) -> str:
    """Address of a dataset's page."""
    return reverse("projects:dataset", args=[dataset.project.slug, dataset.name])


class _OneDataset(ProjectView):
    abstract = True
    reads = Dataset
    permission = Permission.DATASET_VIEW

    def dataset(self, name: str) -> Dataset:
        """The dataset of the address."""
        rows = self.rows().in_project(self.project).select_related("project", "owner", "created_by")
        found: Dataset = self.find(rows, name_key=names.key(name))
        return found


class DatasetEdit(_OneDataset):
    """What is said of a dataset."""

    reads = Dataset
    permission = Permission.DATASET_EDIT

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """The form with what is stored, and the newest edits."""
        dataset = self.dataset(name)
        return self._show(request, dataset, self._form(initial=initial_of(dataset)))

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Keep it, or show what is wrong; another person's edit is not overwritten."""
        dataset = self.dataset(name)
        form = self._form(request.POST)
        saved = (
            form.attempt(lambda: dataset_facts.edit(self.actor, dataset=dataset, **form.values()))
            if form.is_valid()
            else None
        )
        if saved is None:
            return self._show(request, dataset, form, status=422)
        messages.success(request, f"{saved.name} is saved.")
        return see_other(dataset_url(saved))

    def _form(self, *args: Any, **kwargs: Any) -> Any:
        people = User.objects.filter(memberships__project=self.project, memberships__valid_to=None, is_active=True)
        members = list(people.order_by("username").values_list("username", flat=True).distinct()[:1_000])
        return DatasetFacts(*args, members=members, **kwargs)

    def _show(self, request: HttpRequest, dataset: Dataset, form: Any, *, status: int = 200) -> HttpResponse:
        newest = dataset.versions.kept().exclude(schema=[]).order_by("-number").first()
        given = {MARK_PREFIX + name: mark for name, mark in dataset.marks.items()}
        posted = request.POST if form.is_bound else given
        marked = [
            {
                "name": column["name"],
                "field": MARK_PREFIX + column["name"],
                "mark": posted.get(MARK_PREFIX + column["name"], "")
                if posted
                else dataset.marks.get(column["name"], ""),
            }
            for column in (newest.schema if newest else [])
        ]
        values = {
            "form": form, "dataset": dataset, "marked": marked, "marks": MARKS, "licences": LICENCES,
            "history": dataset_facts.history(self.actor, dataset=dataset),
        }  # fmt: skip
        return render(request, "projects/dataset_edit.html", values, status=status)


class DatasetDelete(_OneDataset):
    """Delete a dataset, after a look at what uses it."""

    reads = Dataset
    permission = Permission.DATASET_DELETE

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """What uses it, and what forbids its deletion."""
        return self._show(request, self.dataset(name))

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Put it into the trash, or say what holds it."""
        dataset = self.dataset(name)
        try:
            dataset_removal.delete_dataset(self.actor, dataset=dataset)
        except Conflict as error:
            return self._show(request, dataset, problem=error, status=409)
        messages.success(request, f"{dataset.name} is in the trash for {self.project.trash_days} days.")
        return see_other(reverse("projects:dataset-list", args=[self.project.slug]))

    def _show(
        self, request: HttpRequest, dataset: Dataset, *, problem: Conflict | None = None, status: int = 200
    ) -> HttpResponse:
        versions = list(dataset.versions.kept().light().order_by("-number"))
        for version in versions:
            version.dataset = dataset
        values = _uses(self, versions) | {"dataset": dataset, "what": dataset.name, "problem": problem}
        values["back"] = dataset_url(dataset)
        return render(request, "projects/dataset_delete.html", values, status=status)


class DatasetVersionDelete(OneVersion):
    """Delete one version, after a look at what uses it."""

    reads = DatasetVersion
    permission = Permission.DATASET_DELETE

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """What uses it, and what forbids its deletion."""
        return self._show(request, self.version(name, number))

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Put it into the trash, or say what holds it."""
        version = self.version(name, number)
        try:
            dataset_removal.delete_version(self.actor, version=version)
        except Conflict as error:
            return self._show(request, version, problem=error, status=409)
        messages.success(request, f"{version} is in the trash for {self.project.trash_days} days.")
        return see_other(dataset_url(version.dataset))

    def _show(
        self, request: HttpRequest, version: DatasetVersion, *, problem: Conflict | None = None, status: int = 200
    ) -> HttpResponse:
        values = _uses(self, [version]) | {"dataset": version.dataset, "what": str(version), "problem": problem}
        values["back"] = version_url(version)
        return render(request, "projects/dataset_delete.html", values, status=status)


def _uses(view: ProjectView, versions: list[DatasetVersion]) -> dict[str, Any]:
    pks = [version.pk for version in versions]
    labels = {version.pk: str(version) for version in versions}
    used = datasets.uses(view.actor, project=view.project, versions=pks, newest=20)
    total = sum(used.values(), datasets.Uses())
    held = dataset_removal.holds(view.actor, project=view.project, versions=pks)
    return {
        "versions": versions,
        "uses": total,
        "more": total.runs + total.models - len(total.newest),
        "holds": [(labels[hold.version], hold) for hold in held],
        "size_bytes": sum(version.size_bytes for version in versions),
        "days": view.project.trash_days,
    }
