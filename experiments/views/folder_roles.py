"""Giving and ending roles on a folder, from its page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments.models import FolderRole
from experiments.queries.folders import tree_of
from experiments.services import folder_roles
from experiments.views.folders import FolderPage, roles_on
from projects.forms.people import NewFolderRole
from projects.permissions import Permission
from projects.services import principals


class FolderRoleGive(FolderPage):
    """Give a person or a group a role on a folder."""

    permission = Permission.MEMBER_MANAGE
    write_permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, folder: int) -> HttpResponse:
        """Give it, or show the form with what is wrong."""
        found, form = self.load(folder), NewFolderRole(request.POST)
        made = form.attempt(lambda: self._give(found, form.cleaned_data)) if form.is_valid() else None
        if made is not None:
            messages.success(request, f"{made}.")
            return redirect("experiments:folder-edit", self.project.slug, found.pk)
        tree = tree_of(self.project)
        inside = set(tree.below(found.pk))
        context = {
            "folder": found, "line": next(each for each in tree.every() if each.folder.pk == found.pk),
            "path": tree.path(found.parent_id), "places": [e for e in tree.every() if e.folder.pk not in inside],
            "given": {"name": found.name, "parent": str(found.parent_id or "")}, **roles_on(found, tree, form),
        }  # fmt: skip
        return render(request, "experiments/folder_edit.html", context, status=422)

    def _give(self, folder: Any, values: dict[str, Any]) -> FolderRole:
        user = principals.person(values["user"]) if values["user"] else None
        group = principals.group(values["group"]) if values["group"] else None
        return folder_roles.give(
            self.actor, folder=folder, user=user, group=group, role=values["role"], until=values["until"]
        )


class FolderRoleEnd(FolderPage):
    """Take a role on a folder away."""

    permission = Permission.MEMBER_MANAGE
    write_permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, folder: int, held: int) -> HttpResponse:
        """Take it away."""
        found = self.load(folder)
        rows = FolderRole.objects.filter(folder=found, valid_to=None)
        gone = self.find(rows.select_related("user", "group", "project", "folder"), pk=held)
        folder_roles.end(self.actor, held=gone)
        messages.success(request, "The role has ended.")
        return redirect("experiments:folder-edit", self.project.slug, found.pk)
