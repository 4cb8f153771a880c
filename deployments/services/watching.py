"""Bind what watches an endpoint to what answers there: the live version, and the variants that share its requests."""

from typing import Any

from deployments.models import Endpoint, EndpointRevision, ModelVersion
from monitoring.services import monitors, variants
from projects.actor import Actor
from projects.permissions import Permission, require

LIVE = "live"


def follow(by: Actor, *, endpoint: Endpoint, made: EndpointRevision) -> None:
    """Watch what a new revision lets answer, and stop watching what answers no more, in the caller's transaction."""
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    watcher = Actor.system(
        f"endpoint {endpoint.name}", project=endpoint.project, grants={Permission.MONITOR_EDIT}, on_behalf_of=by.user
    )
    monitors.bind(watcher, project=endpoint.project, endpoint=endpoint.name, **_watched(endpoint, made.version))
    sharing = [route for route in made.routes if route["mode"] == LIVE and route["weight"] > 0]
    shares = {route["version_id"]: str(route["variant"]) for route in sharing if route["version_id"] != made.version_id}
    rows = ModelVersion.objects.filter(pk__in=list(shares)).select_related("dataset_version__dataset")
    wanted = {shares[version.pk]: _watched(endpoint, version) for version in rows}
    variants.bind(watcher, project=endpoint.project, endpoint=endpoint.name, wanted=wanted)


def _watched(endpoint: Endpoint, version: ModelVersion) -> dict[str, Any]:
    importance = {
        str(row["feature"]): float(row.get("mean") or 0.0)
        for row in version.importance
        if isinstance(row, dict) and "feature" in row
    }
    dataset = version.dataset_version
    links = {
        "run": version.run_id,
        "model": endpoint.model.name,
        "number": version.number,
        "dataset": dataset.dataset.name if dataset else None,
    }
    return {
        "version": version.label, "reference_grids": version.reference_grids, "importance": importance,
        "links": links, "task": version.task,
    }  # fmt: skip
