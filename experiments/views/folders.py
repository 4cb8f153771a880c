"""Pages of folders: make, rename, move, delete."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments.models import Folder, FolderRole
from experiments.queries.folders import Tree, tree_of
from experiments.services import folders
from mlportal.lib.errors import DomainError, Invalid
from projects.access import ProjectView
from projects.forms.people import NewFolderRole
from projects.permissions import ROLE_LABELS, Permission, Role


class FolderPage(ProjectView):
    """Base of the pages of folders."""

    abstract = True
    reads = Folder
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def load(self, number: int) -> Folder:
        """The folder of the address, or 404."""
        found: Folder = self.find(self.rows().in_project(self.project).select_related("project", "parent"), pk=number)
        return found

    def chosen(self, text: str) -> Folder | None:
        """The folder that a form's choice means; nothing is the top."""
        return chosen(self, text)

    def back(self, folder_id: int | None) -> HttpResponse:
        """Go to a folder."""
        return redirect(address(self.project.slug, folder_id))


def chosen(view: ProjectView, text: str, field: str = "parent") -> Folder | None:
    """Return the folder of the project that a text names by its number; an empty one is the top.

    Raises
    ------
    Invalid
        If there is none.
    """
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    found = Folder.objects.in_project(view.project).filter(pk=number).first()
    if found is None:
        raise Invalid("There is no such folder here.", field=field, got=text[:40])
    return found


def address(slug: str, folder_id: int | None) -> str:
    """Address of the list of experiments in a folder."""
    top = reverse("experiments:experiment-list", args=[slug])
    return top if folder_id is None else f"{top}?folder={folder_id}"


class FolderNew(FolderPage):
    """Make a folder."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for its name and place."""
        return self._page(request, {"name": "", "parent": request.GET.get("folder", "")})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make it and open it."""
        name, parent = request.POST.get("name", ""), request.POST.get("parent", "")
        try:
            made = folders.create(self.actor, project=self.project, name=name, parent=self.chosen(parent))
        except DomainError as error:
            return self._page(request, {"name": name, "parent": parent}, error)
        return self.back(made.pk)

    def _page(self, request: HttpRequest, given: dict[str, Any], error: DomainError | None = None) -> HttpResponse:
        context = {"places": tree_of(self.project, counted=False).every(), "given": given, "error": error}
        return render(request, "experiments/folder_edit.html", context, status=error.status if error else 200)


class FolderEdit(FolderPage):
    """Rename, move or delete a folder."""

    def get(self, request: HttpRequest, folder: int) -> HttpResponse:
        """Show what can be done."""
        return self._page(request, self.load(folder))

    def post(self, request: HttpRequest, folder: int) -> HttpResponse:
        """Save name and place."""
        found = self.load(folder)
        name, parent = request.POST.get("name", found.name), request.POST.get("parent", "")
        try:
            place = self.chosen(parent)
            if name != found.name:
                folders.rename(self.actor, folder=found, name=name)
            if place != found.parent:
                folders.move(self.actor, folder=found, parent=place)
        except DomainError as error:
            return self._page(request, self.load(folder), error, {"name": name, "parent": parent})
        messages.success(request, "Saved.")
        return self.back(found.pk)

    def _page(
        self, request: HttpRequest, folder: Folder, error: DomainError | None = None, given: Any = None
    ) -> HttpResponse:
        tree = tree_of(self.project)
        inside = set(tree.below(folder.pk))
        line = next(each for each in tree.every() if each.folder.pk == folder.pk)
        context = {
            "folder": folder, "line": line, "path": tree.path(folder.parent_id), "error": error,
            "places": [each for each in tree.every() if each.folder.pk not in inside],
            "given": given or {"name": folder.name, "parent": str(folder.parent_id or "")},
            **roles_on(folder, tree),
        }  # fmt: skip
        return render(request, "experiments/folder_edit.html", context, status=error.status if error else 200)


def roles_on(folder: Folder, tree: Tree, form: NewFolderRole | None = None) -> dict[str, Any]:
    """Roles that hold on a folder, its own and those of the folders it lies in, and the form for another."""
    rows = FolderRole.objects.open().filter(folder__in=[each.pk for each in tree.path(folder.pk)])
    held = rows.select_related("user", "group", "folder").order_by("folder_name", "role", "pk")
    for each in held:
        each.label = ROLE_LABELS[Role(each.role)]
    return {"folder_roles": held, "role_form": form or NewFolderRole()}


class FolderDelete(FolderPage):
    """Remove a folder; never an experiment."""

    def post(self, request: HttpRequest, folder: int) -> HttpResponse:
        """Delete it; what lies in it may go one level up."""
        found = self.load(folder)
        folders.delete(self.actor, folder=found, content_up=request.POST.get("content") == "up")
        messages.success(request, f"The folder {found.name} is gone. No experiment was deleted.")
        return self.back(found.parent_id)
