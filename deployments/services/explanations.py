"""Ask for explanations of a version; a worker computes them and they are kept."""

from typing import Any

from django.db import transaction

from deployments import gates
from deployments.models import Explanation, ModelVersion
from mlportal.lib import lease, queue
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, marks

TASK = "deployments.explain_version"


def found(by: Actor, *, version: ModelVersion) -> Explanation | None:
    """Return the explanation of a version as far as it is, None when nobody asked."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    return Explanation.objects.filter(version=version).first()


def readable(by: Actor, *, version: ModelVersion, result: dict[str, Any]) -> dict[str, Any]:
    """Return an explanation without the values of columns whose marks hide them from the actor."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    dataset = version.dataset_version.dataset if version.dataset_version else None
    hidden = marks.hidden(by, dataset=dataset) if dataset else frozenset()
    if not hidden:
        return result
    return {**masked(result, hidden), "partial_dependence": curves(result["partial_dependence"], hidden)}


def masked(told: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    """Return rows and what their columns add, without the values of some columns."""
    rows = [
        {
            **row,
            "values": [
                marks.MASK if name in hidden else value
                for name, value in zip(told["columns"], row["values"], strict=False)
            ],
        }
        for row in told["rows"]
    ]
    return {**told, "rows": rows}


def curves(found: list[dict[str, Any]], hidden: frozenset[str]) -> list[dict[str, Any]]:
    """Return the curves of the other columns: the ends of one's axis are values."""
    return [curve for curve in found if curve["feature"] not in hidden]


def ask(by: Actor, *, version: ModelVersion) -> Explanation:
    """Have a version explained; asked again it is the same explanation, and one that failed is tried once more.

    Raises
    ------
    Conflict
        When the version has no safe format, so that no worker may load it.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    if unfit := gates.cargo(version):
        raise Conflict(unfit, code="not_servable", field="version")
    with transaction.atomic():
        made, fresh = queued(version, asked_by=by)
        if fresh:
            events.record(by, "version.explanation_asked", project=version.model.project, target=version)
    return made


def queued(version: ModelVersion, *, asked_by: Actor) -> tuple[Explanation, bool]:
    """Return the explanation of a version and whether this call queued it, in the caller's transaction."""
    made, fresh = Explanation.objects.get_or_create(version=version, defaults={"asked_by": asked_by.user})
    if not fresh:
        fresh = lease.again(Explanation.objects.all(), made)
    if fresh:
        queue.enqueue(TASK, made.pk)
    return made, fresh
