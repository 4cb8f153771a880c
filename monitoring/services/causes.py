"""What may be behind an incident: changes in the shared event log, and what the windows themselves show, ranked.

A change counts the more, the closer before the first alert it came and the nearer it is to the endpoint; drift counts
by the importance of its feature. Scores order the list; they are no probabilities.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from statistics import median

from monitoring.drift import shape
from monitoring.models import DriftScore, Incident, Window
from monitoring.services import marked, mixes
from monitoring.services.mixes import Cause
from projects.actor import Actor
from projects.models import Event
from projects.permissions import Permission, require
from projects.views import event_links

LOOK_BACK = timedelta(days=7)
HALF_LIFE = timedelta(hours=24)
MOST = 10
MOST_EVENTS = 300
BEFORE = 24
ALERT_PSI = 0.25
# Verb: how much it explains by itself, and the words for it.
VERBS: dict[str, tuple[float, str, str]] = {
    "endpoint.switched": (1.0, "deploy", "The endpoint changed its version"),
    "endpoint.rolled_back": (0.95, "deploy", "The endpoint was rolled back"),
    "endpoint.break_glass": (1.0, "deploy", "A version went live by break-glass"),
    "rollout.moved": (0.9, "deploy", "A rollout moved requests to another version"),
    "endpoint.configured": (0.5, "deploy", "The endpoint was set up anew"),
    "dataset.registered": (0.5, "data", "A new version of data"),
    "dataset.version_registered": (0.5, "data", "A new version of data"),
    "checks.failed": (0.7, "data", "Checks of a dataset failed"),
    "predictions.unlogged": (0.5, "log", "Predictions could not be logged"),
    "monitor.bound": (0.4, "deploy", "Another version is watched"),
    "monitor.updated": (0.3, "rule", "The pace of watching changed"),
    "rule.updated": (0.3, "rule", "A rule changed"),
    "rule.created": (0.3, "rule", "A rule is new"),
}
ELSEWHERE = 0.25


def ranked(by: Actor, *, incident: Incident) -> list[Cause]:
    """Candidates, likeliest first, as the actor may read them; nine queries."""
    require(by, Permission.MONITOR_VIEW, incident.project)
    found = [*_changes(incident)]
    windows = _windows(incident)
    if windows:
        hidden = marked.hidden_from(by, monitor=windows[-1].monitor)
        found += [*_columns(windows[-1], hidden), *_traffic(windows)]
        found += [*mixes.segments(windows[-1], hidden), *mixes.labels(windows[-1], incident.opened_at)]
    return sorted(found, key=lambda cause: -cause.score)[:MOST]


# --- changes ---------------------------------------------------------------------------------------


def events_around(incident: Incident, *, until: datetime | None = None) -> list[Event]:
    """Changes that can explain something, newest first, in the look-back before the incident."""
    rows = Event.objects.filter(
        project=incident.project_id, verb__in=VERBS, at__gt=incident.opened_at - LOOK_BACK,
        at__lte=until or incident.opened_at, result=Event.Result.DONE,
    )  # fmt: skip
    return list(rows.select_related("project", "who", "whom").order_by("-seq")[:MOST_EVENTS])


def _changes(incident: Incident) -> Iterator[Cause]:
    for event in events_around(incident):
        weight, kind, words = VERBS[event.verb]
        age = incident.opened_at - event.at
        near = is_near(event, incident.endpoint)
        score = weight * 0.5 ** (age / HALF_LIFE) * (1.0 if near else ELSEWHERE)
        hours = age.total_seconds() / 3600
        when = f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"
        place = "" if near else ", elsewhere in the project"
        evidence = f"{event.target_label}: {when} before the first alert{place}, by {event.actor_name}."
        yield Cause(score, kind, words, evidence, event.at, event_links.address(event), event.pk)


def is_near(event: Event, endpoint: str) -> bool:
    """Whether a change is about the endpoint itself."""
    named = event.data.get("endpoint")
    if named:
        return bool(named == endpoint)
    return event.target_type == "endpoint" and event.target_label == endpoint


# --- what the windows show -------------------------------------------------------------------------


def _windows(incident: Incident) -> list[Window]:
    rows = Window.objects.filter(
        monitor__project=incident.project_id, monitor__endpoint=incident.endpoint,
        ends_at__lte=incident.opened_at + timedelta(minutes=5),
    )  # fmt: skip
    return list(rows.select_related("monitor").defer("monitor__reference").order_by("-ends_at")[: BEFORE + 1])[::-1]


def _columns(window: Window, hidden: frozenset[str]) -> Iterator[Cause]:
    scores = list(DriftScore.objects.filter(window=window, role="feature"))
    most = max((score.weight for score in scores), default=0.0) or 1.0
    for score in scores:
        importance = score.weight / most
        for strength, kind, title, text in (*_drift(score, importance), *_schema(score, max(importance, 0.3), hidden)):
            yield Cause(strength, kind, title, text, window.ends_at, column=score.column)


Shown = tuple[float, str, str, str]


def _drift(score: DriftScore, importance: float) -> Iterator[Shown]:
    if score.value is None or score.state not in ("warn", "alert"):
        return
    moved = f"share moved by {score.value:.0%}" if score.measure == "share" else f"PSI {score.value:.2f}"
    text = f"{moved}, {score.weight:.0%} of the model's importance."
    yield min(score.value / ALERT_PSI, 2.0) / 2 * importance, "drift", f"{shape.display(score.column)} drifted", text


def _schema(score: DriftScore, importance: float, hidden: frozenset[str]) -> Iterator[Shown]:
    name = shape.display(score.column)
    if score.unseen_share > 0.01:
        new = "" if score.column in hidden else next(iter(score.others), "")
        text = f"{score.unseen_share:.1%} of values" + (f", most often “{new}”." if new else ".")
        yield min(4 * score.unseen_share, 1.0) * importance, "schema", f"{name} has values never seen in training", text
    if score.null_excess > 0.05:
        text = f"Missing in {score.null_share:.1%} of requests, {score.null_excess:.1%} more than in training."
        yield min(2 * score.null_excess, 1.0) * importance, "schema", f"{name} is missing", text


def _traffic(windows: Sequence[Window]) -> Iterator[Cause]:
    *before, last = windows
    usual = median(window.requests for window in before) if len(before) >= 3 else 0
    if not usual:
        return
    ratio = last.requests / usual
    if 0.5 < ratio < 2:
        return
    change = min(abs(ratio - 1), 3.0) / 3 if ratio > 1 else 1 - ratio
    words = "Many more requests than usual" if ratio > 1 else "Far fewer requests than usual"
    yield Cause(0.8 * change, "traffic", words, f"{last.requests:,} in the last step, usually {usual:,.0f}.",
                last.ends_at)  # fmt: skip
