"""Watch the versions that share the requests of an endpoint, each against its own reference, as long as they do."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from monitoring.models import Monitor
from monitoring.services import monitors
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events


def bind(by: Actor, *, project: Project, endpoint: str, wanted: Mapping[str, Mapping[str, Any]]) -> list[Monitor]:
    """Watch these variants and no others, in the caller's transaction, which holds the monitors of the endpoint.

    A variant keeps the pace, segments and label delay of what is live. Rules apply to it as to any other version, but
    for those on the number of requests: they are about the endpoint.

    Parameters
    ----------
    wanted : mapping of variant to mapping
        ``version``, ``reference_grids``, ``importance``, ``links`` and ``task``, as `monitors.bind` takes them.

    Returns
    -------
    list of Monitor
        Those that are new.
    """
    require(by, Permission.MONITOR_EDIT, project)
    rows = Monitor.objects.live().filter(project=project, endpoint=endpoint).select_related("project")
    held = {row.variant: row for row in rows.order_by("pk")}
    main = held.pop("", None)
    for variant, before in held.items():
        if variant not in wanted or wanted[variant]["version"] != before.version:
            monitors.end(by, monitor=before)
    made = []
    for variant, facts in sorted(wanted.items()):
        if variant in held and held[variant].version == facts["version"]:
            continue
        made.append(
            Monitor.objects.create(
                project=project, endpoint=endpoint, variant=variant, version=facts["version"], task=facts["task"],
                reference=monitors.weighted(facts["reference_grids"] or {}, facts["importance"]),
                links=facts["links"], created_by=by.user, valid_from=timezone.now(),
                **monitors.kept(main), **monitors.pace_of(main),
            )
        )  # fmt: skip
        data = {"endpoint": endpoint, "version": facts["version"], "variant": variant}
        events.record(by, "monitor.bound", project=project, target=made[-1], data=data)
    return made
