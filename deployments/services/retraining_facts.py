"""What the guards of a retraining look at, and what its request will be told about the alert."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from deployments.models import Automation, ModelVersion, PromotionRequest, RetrainTrigger
from deployments.proof import gap
from deployments.proof.retraining import Situation
from deployments.services import promised
from monitoring.models import Alert, Monitor
from monitoring.services import realised
from projects.actor import Actor
from projects.models import DatasetVersion
from projects.permissions import Permission, allowed

State = RetrainTrigger.State
LOOK_BACK = timedelta(days=7)
MONTH = "%Y-%m"


def situation(automation: Automation, alert: dict[str, Any], now: datetime) -> Situation:
    """Gather what the guards look at; ``alert`` is the data of the alert's event."""
    live = live_version(automation)
    rows = RetrainTrigger.objects.filter(model=automation.endpoint.model_id)
    began = rows.began()
    newest = began.order_by("-created_at").values_list("created_at", flat=True).first()
    spent = began.filter(created_at__gte=month_start(now))
    seconds = spent.aggregate(seconds=Sum("cpu_seconds"))["seconds"] or 0.0
    return Situation(
        owner=str(automation.owner),
        owner_may=allowed(Actor.for_user(automation.owner), Permission.AUTOMATION_EDIT, automation.project),
        stop_reason=automation.stop_reason if automation.stopped_at else "",
        live=live.label if live else "",
        alert_version=str(alert.get("version", "")),
        severity=str(alert.get("severity") or "critical"),
        least_severity=automation.least_severity,
        silenced=alert.get("silenced") is True,
        training=rows.filter(state=State.TRAINING).exists(),
        waiting=rows.filter(request__state=PromotionRequest.State.PENDING).exists(),
        hours_since=(now - newest).total_seconds() / 3600 if newest else None,
        cooldown_hours=automation.cooldown_hours,
        runs=spent.count(),
        most_runs=automation.monthly_runs,
        cpu_minutes=seconds / 60,
        most_cpu_minutes=automation.monthly_cpu_minutes,
        rows_rule=automation.labelled_rows,
        is_first=not rows.filter(request__isnull=False).exists(),
        new_rows=new_rows(automation, live),
        trained_rows=_trained_rows(live),
    )


def month_start(now: datetime) -> datetime:
    """Return when the month of a budget began."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def live_version(automation: Automation) -> ModelVersion | None:
    """Return the version that answers at the endpoint."""
    revision = automation.endpoint.current_revision
    return revision.version if revision else None


def new_rows(automation: Automation, live: ModelVersion | None) -> int:
    """Count labelled rows the live version has not seen.

    Rows that its dataset grew by, or predictions it made whose label came: whichever are more, because the second
    usually end up among the first.
    """
    if live is None:
        return 0
    monitor = monitor_of(automation)
    labelled = realised.labelled_rows(monitor) if monitor else 0
    newest = _newest_data(automation, live)
    grown = (newest.row_count or 0) - _trained_rows(live) if newest else 0
    return max(labelled, grown)


def monitor_of(automation: Automation) -> Monitor | None:
    """Return what watches the endpoint now."""
    endpoint = automation.endpoint
    return Monitor.objects.live().main().filter(project=endpoint.project_id, endpoint=endpoint.name).first()


def _trained_rows(live: ModelVersion | None) -> int:
    return (live.dataset_version.row_count or 0) if live and live.dataset_version else 0


def data_name(automation: Automation, live: ModelVersion) -> str:
    """Return the name of the dataset a retraining reads."""
    return automation.dataset_name or (live.dataset_version.dataset.name if live.dataset_version else "")


def _newest_data(automation: Automation, live: ModelVersion) -> DatasetVersion | None:
    rows = DatasetVersion.objects.filter(
        dataset__project=automation.project_id, dataset__name=data_name(automation, live), state="succeeded"
    )
    return rows.order_by("-number").only("row_count", "number").first()


# --- what the request is told ----------------------------------------------------------------------


def report(automation: Automation, alert: dict[str, Any]) -> dict[str, Any]:
    """Describe the alert, the drift and the labelled performance of its time, as plain data."""
    live, monitor = live_version(automation), monitor_of(automation)
    told: dict[str, Any] = {"alert": _alert(alert), "drift": {}, "performance": {}, "only_inputs": False, "words": ""}
    if live is None or monitor is None:
        return told
    metric = promised.metric_of(live)
    told["performance"] = _performance(monitor, live, metric)
    told["drift"] = realised.drift_until(monitor, timezone.now())
    told["words"], told["only_inputs"] = _words(automation, told)
    return told


def _alert(alert: dict[str, Any]) -> dict[str, Any]:
    row = Alert.objects.filter(pk=int(alert["alert"])).only("value", "limit").first()
    texts = {name: str(alert.get(name) or "") for name in ("title", "rule", "metric", "severity", "kind", "version")}
    numbers = {"value": row.value, "limit": row.limit} if row else {"value": None, "limit": None}
    return {"number": int(alert["alert"]), **texts, **numbers}


def _performance(monitor: Monitor, live: ModelVersion, metric: str) -> dict[str, Any]:
    until = realised.due_until(monitor, timezone.now())
    found = realised.figures(monitor, metric=metric, since=max(monitor.valid_from, until - LOOK_BACK), until=until)
    before = promised.of_version(live, metric)
    moved = gap.change(metric, before, found)
    found.pop("drift")
    return found | {"promised": before.get("value"), "verdict": moved.verdict, "gain": moved.gain}


def _words(automation: Automation, told: dict[str, Any]) -> tuple[str, bool]:
    """Say whether performance fell too; drift alone may be harmless."""
    verdict, seen = told["performance"]["verdict"], told["performance"]
    if verdict == "worse":
        return f"Labelled performance fell as well: {_figure(seen)}.", False
    if automation.trigger != Automation.Trigger.DRIFT:
        return "", False
    if verdict in ("same", "better"):
        return f"Only inputs drifted; labelled performance holds: {_figure(seen)}.", True
    return "Whether performance fell cannot be told: too few predictions have their label.", False


def _figure(seen: dict[str, Any]) -> str:
    return f"{seen['metric']} is {seen['value']:.3f} over {seen['labelled']:,} labels, {seen['promised']:.3f} promised"
