"""Alerts about trials whose units are split otherwise than planned (sample ratio mismatch)."""

from deployments.models import Trial, TrialLook
from deployments.traffic.criteria import SPLIT_ALPHA
from monitoring.models import Alert
from monitoring.models.alerts import AlertQuerySet
from monitoring.models.rules import Metric
from monitoring.services import standing
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission


def tell(trial: Trial, look: TrialLook) -> None:
    """Open the alert of a trial, or end it, by what a look found; told again it changes nothing."""
    project, labels = trial.endpoint.project, _labels(trial)
    if look.mismatch_p >= SPLIT_ALPHA:
        if _open().filter(labels=labels, project=project).exists():
            _end(project, labels, "the split is as planned again")
        return
    units = look.assigned_control + look.assigned_treatment
    standing.raise_alert(
        _by(project), project=project, labels=labels, metric=Metric.SPLIT,
        title=f"Split of trial {trial.name} is not the planned one",
        detail=f"{look.assigned_treatment:,} of {units:,} requests went to the treatment, {trial.share:.0%} were "
        f"planned (p under {SPLIT_ALPHA:g}). Nothing follows from its difference; look for what loses requests.",
    )  # fmt: skip


def end_left() -> None:
    """End the alerts of trials that run no longer; one query when there is none."""
    for alert in _open().select_related("project"):
        running = Trial.objects.filter(pk=alert.labels.get("trial"), state=Trial.State.RUNNING)
        if not running.exists():
            _end(alert.project, alert.labels, "the trial is over")


def _open() -> AlertQuerySet:
    return Alert.objects.open().filter(rule__metric=Metric.SPLIT)


def _end(project: Project, labels: dict[str, str], text: str) -> None:
    standing.end_alert(_by(project), project=project, labels=labels, text=text, metric=Metric.SPLIT)


def _by(project: Project) -> Actor:
    return Actor.system("trials", project=project, grants=frozenset({Permission.ALERT_HANDLE}))


def _labels(trial: Trial) -> dict[str, str]:
    return {"endpoint": trial.endpoint.name, "trial": str(trial.pk)}
