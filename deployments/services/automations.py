"""Set when a model is retrained by itself, and within which limits."""

from typing import Any

from django.db import transaction

from deployments.models import Automation, Endpoint
from deployments.services import stops
from mlportal.lib import names
from mlportal.lib.errors import Invalid
from projects.actor import Actor
from projects.models import Dataset
from projects.permissions import Permission, require
from projects.services import events

MAX_COOLDOWN_HOURS = 24 * 90
MAX_RUNS = 1000
MAX_CPU_MINUTES = 1_000_000
USUAL_RUNS = 10
USUAL_CPU_MINUTES = 600


def configure(
    by: Actor,
    *,
    endpoint: Endpoint,
    trigger: str,
    enabled: bool = True,
    cooldown_hours: int = 24,
    dataset_name: str = "",
    least_severity: str = Automation.Severity.LOW,
    labelled_rows: str = Automation.Rows.AFTER_FIRST,
    monthly_runs: int | None = USUAL_RUNS,
    monthly_cpu_minutes: int | None = USUAL_CPU_MINUTES,
) -> Automation:
    """Switch retraining on or off for one kind of alert; it acts with the rights of whoever configured it last.

    Parameters
    ----------
    least_severity
        Alerts below it start nothing.
    labelled_rows
        Whether enough new labelled rows are needed: ``required``, ``after_first`` or ``ignored``.
    monthly_runs, monthly_cpu_minutes
        What retrainings of the model may spend in a calendar month (UTC); None for no limit.

    Raises
    ------
    Invalid
        Naming the setting.
    """
    require(by, Permission.AUTOMATION_EDIT, endpoint.project)
    values = {
        "enabled": _truth(enabled),
        "cooldown_hours": _whole(cooldown_hours, "cooldown_hours", MAX_COOLDOWN_HOURS),
        "dataset_name": _dataset_name(endpoint, dataset_name),
        "least_severity": _one_of(least_severity, "least_severity", Automation.Severity),
        "labelled_rows": _one_of(labelled_rows, "labelled_rows", Automation.Rows),
        "monthly_runs": _limit(monthly_runs, "monthly_runs", MAX_RUNS),
        "monthly_cpu_minutes": _limit(monthly_cpu_minutes, "monthly_cpu_minutes", MAX_CPU_MINUTES),
    }
    trigger = _one_of(trigger, "trigger", Automation.Trigger)
    kept = {**values, "owner": by.user, "failures": 0, "stopped_at": None, "stop_reason": ""}
    with transaction.atomic():
        made, _ = Automation.objects.update_or_create(
            endpoint=endpoint, trigger=trigger, defaults=kept, create_defaults={**kept, "project": endpoint.project}
        )
        stops.end_alert(made)
        events.record(
            by, "automation.configured", project=endpoint.project, target=made,
            data={"endpoint": endpoint.name, "trigger": trigger, **values},
        )  # fmt: skip
    return made


def _whole(value: object, field: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise Invalid(f"{field} must be a whole number from 1 to {most}.", field=field, limit=most, got=str(value)[:50])
    return value


def _limit(value: object, field: str, most: int) -> int | None:
    return None if value is None else _whole(value, field, most)


def _one_of(value: object, field: str, choices: Any) -> str:
    if value not in choices.values:
        raise Invalid(
            f"{field} must be one of {', '.join(choices.values)}.", field=field, limit=choices.values,
            got=str(value)[:50],
        )  # fmt: skip
    return str(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid("enabled must be true or false.", field="enabled", got=str(value)[:50])
    return value


def _dataset_name(endpoint: Endpoint, given: str) -> str:
    if not given:
        return ""
    name = names.clean(given, field="dataset_name")
    if not Dataset.objects.in_project(endpoint.project).filter(name_key=names.key(name)).exists():
        raise Invalid(f"There is no dataset {name} in this project.", field="dataset_name", got=name)
    return name
