"""React to alerts: retrain from the live version's recipe, register the result, ask for its promotion. Never deploy."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from deployments.models import Automation, Endpoint, PromotionRequest, RetrainTrigger
from deployments.services import holds, promotions, registry, ways
from experiments.models import Run, TrainingJob
from experiments.services import jobs
from mlportal.lib import names
from mlportal.lib.errors import Conflict, DomainError, Invalid
from projects.actor import Actor
from projects.models import Dataset, Event
from projects.permissions import Permission, allowed, require
from projects.services import datasets, events

MAX_FAILURES = 2
MAX_COOLDOWN_HOURS = 24 * 90
NOT_YET = ("split_not_ready", "checks_running")
PATIENCE = timedelta(hours=1)
State = RetrainTrigger.State


class NotYet(Exception):
    """The newest data is still being prepared; the event is tried again later."""


def configure(
    by: Actor,
    *,
    endpoint: Endpoint,
    trigger: str,
    enabled: bool = True,
    cooldown_hours: int = 24,
    dataset_name: str = "",
) -> Automation:
    """Switch retraining on or off for one kind of alert; it acts with the rights of whoever configured it last.

    Raises
    ------
    Invalid
        Naming the setting.
    """
    require(by, Permission.AUTOMATION_EDIT, endpoint.project)
    if trigger not in Automation.Trigger.values:
        raise Invalid(
            f"trigger must be one of {', '.join(Automation.Trigger.values)}.", field="trigger",
            limit=Automation.Trigger.values, got=str(trigger)[:50],
        )  # fmt: skip
    values = {
        "enabled": _truth(enabled),
        "cooldown_hours": _hours(cooldown_hours),
        "dataset_name": _dataset_name(endpoint, dataset_name),
        "owner": by.user,
        "failures": 0,
        "stopped_at": None,
        "stop_reason": "",
    }
    with transaction.atomic():
        made, _ = Automation.objects.update_or_create(
            endpoint=endpoint, trigger=trigger, defaults=values, create_defaults={**values, "project": endpoint.project}
        )
        events.record(
            by, "automation.configured", project=endpoint.project, target=made,
            data={"endpoint": endpoint.name, "trigger": trigger, "enabled": enabled, "cooldown_hours": cooldown_hours},
        )  # fmt: skip
    return made


def react(event: Event) -> None:
    """Do what an event asks for; called by a worker inside the transaction that marks the event as consumed."""
    if event.verb == "alert.firing":
        _on_alert(event)
    elif event.verb == "job.succeeded":
        _on_success(event)
    elif event.verb in ("job.failed", "job.cancelled"):
        _on_failure(event)


def _on_alert(event: Event) -> None:
    data = event.data
    rows = Automation.objects.select_for_update(of=("self",), no_key=True).select_related(
        "project", "owner", "endpoint__model", "endpoint__current_revision__version__run",
        "endpoint__current_revision__version__dataset_version__dataset",
    )  # fmt: skip
    found = rows.filter(
        project=event.project, endpoint__name=data.get("endpoint", ""), trigger=data.get("kind", ""), enabled=True
    )
    for automation in found:
        _consider(automation, event)


def _consider(automation: Automation, event: Event) -> None:
    alert, rule = int(event.data["alert"]), int(event.data.get("rule_id") or 0)
    window = str(event.data.get("window_end") or event.at.isoformat(timespec="seconds"))[:60]
    known = Q(alert_id=alert) | Q(rule_id=rule, window=window)
    if RetrainTrigger.objects.filter(known, automation=automation).exists():
        return  # several alerts of one rule in one window ask for one retraining
    reason = _why_not(automation, version=str(event.data.get("version", "")))
    if event.data.get("silenced") is True:
        reason = "the alert is silenced"
    trigger = RetrainTrigger(
        automation=automation, model=automation.endpoint.model, alert_id=alert, rule_id=rule,
        window=window, state=State.SKIPPED, reason=reason,
    )  # fmt: skip
    if reason:
        _keep(trigger)
        return
    try:
        with transaction.atomic():
            job = _launch(automation, alert)
            trigger.state, trigger.run = State.TRAINING, job.run
            trigger.save(force_insert=True)
    except IntegrityError:
        trigger.state, trigger.reason = State.SKIPPED, "another retraining of this model is under way"
        _keep(trigger)
    except DomainError as error:
        if error.code in NOT_YET and timezone.now() - event.at < PATIENCE:
            raise NotYet(error.message) from error
        trigger.state, trigger.reason = State.FAILED, error.message
        _keep(trigger)
        _count_failure(automation, error.message)


def _keep(trigger: RetrainTrigger) -> None:
    RetrainTrigger.objects.get_or_create(
        automation=trigger.automation,
        alert_id=trigger.alert_id,
        defaults={
            "model": trigger.model, "rule_id": trigger.rule_id, "window": trigger.window, "state": trigger.state,
            "reason": trigger.reason,
        },
    )  # fmt: skip


def _why_not(automation: Automation, *, version: str) -> str:
    """Say which guard holds a retraining back, or nothing."""
    if automation.stopped_at:
        return f"stopped: {automation.stop_reason}"
    if not allowed(Actor.for_user(automation.owner), Permission.AUTOMATION_EDIT, automation.project):
        return f"{automation.owner} may not run automations any more; configure it again"
    if automation.endpoint.current_revision is None:
        return "the endpoint has no live version"
    if (live := automation.endpoint.current_revision.version.label) != version:
        return f"the alert is about {version or 'no version'}, but {live} is live"
    if RetrainTrigger.objects.filter(model=automation.endpoint.model_id, state=State.TRAINING).exists():
        return "another retraining of this model is under way"
    since = timezone.now() - timedelta(hours=automation.cooldown_hours)
    recent = automation.triggers.exclude(state=State.SKIPPED).filter(created_at__gt=since)
    if recent.exists():
        return f"within the cooldown of {automation.cooldown_hours} h"
    return ""


def _launch(automation: Automation, alert: int) -> TrainingJob:
    revision = automation.endpoint.current_revision
    assert revision is not None  # _why_not has checked
    version = revision.version
    recipe = TrainingJob.objects.filter(run=version.run).first()
    if recipe is None or version.run is None:
        raise Conflict(f"{version} was not trained here, so there is no recipe to repeat.", code="no_recipe")
    name = automation.dataset_name or (version.dataset_version.dataset.name if version.dataset_version else "")
    owner = Actor.for_user(automation.owner)
    data = datasets.ready_version(owner, project=automation.project, name=name)
    return jobs.launch(
        _on_behalf(automation, Permission.JOB_LAUNCH, Permission.RUN_LOG, Permission.DATASET_VIEW),
        project=automation.project, experiment=version.run.experiment.name, dataset_version=data, spec=recipe.spec,
        name=f"retrain {automation.endpoint.model.name} after alert {alert}", baseline=version.run,
    )  # fmt: skip


def _on_success(event: Event) -> None:
    trigger = _waiting(event)
    if trigger is None:
        return
    automation = trigger.automation
    try:
        with transaction.atomic():
            request = _ask(trigger)
    except DomainError as error:
        _fail(trigger, error.message)
        return
    RetrainTrigger.objects.filter(pk=trigger.pk).update(state=State.REQUESTED, request=request)
    Automation.objects.filter(pk=automation.pk).update(failures=0)


def _ask(trigger: RetrainTrigger) -> PromotionRequest:
    automation = trigger.automation
    holds.lock_environments(automation.project)  # before the first event, see holds
    by = _on_behalf(automation, Permission.MODEL_REGISTER, Permission.PROMOTION_REQUEST)
    run = Run.objects.select_related("project", "experiment").get(pk=trigger.run_id)
    version = registry.register(by, run=run, model_name=trigger.model.name)
    return promotions.request(
        by, version=version, environment=ways.next_place(version, automation.endpoint.environment),
        reason=(
            f"Retrained after alert {trigger.alert_id} ({automation.get_trigger_display()}) on "
            f"{automation.endpoint.name}, with the recipe of the live version and the newest data."
        ),
        alert_id=trigger.alert_id, by_automation=True,
    )  # fmt: skip


def _on_failure(event: Event) -> None:
    trigger = _waiting(event)
    if trigger is not None:
        _fail(trigger, str(event.data.get("failure") or "the training did not succeed"))


def _waiting(event: Event) -> RetrainTrigger | None:
    rows = RetrainTrigger.objects.select_for_update(of=("self", "automation"), no_key=True).select_related(
        "automation__owner", "automation__project", "automation__endpoint__environment", "model"
    )
    return rows.filter(run=event.data.get("run"), state=State.TRAINING).first()


def _fail(trigger: RetrainTrigger, reason: str) -> None:
    RetrainTrigger.objects.filter(pk=trigger.pk).update(state=State.FAILED, reason=reason)
    _count_failure(trigger.automation, reason)


def _count_failure(automation: Automation, reason: str) -> None:
    """Count one more failure in a row; after two the automation stops until somebody configures it again."""
    automation.failures += 1
    if automation.failures >= MAX_FAILURES:
        automation.stopped_at = timezone.now()
        automation.stop_reason = f"{automation.failures} retrainings in a row failed. Last: {reason}"
        events.record(
            _on_behalf(automation), "automation.stopped", project=automation.project, target=automation,
            data={"reason": automation.stop_reason},
        )  # fmt: skip
    automation.save(update_fields=["failures", "stopped_at", "stop_reason"])


def _on_behalf(automation: Automation, *grants: Permission) -> Actor:
    return Actor.system(
        f"automation of {automation.endpoint.name}", project=automation.project, grants=frozenset(grants),
        on_behalf_of=automation.owner,
    )  # fmt: skip


def _hours(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_COOLDOWN_HOURS:
        raise Invalid(
            f"cooldown_hours must be a whole number from 1 to {MAX_COOLDOWN_HOURS}.", field="cooldown_hours",
            limit=MAX_COOLDOWN_HOURS, got=str(value)[:50],
        )  # fmt: skip
    return value


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
