"""Windows without data and rules that fail: alerts of their own, beside the one about the value."""

from typing import Any, cast

from monitoring.drift.lifecycle import Life, Move, Policy, Sample, State, step
from monitoring.models import Alert, AlertRule, Monitor, RuleEvaluation, Window
from monitoring.models.alerts import OPEN
from monitoring.services import timeline
from monitoring.services.timeline import Happening

ERRORS_IN_A_ROW = 3


def without_data(happening: Happening, rule: AlertRule, window: Window, reason: str) -> list[Alert]:
    """Count a window without data; after enough in a row do what the rule says. Alerts about values stay frozen."""
    monitor = window.monitor
    if not _all_of_last(rule.no_data_after, RuleEvaluation.Outcome.NO_DATA, rule=rule, monitor=monitor):
        return []
    if rule.no_data_then == AlertRule.NoData.OK:
        return _all_clear(happening, rule, monitor)
    had_traffic = Window.objects.filter(monitor=monitor, rows__gt=0).exists()
    if rule.no_data_then == AlertRule.NoData.KEEP or not had_traffic:
        return []
    labels = {"endpoint": monitor.endpoint, "version": monitor.version, "nature": Alert.Nature.NO_DATA.value}
    title = f"No data for “{rule.name}” on {monitor.endpoint}"
    return _open_special(happening, rule, monitor, labels, title=title, detail=reason)


def failed(happening: Happening, rule: AlertRule, window: Window, reason: str) -> list[Alert]:
    """Count a failed evaluation; three in a row open one alert for the whole rule."""
    if not _all_of_last(ERRORS_IN_A_ROW, RuleEvaluation.Outcome.ERROR, rule=rule):
        return []
    labels = {"nature": Alert.Nature.ERROR.value}
    title = f"Rule “{rule.name}” cannot be evaluated"
    return _open_special(happening, rule, None, labels, title=title, detail=reason)


def _all_of_last(count: int, outcome: str, **where: Any) -> bool:
    rows = RuleEvaluation.objects.filter(**where).order_by("-window_end", "-pk").values_list("outcome", flat=True)
    last = list(rows[:count])
    return len(last) == count and set(last) == {outcome}


def _open_special(
    happening: Happening, rule: AlertRule, monitor: Monitor | None, labels: dict[str, str], *, title: str, detail: str
) -> list[Alert]:
    alert = timeline.newest(timeline.fingerprint(rule.pk, labels))
    if alert is not None and alert.state in OPEN:
        Alert.objects.filter(pk=alert.pk).update(seen=alert.seen + 1)
        return []
    if alert is not None and alert.quiet:
        return []
    nature = Alert.Nature(labels["nature"])
    alert = timeline.blank(rule, monitor, labels, nature)
    alert.title, alert.detail, alert.seen = title[:300], detail[:1000], 1
    state = cast(State, nature.value)
    move = Move("inactive", state, "warn", "trigger")
    timeline.follow(alert, Life(state=state, level="warn"), (move,), happening)
    return [alert]


def end_of_error(happening: Happening, rule: AlertRule) -> list[Alert]:
    """Close the alert about failing evaluations."""
    return _end_special(happening, rule, {"nature": Alert.Nature.ERROR.value}, "the rule can be evaluated again")


def end_of_no_data(happening: Happening, rule: AlertRule, monitor: Monitor) -> list[Alert]:
    """Close the alert about missing data."""
    labels = {"endpoint": monitor.endpoint, "version": monitor.version, "nature": Alert.Nature.NO_DATA.value}
    return _end_special(happening, rule, labels, "there is data again")


def _end_special(happening: Happening, rule: AlertRule, labels: dict[str, str], text: str) -> list[Alert]:
    alert = timeline.newest(timeline.fingerprint(rule.pk, labels))
    if alert is None or (alert.state not in OPEN and not alert.quiet):
        return []
    if alert.state not in OPEN:
        Alert.objects.filter(pk=alert.pk).update(quiet=False)
        return []
    life, moves = step(timeline.life_of(alert), "clear", Policy())
    timeline.follow(alert, life, moves, Happening(happening.by, happening.at, happening.window_end, text))
    return [alert]


def _all_clear(happening: Happening, rule: AlertRule, monitor: Monitor) -> list[Alert]:
    moved = []
    for alert in Alert.objects.open().filter(rule=rule, monitor=monitor, nature=Alert.Nature.VALUE):
        sample = Sample(labels=alert.labels, signal="clear", value=None)
        moved += timeline.apply(happening, rule, monitor, sample, timeline.newest(alert.fingerprint))
    return moved
