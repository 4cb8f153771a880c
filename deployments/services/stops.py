"""End an automation after failures in a row, with an alert; and the actor in whose name automations act."""

from typing import Any

from django.db.models import F
from django.utils import timezone

from deployments.models import Automation
from monitoring.services import standing
from projects.actor import Actor
from projects.permissions import Permission
from projects.services import events

TITLE = "Retraining of {model} stopped"


def on_behalf(automation: Automation, *grants: Permission) -> Actor:
    """Return the automation as an actor, for the person who set it."""
    return Actor.system(
        f"automation of {automation.endpoint.name}", project=automation.project, grants=frozenset(grants),
        on_behalf_of=automation.owner,
    )  # fmt: skip


def count_failure(automation: Automation, reason: str, *, most: int) -> None:
    """Count one more failure in a row of the model; after the last one its automations stop, with an alert."""
    rows = Automation.objects.filter(endpoint__model=automation.endpoint.model_id, stopped_at=None)
    rows.update(failures=F("failures") + 1)
    automation.refresh_from_db(fields=["failures"])
    if automation.failures >= most:
        stop(automation, f"{automation.failures} retrainings in a row failed. Last: {reason}")


def stop(automation: Automation, reason: str) -> None:
    """Stop every automation of the model until somebody sets it again, and open an alert that says so."""
    rows = Automation.objects.filter(endpoint__model=automation.endpoint.model_id, stopped_at=None)
    rows.update(stopped_at=timezone.now(), stop_reason=reason)
    standing.raise_alert(
        on_behalf(automation, Permission.ALERT_HANDLE), project=automation.project,
        labels=_labels(automation), title=TITLE.format(model=automation.endpoint.model.name), detail=reason,
    )  # fmt: skip
    automation.refresh_from_db(fields=["stopped_at", "stop_reason"])
    events.record(
        on_behalf(automation), "automation.stopped", project=automation.project, target=automation,
        data={"reason": reason},
    )  # fmt: skip


def end_alert(automation: Automation) -> None:
    """Resolve the alert about the stop: somebody has set the automation again."""
    standing.end_alert(
        on_behalf(automation, Permission.ALERT_HANDLE), project=automation.project, labels=_labels(automation),
        text="the retraining was set again",
    )  # fmt: skip


def _labels(automation: Automation) -> dict[str, Any]:
    return {"endpoint": automation.endpoint.name, "model": automation.endpoint.model.name}
