"""Have a version converted to ONNX; a worker converts it and measures the parity, and both are kept."""

from django.db import transaction

from deployments import gates
from deployments.models import Conversion, ModelVersion
from mlportal.lib import lease, queue
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

TASK = "deployments.convert_version"


def found(by: Actor, *, version: ModelVersion) -> Conversion | None:
    """Return the conversion of a version as far as it is, None when nobody asked."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    return Conversion.objects.filter(version=version).first()


def ask(by: Actor, *, version: ModelVersion) -> Conversion:
    """Have a version converted; asked again it is the same conversion, and one that failed is tried once more.

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
            events.record(by, "version.conversion_asked", project=version.model.project, target=version)
    return made


def queued(version: ModelVersion, *, asked_by: Actor) -> tuple[Conversion, bool]:
    """Return the conversion of a version and whether this call queued it, in the caller's transaction."""
    made, fresh = Conversion.objects.get_or_create(version=version, defaults={"asked_by": asked_by.user})
    if not fresh:
        fresh = lease.again(Conversion.objects.all(), made)
    if fresh:
        queue.enqueue(TASK, made.pk)
    return made, fresh
