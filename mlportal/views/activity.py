"""Events as sentences, with links to what they are about."""

from dataclasses import dataclass
from datetime import datetime

from projects.models import Event, Project, User
from projects.views import event_links

WORDS = {
    "project.created": "made the project", "project.edited": "edited the project", "member.added": "added",
    "member.changed": "changed the role of", "member.removed": "removed", "token.created": "made the token",
    "token.revoked": "revoked the token", "dataset.created": "added", "dataset.registered": "added",
    "dataset.version_registered": "added", "dataset.profiled": "profiled",
    "dataset.profile_failed": "could not profile",
    "job.launched": "launched", "job.succeeded": "finished", "job.failed": "could not finish",
    "job.cancelled": "cancelled", "run.created": "started", "run.finished": "finished", "run.failed": "ended",
    "model.registered": "registered", "model.version_registered": "registered",
    "promotion.requested": "asked for", "promotion.approved": "approved", "promotion.rejected": "rejected",
    "promotion.changes_requested": "asked for changes in", "promotion.withdrawn": "withdrew",
    "promotion.approval_added": "approved a step of", "promotion.suspended": "suspended",
    "promotion.lapsed": "let lapse", "promotion.escalated": "escalated", "promotion.reminder": "reminded of",
    "promotion.expired": "closed as expired", "promotion.stale": "closed as stale",
    "delegation.given": "handed over the", "delegation.revoked": "took back the", "endpoint.frozen": "froze",
    "endpoint.break_glass": "broke the glass on", "break_glass.reviewed": "looked at the break-glass on",
    "promotion.evaluated": "measured", "promotion.measured_again": "asked to measure again",
    "monitor.bound": "started watching", "monitor.updated": "set the pace of",
    "version.registered": "registered", "version.reproduction_asked": "asked to reproduce",
    "version.reproduction_certified": "compared a reproduction of",
    "endpoint.switched": "switched", "endpoint.rolled_back": "rolled back",
    "endpoint.rollback_held": "did not roll back", "alert.firing": "opened the alert",
    "rollout.planned": "planned", "rollout.moved": "moved", "rollout.paused": "held", "rollout.resumed": "went on with",
    "rollout.aborted": "aborted", "rollout.promoted": "put live by", "trial.registered": "registered the trial",
    "trial.started": "started the trial", "trial.stopped": "decided the trial",
    "alert.resolved": "closed the alert", "alert.acknowledged": "acknowledged",
    "audit.exported": "exported the audit log", "predictions.unlogged": "lost predictions of",
    "predictions.forgotten": "forgot old predictions in", "statistics.forgotten": "forgot old statistics in",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of the activity feed."""

    person: User | None
    name: str
    words: str
    target: str
    href: str
    at: datetime


def of(project: Project, *, limit: int = 8) -> list[Line]:
    """The newest changes of a project as sentences; two queries."""
    told = Event.objects.filter(project=project).exclude(
        verb__startswith="artifact."
    )  # files of a run, too many to tell
    events = list(told.select_related("project", "who", "whom").order_by("-seq")[:limit])
    people = User.objects.in_bulk(
        [event.actor_id for event in events if event.actor_id and event.actor_kind != "system"]
    )
    return [_line(event, people.get(event.actor_id or 0)) for event in events]


def _line(event: Event, person: User | None) -> Line:
    words = WORDS.get(event.verb) or _plain(event.verb)
    name = str(person) if person else event.actor_name
    return Line(person, name, words, event.target_label, event_links.address(event), event.at)


def _plain(verb: str) -> str:
    noun, _, done = verb.partition(".")
    return f"{done.replace('_', ' ')} the {noun.replace('_', ' ')}"
