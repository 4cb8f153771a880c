"""Datasets in the trash: restore one, or remove it for good. The page itself is the trash of the project."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from mlportal.lib.errors import Conflict
from projects.access import ProjectView
from projects.models import Dataset, DatasetVersion
from projects.permissions import Permission
from projects.services import dataset_trash
from projects.views.accounts import see_other
from projects.views.dataset_edit import dataset_url


class DatasetTrash(ProjectView):
    """Where the trash of datasets was; it lies with that of runs now."""

    reads = Dataset
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Go there."""
        del request
        return redirect(_place(self), permanent=True)


class _InTrash(ProjectView):
    """Finds what lies in the trash."""

    abstract = True
    reads = Dataset
    permission = Permission.DATASET_DELETE
    http_method_names = ["post"]

    def dataset(self, pk: int) -> Dataset:
        """A dataset in the trash."""
        found: Dataset = self.find(Dataset.objects.trashed(self.project).select_related("project"), pk=pk)
        return found

    def version(self, pk: int) -> DatasetVersion:
        """A version in the trash whose dataset is kept."""
        rows = DatasetVersion.objects.light().filter(dataset__project=self.project, dataset__deleted_at=None)
        found: DatasetVersion = self.find(
            rows.filter(deleted_at__isnull=False).select_related("dataset__project"), pk=pk
        )
        return found

    def restored(self, request: HttpRequest, dataset: Dataset, version: DatasetVersion | None) -> HttpResponse:
        """Restore it and go to the page of its dataset."""
        try:
            dataset_trash.restore(self.actor, dataset=dataset, version=version)
        except Conflict as error:
            messages.error(request, error.message)
            return see_other(_place(self))
        messages.success(request, f"{version or dataset} is back.")
        return see_other(dataset_url(dataset))

    def removed(self, request: HttpRequest, dataset: Dataset, version: DatasetVersion | None) -> HttpResponse:
        """Remove it once that was confirmed; what needs it is said."""
        what = version or dataset
        values: dict[str, Any] = {"what": what, "place": _place(self), "versions": 1 if version else None}
        if request.POST.get("sure") != "1":
            return render(request, "projects/dataset_remove.html", values)
        try:
            dataset_trash.remove(self.actor, dataset=dataset, version=version)
        except Conflict as error:
            return render(request, "projects/dataset_remove.html", values | {"problem": error}, status=409)
        messages.success(request, f"{what} is removed for good.")
        return see_other(_place(self))


class DatasetRestore(_InTrash):
    """Take a dataset out of the trash."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Restore it."""
        return self.restored(request, self.dataset(pk), None)


class DatasetVersionRestore(_InTrash):
    """Take one version out of the trash."""

    reads = DatasetVersion

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Restore it."""
        version = self.version(pk)
        return self.restored(request, version.dataset, version)


class DatasetRemove(_InTrash):
    """Remove a dataset of the trash for good."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask once more, then remove it with all its versions."""
        return self.removed(request, self.dataset(pk), None)


class DatasetVersionRemove(_InTrash):
    """Remove one version of the trash for good."""

    reads = DatasetVersion

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask once more, then remove it."""
        version = self.version(pk)
        return self.removed(request, version.dataset, version)


def _place(view: ProjectView) -> str:
    return reverse("experiments:trash", args=[view.project.slug]) + "?kind=datasets"
