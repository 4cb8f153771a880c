"""Workspaces of the MLflow client are projects here: listed and read, but made on the portal's pages."""

from __future__ import annotations

from typing import Any

from experiments.mlflow import wire
from experiments.mlflow.door import Call, endpoint
from mlportal.lib.errors import Missing
from projects.models import Project
from projects.permissions import Permission

MAX_LISTED = 1000


@endpoint(Project, Permission.PROJECT_VIEW)
def listed(call: Call) -> dict[str, Any]:
    """List the projects that the caller may name, by name."""
    seen = Project.objects.visible_to(call.actor).order_by("slug")[:MAX_LISTED]
    return wire.filled({"workspaces": [_workspace(project) for project in seen]})


@endpoint(Project, Permission.PROJECT_VIEW)
def get(call: Call) -> dict[str, Any]:
    """Read one project that the caller may name."""
    name = call.words["name"]
    found = Project.objects.visible_to(call.actor).filter(slug=name).first()
    if found is None:
        raise Missing(f"Workspace '{name[:60]}' not found")
    return {"workspace": _workspace(found)}


def _workspace(project: Project) -> dict[str, Any]:
    return {"name": project.slug, "description": project.description or project.name}
