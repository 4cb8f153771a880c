"""Make, change and remove the routes that decide which channel hears of which alerts."""

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from mlportal.lib import matchers, names
from mlportal.lib.errors import Conflict, Invalid
from monitoring.models import AlertGroup, AlertRoute
from projects.actor import Actor
from projects.models import Channel, Project
from projects.permissions import Permission, require
from projects.services import events

MOST_ROUTES = 50
DAY = 86_400
SECONDS = {
    "group_wait": (0, DAY), "group_interval": (1, 7 * DAY), "repeat": (60, 30 * DAY), "repeat_critical": (60, 30 * DAY),
    "escalate_after": (0, 30 * DAY),
}  # fmt: skip
FIELDS = ("name", "matchers", "channel", "enabled", "group_by", "position", *SECONDS)


def create(by: Actor, *, project: Project, **fields: Any) -> AlertRoute:
    """Add a route at the end of the list, unless a position is given.

    Raises
    ------
    Invalid
        Naming the field.
    Conflict
        When the project has 50 routes.
    """
    require(by, Permission.MONITOR_EDIT, project)
    clean = _checked(project, {"name": "", "channel": 0, "matchers": "", "group_by": ["endpoint"]} | fields)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        held = AlertRoute.objects.in_project(project).filter(removed_at=None)
        if held.count() >= MOST_ROUTES:
            raise Conflict(f"A project has at most {MOST_ROUTES} routes.", limit=MOST_ROUTES)
        if "position" not in clean:
            clean["position"] = (held.aggregate(last=Max("position"))["last"] or 0) + 1
        route = AlertRoute.objects.create(project=project, **clean)
        events.record(by, "route.created", project=project, target=route, data=_facts(route))
    return route


def update(by: Actor, *, route: AlertRoute, **fields: Any) -> AlertRoute:
    """Change a route; what its groups were told stays known."""
    require(by, Permission.MONITOR_EDIT, route.project)
    clean = _checked(route.project, fields)
    with transaction.atomic():
        held = _held(route)
        for field, value in clean.items():
            setattr(held, field, value)
        held.save()
        events.record(by, "route.updated", project=held.project, target=held, data=_facts(held))
    return held


def remove(by: Actor, *, route: AlertRoute) -> AlertRoute:
    """Take a route away; its groups are forgotten, messages that are owed are still sent."""
    require(by, Permission.MONITOR_EDIT, route.project)
    with transaction.atomic():
        held = _held(route)
        held.removed_at, held.enabled = timezone.now(), False
        held.save(update_fields=["removed_at", "enabled"])
        AlertGroup.objects.filter(route=held).update(due_at=None)
        events.record(by, "route.removed", project=held.project, target=held, data=_facts(held))
    return held


def _held(route: AlertRoute) -> AlertRoute:
    rows = AlertRoute.objects.select_for_update(of=("self",), no_key=True).select_related("project", "channel")
    held = rows.get(pk=route.pk)
    if held.removed_at is not None:
        raise Conflict("This route was removed.")
    return held


def _facts(route: AlertRoute) -> dict[str, Any]:
    return {field: getattr(route, field) for field in FIELDS if field != "channel"} | {"channel": route.channel.name}


def _checked(project: Project, fields: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise Invalid(f"A route has no setting {unknown[0]!r}.", field=unknown[0], limit=list(FIELDS))
    return {field: _one(project, field, value) for field, value in fields.items()}


def _one(project: Project, field: str, value: Any) -> Any:
    if field == "name":
        return names.clean_text(value, field=field, limit=100, required=True)
    if field == "matchers":
        return matchers.line(value)
    if field == "channel":
        return _channel(project, value)
    if field == "group_by":
        return _group_by(value)
    if field == "enabled":
        if not isinstance(value, bool):
            raise Invalid("enabled is true or false.", field=field)
        return value
    least, most = SECONDS.get(field, (0, 1000))
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{field} must be a whole number from {least} to {most:,}.", field=field, got=str(value)[:50])
    return value


def _channel(project: Project, value: Any) -> Channel:
    rows = Channel.objects.in_project(project).filter(removed_at=None).exclude(kind=Channel.Kind.MLFLOW)
    found = rows.filter(pk=value).first() if isinstance(value, int) and not isinstance(value, bool) else None
    if found is None:
        raise Invalid("Choose a channel of this project.", field="channel", got=str(value)[:50])
    return found


def _group_by(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > 10 or not all(isinstance(one, str) for one in value):
        raise Invalid("group_by is a list of at most 10 label names.", field="group_by")
    return [names.clean_text(one, field="group_by", limit=100, required=True) for one in value]
