"""React to alerts: retrain from the live version's recipe, register the result, ask for its promotion. Never deploy.

A trigger's states: held back -> training -> requested or failed; a guard that no longer holds lets a held one go on.
"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from deployments.models import Automation, PromotionRequest, RetrainTrigger
from deployments.proof.retraining import Held, Situation, first_held
from deployments.services import holds, promotions, registry, retraining_facts, stops, ways
from experiments.models import Run, TrainingJob
from experiments.services import jobs
from mlportal.lib.errors import Conflict, DomainError
from monitoring.models import Alert, AlertRule
from monitoring.models.alerts import AlertState
from monitoring.services.alert_facts import is_silenced
from projects.actor import Actor
from projects.models import Event
from projects.permissions import Permission
from projects.services import datasets

MAX_FAILURES = 2
NOT_YET = ("split_not_ready", "checks_running")
PATIENCE = timedelta(hours=1)
UNDER_WAY = Held("active", "another retraining of this model is under way")
# Guards that time or people lift while the alert goes on; the others need somebody to act.
PASSING = ("silenced", "active", "cooldown", "waiting", "runs", "cpu", "rows")
MOST_LOOKED_AT = 100
State = RetrainTrigger.State


class NotYet(Exception):
    """The newest data is still being prepared; the event is tried again later."""


def react(event: Event) -> None:
    """Do what an event asks for; called by a worker inside the transaction that marks the event as consumed."""
    if event.verb == "alert.firing":
        _on_alert(event)
    elif event.verb == "job.succeeded":
        _on_success(event)
    elif event.verb in ("job.failed", "job.cancelled"):
        _on_failure(event)


def _automations() -> Any:
    return Automation.objects.select_for_update(of=("self",), no_key=True).select_related(
        "project", "owner", "endpoint__model", "endpoint__current_revision__version__run",
        "endpoint__current_revision__version__dataset_version__dataset",
        "endpoint__current_revision__version__model",
    )  # fmt: skip


def _on_alert(event: Event) -> None:
    data = event.data
    action = data.get("action", "")
    if action == AlertRule.Action.NONE:
        return
    found = _automations().filter(project=event.project, endpoint__name=data.get("endpoint", ""), enabled=True)
    if action != AlertRule.Action.RETRAIN:
        found = found.filter(trigger=data.get("kind", ""))
    for automation in found.order_by("pk"):
        _consider(automation, event)


def _consider(automation: Automation, event: Event) -> None:
    alert, rule = int(event.data["alert"]), int(event.data.get("rule_id") or 0)
    window = str(event.data.get("window_end") or event.at.isoformat(timespec="seconds"))[:60]
    same = Q(automation=automation, alert_id=alert) | Q(model=automation.endpoint.model_id, rule_id=rule, window=window)
    if RetrainTrigger.objects.filter(same).exists():
        return  # several alerts of one rule in one window ask for one retraining
    seen = retraining_facts.situation(automation, event.data, timezone.now())
    trigger = RetrainTrigger(
        automation=automation, model=automation.endpoint.model, alert_id=alert, rule_id=rule, window=window,
        version=retraining_facts.live_version(automation), facts=_facts(seen),
        report=retraining_facts.report(automation, event.data),
    )  # fmt: skip
    held = first_held(seen)
    if held is None:
        held = _begin(trigger, patient=timezone.now() - event.at < PATIENCE)
    if held is not None:
        _hold(trigger, held)


def _facts(seen: Situation) -> dict[str, Any]:
    return asdict(seen) | {"needed_rows": seen.needed_rows}


def _begin(trigger: RetrainTrigger, *, patient: bool) -> Held | None:
    """Launch the training; returns what held it back after all."""
    try:
        with transaction.atomic():
            job = _launch(trigger.automation, trigger.alert_id)
            trigger.state, trigger.run, trigger.guard, trigger.reason = State.TRAINING, job.run, "", ""
            trigger.before = _before(trigger)
            trigger.save()
    except IntegrityError:
        trigger.run = None
        return UNDER_WAY
    except DomainError as error:
        trigger.run = None
        if error.code in NOT_YET and patient:
            raise NotYet(error.message) from error
        trigger.state, trigger.guard, trigger.reason = State.FAILED, "", error.message
        _keep(trigger)
        stops.count_failure(trigger.automation, error.message, most=MAX_FAILURES)
    return None


def _before(trigger: RetrainTrigger) -> dict[str, Any]:
    return {**trigger.report["performance"], "drift": trigger.report["drift"]}


def _hold(trigger: RetrainTrigger, held: Held) -> None:
    trigger.state, trigger.guard, trigger.reason = State.SKIPPED, held.guard, held.reason
    _keep(trigger)


def _keep(trigger: RetrainTrigger) -> None:
    try:
        with transaction.atomic():
            trigger.save()
    except IntegrityError:
        return  # another worker kept what the same window says


# --- held ones whose guard is over -----------------------------------------------------------------


def look_again() -> int:
    """Let held triggers go on whose guard is over while their alert still fires. Returns how many began."""
    firing = Alert.objects.filter(state__in=(AlertState.FIRING, AlertState.RECOVERING)).values("pk")
    rows = RetrainTrigger.objects.filter(
        state=State.SKIPPED, guard__in=PASSING, alert_id__in=firing, automation__enabled=True,
        automation__stopped_at=None,
    )  # fmt: skip
    return sum(_again(pk) for pk in rows.order_by("pk").values_list("pk", flat=True)[:MOST_LOOKED_AT])


def _again(number: int) -> bool:
    with transaction.atomic():
        found = RetrainTrigger.objects.filter(pk=number, state=State.SKIPPED).select_related("model").first()
        automation = _automations().filter(pk=found.automation_id).first() if found else None
        alert = Alert.objects.filter(pk=found.alert_id).first() if found else None
        if found is None or automation is None or alert is None:
            return False
        data = {"version": alert.version, "severity": alert.severity, "silenced": is_silenced(alert, timezone.now())}
        seen = retraining_facts.situation(automation, data, timezone.now())
        found.automation = automation
        if held := first_held(seen):
            if held.guard != found.guard:
                found.facts = _facts(seen)
                _hold(found, held)
            return False
        found.facts = _facts(seen) | {"held_by": found.guard}
        held = _begin(found, patient=False)
        if held is not None:
            _hold(found, held)
        return found.state == State.TRAINING


# --- the training ----------------------------------------------------------------------------------


def _launch(automation: Automation, alert: int) -> TrainingJob:
    version = retraining_facts.live_version(automation)
    assert version is not None  # a guard has checked
    recipe = TrainingJob.objects.filter(run=version.run).first()
    if recipe is None or version.run is None:
        raise Conflict(f"{version} was not trained here, so there is no recipe to repeat.", code="no_recipe")
    owner = Actor.for_user(automation.owner)
    name = retraining_facts.data_name(automation, version)
    data = datasets.ready_version(owner, project=automation.project, name=name)
    return jobs.launch(
        stops.on_behalf(automation, Permission.JOB_LAUNCH, Permission.RUN_LOG, Permission.DATASET_VIEW),
        project=automation.project, experiment=version.run.experiment.name, dataset_version=data, spec=recipe.spec,
        name=f"retrain {automation.endpoint.model.name} after alert {alert}", baseline=version.run,
    )  # fmt: skip


def _on_success(event: Event) -> None:
    trigger = _waiting(event)
    if trigger is None:
        return
    _note_cost(trigger)
    try:
        with transaction.atomic():
            request = _ask(trigger)
    except DomainError as error:
        _fail(trigger, error.message)
        return
    RetrainTrigger.objects.filter(pk=trigger.pk).update(state=State.REQUESTED, request=request)
    Automation.objects.filter(endpoint__model=trigger.model_id, stopped_at=None).update(failures=0)


def _ask(trigger: RetrainTrigger) -> PromotionRequest:
    automation = trigger.automation
    holds.lock_environments(automation.project)  # before the first event, see holds
    by = stops.on_behalf(automation, Permission.MODEL_REGISTER, Permission.PROMOTION_REQUEST)
    run = Run.objects.select_related("project", "experiment").get(pk=trigger.run_id)
    version = registry.register(by, run=run, model_name=trigger.model.name)
    said = trigger.report.get("words", "")
    return promotions.request(
        by, version=version, environment=ways.next_place(version, automation.endpoint.environment),
        reason=(
            f"Retrained after alert {trigger.alert_id} ({automation.get_trigger_display()}) on "
            f"{automation.endpoint.name}, with the recipe of the live version and the newest data. {said}"
        ).strip(),
        alert_id=trigger.alert_id, by_automation=True,
    )  # fmt: skip


def _on_failure(event: Event) -> None:
    trigger = _waiting(event)
    if trigger is not None:
        _note_cost(trigger)
        _fail(trigger, str(event.data.get("failure") or "the training did not succeed"))


def _waiting(event: Event) -> RetrainTrigger | None:
    rows = RetrainTrigger.objects.select_for_update(of=("self", "automation"), no_key=True).select_related(
        "automation__owner", "automation__project", "automation__endpoint__environment", "model"
    )
    return rows.filter(run=event.data.get("run"), state=State.TRAINING).first()


def _note_cost(trigger: RetrainTrigger) -> None:
    job = TrainingJob.objects.filter(run=trigger.run_id).only("usage", "started_at", "ended_at").first()
    seconds = (job.usage or {}).get("cpu_seconds") if job else None
    took = job.took if job else None
    # a training shorter than one look at its process has no usage; its wall time is the most it can have cost
    spent = seconds if seconds is not None else took.total_seconds() if took else None
    RetrainTrigger.objects.filter(pk=trigger.pk).update(
        cpu_seconds=spent, trained_at=(job.ended_at if job else None) or timezone.now()
    )


def _fail(trigger: RetrainTrigger, reason: str) -> None:
    RetrainTrigger.objects.filter(pk=trigger.pk).update(state=State.FAILED, reason=reason)
    stops.count_failure(trigger.automation, reason, most=MAX_FAILURES)
