"""Open, move and close alerts as windows are judged, and take in what people do with them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from mlportal.lib import again, matchers, names
from mlportal.lib.errors import Conflict, Invalid
from monitoring.drift.lifecycle import Sample, resolve_by_hand
from monitoring.models import Alert, AlertRule, AlertTransition, Monitor, RuleEvaluation, Silence, Window
from monitoring.services import gaps, incidents, locks, routing, timeline
from monitoring.services.alert_facts import facts_at
from monitoring.services.timeline import Happening
from projects.actor import Actor
from projects.models import Comment, Project, User
from projects.permissions import Permission, require
from projects.services import comments, events, targets

LONGEST_SILENCE = timedelta(days=30)


@again.after_deadlock
def settle(
    by: Actor, *, rule: AlertRule, window: Window, outcome: str, samples: Sequence[Sample] = (), reason: str = ""
) -> list[Alert]:
    """Apply what a rule found in a window to its alerts, once: a second call for the same window changes nothing.

    Parameters
    ----------
    outcome : str
        ``ok`` or ``breach`` with ``samples``; ``too_few``, ``no_data`` or ``error`` with a ``reason``.

    Returns
    -------
    list of Alert
        Those that changed their state or level.
    """
    require(by, Permission.ALERT_HANDLE, rule.project)
    with transaction.atomic():
        # windows of one rule are applied one after the other, whoever rolls them
        prints = [timeline.fingerprint(rule.pk, sample.labels) for sample in samples]
        rule = locks.hold_rule(rule.pk, window.monitor_id, fingerprints=prints)
        _evaluation, new = RuleEvaluation.objects.get_or_create(
            rule=rule,
            monitor=window.monitor,
            window_end=window.ends_at,
            defaults={"outcome": outcome, "detail": reason[:500]},
        )
        if not new:
            return []
        happening = Happening(by, timezone.now(), window.ends_at)
        if outcome == RuleEvaluation.Outcome.ERROR:
            return gaps.failed(happening, rule, window, reason)
        moved = gaps.end_of_error(happening, rule)
        if outcome == RuleEvaluation.Outcome.NO_DATA:
            return moved + gaps.without_data(happening, rule, window, reason)
        moved += gaps.end_of_no_data(happening, rule, window.monitor)
        known = timeline.newest_of(prints)
        for print_, sample in zip(prints, samples, strict=True):
            moved += timeline.apply(happening, rule, window.monitor, sample, known.get(print_))
        return moved


def acknowledge(by: Actor, *, alert: Alert, note: str = "", until: datetime | None = None) -> Alert:
    """Say that somebody has seen it: repeats and escalation stop until it is resolved or gets worse.

    Parameters
    ----------
    until : datetime, optional
        When it counts as unseen again, at most 30 days away.
    """
    require(by, Permission.ALERT_HANDLE, alert.project)
    note = names.clean_text(note, field="note", limit=1000)
    if until is not None and not timezone.now() < until <= timezone.now() + LONGEST_SILENCE:
        raise Invalid("An acknowledgement ends after now and within 30 days.", field="until", got=until.isoformat())
    with transaction.atomic():
        held = _locked(alert)
        _refuse_if_over(held)
        if held.acknowledged_by is not None:
            raise Conflict(f"{held.acknowledged_by} acknowledged it at {held.acknowledged_at:%H:%M} UTC.")
        now = timezone.now()
        held.acknowledged_at, held.acknowledged_by, held.acknowledged_until = now, by.user, until
        incidents.seen(held, now)
        timeline.write(held, Happening(by, now, text=note), AlertTransition.Kind.ACKNOWLEDGED)
        events.record(by, "alert.acknowledged", project=held.project, target=held, data=facts_at(held))
    return held


def unacknowledge(by: Actor, *, alert: Alert) -> Alert:
    """Take an acknowledgement back."""
    require(by, Permission.ALERT_HANDLE, alert.project)
    with transaction.atomic():
        held = _locked(alert)
        if held.acknowledged_by is None:
            raise Conflict("Nobody has acknowledged this alert.")
        timeline.drop_acknowledgement(held, Happening(by, timezone.now()))
        events.record(by, "alert.unacknowledged", project=held.project, target=held, data=facts_at(held))
    return held


def end_acknowledgements(now: datetime | None = None) -> int:
    """Drop the acknowledgements whose time is over. Returns how many."""
    now = now or timezone.now()
    ended = 0
    due = Alert.objects.shown().filter(acknowledged_until__lte=now).order_by("pk").values_list("pk", flat=True)
    for pk in list(due):
        with transaction.atomic():
            held = _locked(Alert(pk=pk))
            if held.acknowledged_until is None or held.acknowledged_until > now:
                continue
            by = Actor.system("monitoring", project=held.project)
            timeline.drop_acknowledgement(held, Happening(by, now, text="its time was over"))
            routing.mark(held, now)
            events.record(by, "alert.unacknowledged", project=held.project, target=held, data=facts_at(held))
            ended += 1
    return ended


def judge(by: Actor, *, alert: Alert, judgement: str) -> Alert:
    """Say whether an alert was real or a false alarm; the precision of its rule counts these.

    Raises
    ------
    Invalid
        For another word.
    """
    require(by, Permission.ALERT_HANDLE, alert.project)
    if judgement not in Alert.Judgement.values:
        raise Invalid("judgement is real or false.", field="judgement", got=str(judgement)[:20])
    with transaction.atomic():
        held = _locked(alert)
        held.judgement, held.judged_at, held.judged_by = judgement, timezone.now(), by.user
        text = held.get_judgement_display()
        timeline.write(held, Happening(by, timezone.now(), text=text), AlertTransition.Kind.JUDGED)
        data = facts_at(held) | {"judgement": judgement}
        events.record(by, "alert.judged", project=held.project, target=held, data=data)
    return held


def silence(by: Actor, *, alert: Alert, until: datetime, reason: str = "") -> Silence:
    """Send no notifications about this alert until a moment, at most 30 days away; evaluation goes on.

    Raises
    ------
    Invalid
        When ``until`` is not between now and 30 days.
    """
    require(by, Permission.ALERT_HANDLE, alert.project)
    reason = names.clean_text(reason, field="reason", limit=500)
    now = timezone.now()
    if not now < until <= now + LONGEST_SILENCE:
        raise Invalid("A silence ends after now and within 30 days.", field="until", got=until.isoformat())
    with transaction.atomic():
        held = _locked(alert)
        _refuse_if_over(held)
        span = {"starts_at": now, "ends_at": until}
        made = Silence.objects.create(
            project=held.project, fingerprint=held.fingerprint, author=by.user, reason=reason, **span
        )
        text = f"until {until:%d %b %H:%M} UTC" + (f": {reason}" if reason else "")
        timeline.write(held, Happening(by, now, text=text), AlertTransition.Kind.SILENCED)
        data = facts_at(held) | {"until": until.isoformat()}
        events.record(by, "alert.silenced", project=held.project, target=held, data=data)
    return made


def silence_matching(by: Actor, *, project: Project, text: str, until: datetime, reason: str = "") -> Silence:
    """Send no notifications about alerts whose labels match, until a moment at most 30 days away.

    Parameters
    ----------
    text : str
        Matchers: ``endpoint=churn-production, severity!=critical``.

    Raises
    ------
    Invalid
        For no matcher, one that cannot be read, or a moment out of bounds.
    """
    require(by, Permission.ALERT_HANDLE, project)
    line = matchers.line(text)
    if not line:
        raise Invalid("Give at least one matcher, such as endpoint=churn-production.", field="matchers")
    reason = names.clean_text(reason, field="reason", limit=500)
    now = timezone.now()
    if not now < until <= now + LONGEST_SILENCE:
        raise Invalid("A silence ends after now and within 30 days.", field="until", got=until.isoformat())
    with transaction.atomic():
        made = Silence.objects.create(
            project=project, matchers=line, starts_at=now, ends_at=until, author=by.user, reason=reason
        )
        data = {"matchers": line, "until": until.isoformat(), "reason": reason}
        events.record(by, "silence.created", project=project, target=made, data=data)
    return made


def end_silence(by: Actor, *, silence: Silence) -> Silence:
    """End a silence now."""
    require(by, Permission.ALERT_HANDLE, silence.project)
    with transaction.atomic():
        held = Silence.objects.select_for_update(of=("self",), no_key=True).select_related("project").get(pk=silence.pk)
        if held.ended_at is not None or held.ends_at <= timezone.now():
            raise Conflict("This silence is over.")
        held.ended_at = timezone.now()
        held.save(update_fields=["ended_at"])
        events.record(by, "silence.ended", project=held.project, target=held, data={"matchers": held.matchers})
    return held


def unsilence(by: Actor, *, alert: Alert) -> Alert:
    """End every silence of this alert now."""
    require(by, Permission.ALERT_HANDLE, alert.project)
    with transaction.atomic():
        held = _locked(alert)
        now = timezone.now()
        if not Silence.objects.active(now).filter(fingerprint=held.fingerprint).update(ended_at=now):
            raise Conflict("This alert is not silenced.")
        timeline.write(held, Happening(by, now), AlertTransition.Kind.UNSILENCED)
        events.record(by, "alert.unsilenced", project=held.project, target=held, data=facts_at(held))
    return held


def resolve(by: Actor, *, alert: Alert, reason: str = "") -> Alert:
    """Resolve by hand; the alert stays quiet until its value has been clear once."""
    require(by, Permission.ALERT_HANDLE, alert.project)
    reason = names.clean_text(reason, field="reason", limit=1000)
    with transaction.atomic():
        held = _locked(alert)
        _refuse_if_over(held)
        life, moves = resolve_by_hand(timeline.life_of(held))
        timeline.follow(held, life, moves, Happening(by, timezone.now(), text=reason or "resolved by hand"))
    return held


def assign(by: Actor, *, alert: Alert, user: User | None) -> Alert:
    """Give the alert to a member of the project, or to nobody.

    Raises
    ------
    Invalid
        When the person does not belong to the project.
    """
    require(by, Permission.ALERT_HANDLE, alert.project)
    if user is not None and not alert.project.roles_of(user):
        raise Invalid(f"{user} is not a member of this project.", field="user")
    with transaction.atomic():
        held = _locked(alert)
        held.assigned_to = user
        text = f"to {user}" if user else "to nobody"
        timeline.write(held, Happening(by, timezone.now(), text=text), AlertTransition.Kind.ASSIGNED)
        data = facts_at(held) | {"to": str(user or "")}
        events.record(by, "alert.assigned", project=held.project, target=held, data=data)
    return held


def comment(by: Actor, *, alert: Alert, text: str) -> Comment:
    """Say something about an alert; members called by ``@username`` find it in their inbox."""
    require(by, Permission.COMMENT_ADD, alert.project)
    target = targets.find(by, project=alert.project, kind="alert", number=alert.pk)
    return comments.add(by, project=alert.project, target=target, text=text)


def close_of_rule(by: Actor, *, rule: AlertRule) -> None:
    """Resolve what a rule has open, because it was switched off."""
    require(by, Permission.MONITOR_EDIT, rule.project)
    timeline.close(Alert.objects.open().filter(rule=rule), by, "the rule was switched off")


def close_of_monitor(by: Actor, *, monitor: Monitor) -> None:
    """Resolve what is open about a version, because another one took its place."""
    require(by, Permission.MONITOR_EDIT, monitor.project)
    timeline.close(Alert.objects.open().filter(monitor=monitor), by, "another version went live")


def _locked(alert: Alert) -> Alert:
    rows = Alert.objects.select_for_update(of=("self",), no_key=True).select_related(
        "project", "rule", "acknowledged_by"
    )
    return rows.get(pk=alert.pk)


def _refuse_if_over(alert: Alert) -> None:
    if not alert.is_open:
        raise Conflict(f"This alert is {alert.get_state_display()}.")


def members(project: Project) -> list[User]:
    """People an alert of this project can be assigned to, by name."""
    rows = User.objects.filter(memberships__project=project, memberships__valid_to=None, is_active=True)
    return list(rows.distinct().order_by("username"))
