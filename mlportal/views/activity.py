"""Events as sentences, with links to what they are about."""

from dataclasses import dataclass
from datetime import datetime

from mlportal.views.event_words import WORDS
from projects.models import Event, Project, User
from projects.views import event_links


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
    return Line(
        person, _name(event, person), words_of(event.verb), event.target_label, event_links.address(event), event.at
    )  # fmt: skip


def _name(event: Event, person: User | None) -> str:
    if person or event.actor_kind != "system":
        return str(person or event.actor_name)
    # A part that moves itself, such as a rollout, would read "Rollout 1 moved rollout 1".
    own = event.actor_name == event.target_label
    return "The portal" if own else event.actor_name[:1].upper() + event.actor_name[1:]


def words_of(verb: str) -> str:
    """Say what was done, to stand between who did it and what it was done to."""
    return WORDS.get(verb) or _plain(verb)


def _plain(verb: str) -> str:
    noun, _, done = verb.partition(".")
    return f"{done.replace('_', ' ')} the {noun.replace('_', ' ')}"
