"""Fold the alerts of an endpoint into one incident, and close it with a cause."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from monitoring.drift.lifecycle import Move
from monitoring.models import Alert, Incident
from monitoring.models.alerts import SHOWN
from projects.actor import Actor
from projects.models import Event
from projects.permissions import Permission, require
from projects.services import events


def join(alert: Alert, moves: Sequence[Move], at: datetime) -> None:
    """Name the open incident of its endpoint in an alert that begins to fire and is not stored yet."""
    if moves[-1].after in SHOWN and alert.incident_id is None:
        alert.incident = _open_one(alert, at)


def fold(alert: Alert, moves: Sequence[Move], at: datetime) -> None:
    """Make an incident as bad as the worst of its alerts; note when it is quiet.

    Runs in the transaction of the change, which holds the incident, before its first event.
    """
    if alert.incident is None:
        return
    if moves[-1].after in SHOWN:
        worse = {"severity": alert.severity, "severity_rank": alert.severity_rank, "title": alert.title}
        changed: dict[str, Any] = worse if alert.incident.severity_rank > alert.severity_rank else {}
        changed |= {"quiet_at": None} if alert.incident.quiet_at else {}
        if changed:
            Incident.objects.filter(pk=alert.incident_id).update(**changed)
    elif not Alert.objects.shown().filter(incident=alert.incident_id).exists():
        Incident.objects.filter(pk=alert.incident_id, quiet_at=None).update(quiet_at=at)


def _open_one(alert: Alert, at: datetime) -> Incident:
    fields = {
        "title": alert.title, "severity": alert.severity, "severity_rank": alert.severity_rank, "opened_at": at,
    }  # fmt: skip
    made, _new = Incident.objects.get_or_create(
        project=alert.project, endpoint=alert.endpoint, closed_at=None, defaults=fields
    )
    return made


def seen(alert: Alert, at: datetime) -> None:
    """Note that somebody looked at an alert of the incident for the first time."""
    if alert.incident_id is not None:
        Incident.objects.filter(pk=alert.incident_id, acknowledged_at=None).update(acknowledged_at=at)


def close(by: Actor, *, incident: Incident, outcome: str, cause: str, event: int | None = None) -> Incident:
    """Close an incident with what was behind it; its alerts are judged real or false with it.

    Parameters
    ----------
    outcome : {"real", "false"}
        Whether there was trouble.
    cause : str
        What it was, in a sentence.
    event : int, optional
        Number of the change in the audit log that caused it.

    Raises
    ------
    Invalid
        Without a cause, for another outcome, or a change of another project.
    Conflict
        When it is closed, or an alert of it still fires and nobody resolved it.
    """
    require(by, Permission.ALERT_HANDLE, incident.project)
    cause = names.clean_text(cause, field="cause", limit=1000, required=True)
    if outcome not in Incident.Outcome.values:
        raise Invalid("outcome is real or false.", field="outcome", got=str(outcome)[:20])
    linked = _event(incident, event)
    with transaction.atomic():
        own = Alert.objects.filter(incident=incident).order_by("pk")
        list(own.select_for_update(no_key=True).values_list("pk", flat=True))  # alerts before incidents, see locks
        rows = Incident.objects.select_for_update(of=("self",), no_key=True).select_related("project")
        held = rows.get(pk=incident.pk)
        if held.closed_at is not None:
            raise Conflict("This incident is closed.")
        if (firing := Alert.objects.shown().filter(incident=held).count()) > 0:
            raise Conflict(f"{firing} of its alerts still fire. Resolve them first.", got=firing)
        held.closed_at, held.closed_by = timezone.now(), by.user
        held.outcome, held.cause, held.cause_event = outcome, cause, linked
        held.save()
        Alert.objects.filter(incident=held, judgement="").update(
            judgement=outcome, judged_at=held.closed_at, judged_by=by.user
        )
        data = {"endpoint": held.endpoint, "outcome": outcome, "cause": cause, "event": event}
        events.record(by, "incident.closed", project=held.project, target=held, data=data)
    return held


def _event(incident: Incident, number: int | None) -> Event | None:
    if number is None:
        return None
    if type(number) is not int:
        raise Invalid("event must be the number of a change.", field="event", got=str(number)[:80])
    found = Event.objects.filter(pk=number, project=incident.project).first()
    if found is None:
        raise Invalid(f"There is no change {number} in this project.", field="event", got=number)
    return found
