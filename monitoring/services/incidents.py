"""Fold the alerts of an endpoint into one incident, and close it with a cause."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q
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


def fold(alert: Alert, moves: Sequence[Move], at: datetime) -> None:
    """Put an alert that begins to fire into the open incident of its endpoint; note when an incident is quiet.

    Runs in the transaction of the change, before its first event.
    """
    last = moves[-1].after
    if last in SHOWN and alert.incident_id is None:
        alert.incident = _open_one(alert, at)
        alert.save(update_fields=["incident"])
    if alert.incident_id is None:
        return
    if last in SHOWN:
        worse = Q(pk=alert.incident_id, severity_rank__gt=alert.severity_rank)
        Incident.objects.filter(worse).update(
            severity=alert.severity, severity_rank=alert.severity_rank, title=alert.title
        )
        Incident.objects.filter(pk=alert.incident_id).update(quiet_at=None)
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
    found = Event.objects.filter(pk=number, project=incident.project).first()
    if found is None:
        raise Invalid(f"There is no change {number} in this project.", field="event", got=number)
    return found
