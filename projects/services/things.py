"""Things of a project that somebody may or may not do something with, whatever app they live in.

Each app tells of its own by functions named in ``settings.RIGHTS_ON``, so that this room knows no table above it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

from mlportal.lib.errors import Invalid, Missing
from mlportal.lib.moments import Span
from projects.actor import Actor
from projects.models import Project, User
from projects.permissions import Permission, Place


@dataclass(frozen=True)
class Thing:
    """What a question is about.

    Attributes
    ----------
    key
        ``kind:name``, empty for the whole project.
    place
        What folders give rights on, if it lies in one; ``folders`` are their numbers, the inmost first.
    check
        What the service asks beyond the permission; it raises what the service would.
    barred
        Why a person is excluded though they hold the right, empty when they are not.
    rules
        What else is asked there, in words.
    handed
        Who uses a permission there for somebody else, and how in words, now or at a moment.
    """

    key: str
    label: str
    href: str
    place: Place | None = None
    folders: tuple[int, ...] = ()
    check: Callable[[Actor, Permission], None] | None = None
    barred: Callable[[User, Permission], str] | None = None
    rules: tuple[str, ...] = ()
    handed: Callable[[Permission, Span | None], list[tuple[int, str]]] | None = None


def find(project: Project, key: str) -> Thing:
    """Return the thing with a key.

    Raises
    ------
    Invalid
        For what is no key.
    Missing
        When the project has no such thing.
    """
    if not key:
        return Thing("", "the project", f"/p/{project.slug}/")
    kind, colon, name = key.partition(":")
    if kind not in settings.RIGHTS_ON or not colon:
        kinds = sorted(settings.RIGHTS_ON)
        raise Invalid(
            f"on is empty for the project, or one of {', '.join(f'{each}:…' for each in kinds)}.", field="on",
            limit=kinds, got=key[:100],
        )  # fmt: skip
    found = _things(kind, project, name[:100])
    if not found:
        raise Missing(f"There is no {kind} {name[:100]!r} in this project.", field="on", got=key[:100])
    return found[0]


def choices(project: Project) -> list[Thing]:
    """Return what a page offers to ask about."""
    return [thing for kind in settings.RIGHTS_ON for thing in _things(kind, project, None)]


def key_of(row: object) -> str:
    """Return the key of a row that lies in a folder, empty for another."""
    kind = getattr(getattr(row, "_meta", None), "model_name", "")
    return f"{kind}:{row.pk}" if kind in settings.RIGHTS_ON and hasattr(row, "pk") else ""


def number(name: str) -> int:
    """Read the number in a key; what is none is nothing's number."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 18 else 0


def _things(kind: str, project: Project, name: str | None) -> list[Thing]:
    found: list[Thing] = import_string(settings.RIGHTS_ON[kind])(project, name)
    return found
