"""Move one alert: its stored life, its timeline lines, and the events that tell others."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from django.db.models import Max
from django.utils import timezone

from monitoring.drift.lifecycle import FLAP_WINDOWS, RANKS, Life, Move, Policy, Sample, State, step
from monitoring.models import Alert, AlertRoute, AlertRule, AlertTransition, Monitor, Silence
from monitoring.models.alerts import SHOWN, AlertQuerySet, AlertState
from monitoring.models.rules import SEVERITY_RANK, Severity
from monitoring.services import alert_facts, incidents, inhibition, routing
from projects.actor import Actor
from projects.models import Project
from projects.services import events

MOST_HISTORY = 60
LIFE_FIELDS = ("state", "level", "clears", "quiet", "age", "flapping")
LADDER = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
VERBS = {"trigger": "alert.firing", "update": "alert.raised", "resolve": "alert.resolved"}


@dataclass(frozen=True)
class Happening:
    """Where a change comes from: the actor, the moment, the window when there is one, and why."""

    by: Actor
    at: datetime
    window_end: datetime | None = None
    text: str = ""
    read: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def routes(self, project: Project) -> list[AlertRoute]:
        """Routes of the project, read once for all alerts of what happens."""
        if "routes" not in self.read:
            self.read["routes"] = routing.routes_of(project)
        return cast(list[AlertRoute], self.read["routes"])

    def may_be_silenced(self, project: Project) -> bool:
        """Whether the project has any silence now, read once."""
        if "silences" not in self.read:
            self.read["silences"] = Silence.objects.active(timezone.now()).filter(project=project).exists()
        return bool(self.read["silences"])


def fingerprint(rule_id: int, labels: dict[str, str]) -> str:
    """sha256 of the rule and its labels, whatever their order."""
    body = json.dumps([rule_id, sorted(labels.items())], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def apply(happening: Happening, rule: AlertRule, monitor: Monitor, sample: Sample, alert: Alert | None) -> list[Alert]:
    """Take one sample into account; gives the alert when its state or level changed.

    Parameters
    ----------
    alert : Alert, optional
        The newest of the sample's fingerprint, locked; see `newest_of`.
    """
    if alert is None and sample.signal not in ("warn", "critical"):
        return []
    if alert is not None and _is_long_over(alert) and sample.signal in ("clear", "none"):
        return []
    if alert is None or _starts_anew(alert, sample, rule):
        alert = _anew(alert, blank(rule, monitor, sample.labels, Alert.Nature.VALUE))
    life, moves = step(life_of(alert), sample.signal, Policy(rule.needed, rule.of, rule.keep_firing))
    _note(alert, sample, life)
    alert.monitor = monitor
    follow(alert, life, moves, happening)
    return [alert] if moves else []


def _is_long_over(alert: Alert) -> bool:
    """Whether another clear window can change nothing, so that thousands of old alerts cost no write each."""
    return alert.state == AlertState.RESOLVED and not alert.quiet and alert.age > FLAP_WINDOWS and not any(alert.recent)


def _anew(before: Alert | None, alert: Alert) -> Alert:
    """Let a new alert know what the one before it went through, and how long it speaks softly."""
    if before is None:
        return alert
    alert.recent, alert.changes = before.recent, before.changes
    if before.resolved_at and alert.rule.cooldown:
        alert.muted_until = before.resolved_at + timedelta(seconds=alert.rule.cooldown)
    return alert


def _starts_anew(alert: Alert, sample: Sample, rule: AlertRule) -> bool:
    """Whether a breach long after an alert was resolved is another alert, with a number of its own."""
    if alert.state != AlertState.RESOLVED:
        return False
    _after, moves = step(life_of(alert), sample.signal, Policy(rule.needed, rule.of, rule.keep_firing))
    return bool(moves) and moves[0].after == "pending"


def _note(alert: Alert, sample: Sample, life: Life) -> None:
    """Take over what the window said; a clear window changes the value only, the title keeps the trouble."""
    if sample.signal == "none":
        return
    alert.value = sample.value
    alert.history = [*alert.history, sample.value][-MOST_HISTORY:]
    if sample.signal in ("warn", "critical") and life.state != "resolved":
        alert.title, alert.detail, alert.limit = sample.title[:300], sample.detail[:1000], sample.limit
        alert.column = sample.column
        alert.seen += 1


def newest(print_: str) -> Alert | None:
    """Return the newest alert of a fingerprint, locked; an open one is always the newest."""
    return newest_of([print_]).get(print_)


def newest_of(prints: Iterable[str]) -> dict[str, Alert]:
    """Return the newest alert of each fingerprint that has one, locked, in one query."""
    wanted = list(prints)
    last = Alert.objects.filter(fingerprint__in=wanted).values("fingerprint").annotate(last=Max("pk")).values("last")
    rows = Alert.objects.select_for_update(of=("self",), no_key=True).select_related("project", "rule")
    return {alert.fingerprint: alert for alert in rows.filter(pk__in=last).order_by("pk")}


def blank(rule: AlertRule, monitor: Monitor | None, labels: dict[str, str], nature: str) -> Alert:
    """Return an alert that is not stored yet."""
    now = timezone.now()
    return Alert(
        project=rule.project,
        rule=rule,
        monitor=monitor,
        nature=nature,
        fingerprint=fingerprint(rule.pk, labels),
        labels=labels,
        endpoint=labels.get("endpoint", ""),
        version=labels.get("version", ""),
        column=labels.get("column", ""),
        opened_at=now,
        changed_at=now,
    )


def life_of(alert: Alert) -> Life:
    """Return what the state machine needs of an alert."""
    state = cast(State, alert.state)
    recent = tuple(alert.recent)
    changes = tuple(alert.changes)
    return Life(
        state, alert.level, recent, alert.clears, quiet=alert.quiet, age=alert.age, changes=changes,
        flapping=alert.flapping,
    )  # fmt: skip


def follow(alert: Alert, life: Life, moves: Sequence[Move], happening: Happening) -> None:
    """Store where an alert stands now, one timeline line a move and one event a notice."""
    for name in LIFE_FIELDS:
        setattr(alert, name, getattr(life, name))
    alert.recent, alert.changes = list(life.recent), list(life.changes)
    if not moves:
        alert.save()
        return
    if alert.nature != Alert.Nature.EXTERNAL:  # whoever sends those says how bad they are
        alert.severity = _severity(alert.rule, life.level)
        alert.severity_rank = SEVERITY_RANK[alert.severity]
    _stamp(alert, moves, happening)
    incidents.join(alert, moves, happening.at)
    _write_moves(alert, moves, happening)
    incidents.fold(alert, moves, happening.at)
    routing.mark(alert, happening.at, happening.routes(alert.project))
    for move in moves:
        if move.notice:
            _announce(alert, move, happening)


def _stamp(alert: Alert, moves: Sequence[Move], happening: Happening) -> None:
    alert.changed_at = happening.at
    last = moves[-1]
    if any(move.before == "pending" and move.after == "firing" for move in moves):
        alert.opened_at = happening.at
    if moves[0].before == "resolved" and last.after == "firing":
        alert.reopened += 1
    alert.resolved_at = happening.at if last.after == "resolved" else None
    is_critical = alert.severity == Severity.CRITICAL and last.after in ("firing", "recovering")
    alert.critical_since = (alert.critical_since or happening.at) if is_critical else None
    worse = any(move.notice == "update" for move in moves)
    if alert.acknowledged_by_id is not None and (worse or last.after == "resolved"):
        drop_acknowledgement(alert, happening)


def drop_acknowledgement(alert: Alert, happening: Happening) -> None:
    """Make it unseen again: it was taken back, got worse or is over."""
    alert.acknowledged_at = alert.acknowledged_by = alert.acknowledged_until = None
    write(alert, happening, AlertTransition.Kind.UNACKNOWLEDGED)


def _write_moves(alert: Alert, moves: Sequence[Move], happening: Happening) -> None:
    """Store the alert once and add a line a move."""
    kind = AlertTransition.Kind
    first = alert.last_seq + 1
    alert.last_seq += len(moves)
    alert.save()
    AlertTransition.objects.bulk_create(
        _line(alert, happening, kind.LEVEL if move.before == move.after else kind.STATE, move, seq)
        for seq, move in enumerate(moves, start=first)
    )


def write(alert: Alert, happening: Happening, kind: str) -> AlertTransition:
    """Store the alert and add a line to its timeline."""
    alert.last_seq += 1
    alert.save()
    line = _line(alert, happening, kind, None, alert.last_seq)
    line.save(force_insert=True)
    return line


def _line(alert: Alert, happening: Happening, kind: str, move: Move | None, seq: int) -> AlertTransition:
    person = happening.by.user if happening.by.kind in ("user", "token") else None
    return AlertTransition(
        alert=alert,
        seq=seq,
        at=happening.at,
        kind=kind,
        before=move.before if move else "",
        after=move.after if move else "",
        level=move.level if move else "",
        value=alert.value if move else None,
        text=happening.text,
        by=person,
        window_end=happening.window_end,
    )


def _announce(alert: Alert, move: Move, happening: Happening) -> None:
    verb = "alert.firing" if move.before == "resolved" else VERBS[move.notice]
    silenced = happening.may_be_silenced(alert.project) and alert_facts.is_silenced(alert, timezone.now())
    data = alert_facts.facts(alert, silenced=silenced) | {
        "seq": alert.last_seq, "reopened": alert.reopened, "reason": happening.text, "incident": alert.incident_id,
        "inhibited_by": inhibition.inhibitor(alert), "routed": bool(happening.routes(alert.project)),
        "muted": alert.muted_until is not None and alert.muted_until > happening.at,
        "action": alert.rule.action,
        "window_end": happening.window_end.isoformat(timespec="seconds") if happening.window_end else "",
    }  # fmt: skip
    events.record(happening.by, verb, project=alert.project, target=alert, data=data)


def _severity(rule: AlertRule, level: str) -> Severity:
    place = LADDER.index(Severity(rule.severity))
    return LADDER[place] if level == "critical" else LADDER[min(place + 1, len(LADDER) - 1)]


def close(rows: AlertQuerySet, by: Actor, text: str) -> None:
    """Resolve alerts for a reason outside their values."""
    for alert in rows.select_for_update(of=("self",), no_key=True).select_related("project", "rule").order_by("pk"):
        resolved = Life(state="resolved", level=alert.level, age=RANKS["critical"] + 1)
        move = Move(cast(State, alert.state), "resolved", alert.level, "resolve" if alert.state in SHOWN else "")
        follow(alert, resolved, (move,), Happening(by, timezone.now(), text=text))
