"""What belongs to a project, in every table there is, found by the references between the tables.

So a table that somebody adds tomorrow belongs to its project without being named here.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.db.models import ForeignKey, Model, Q

from projects.models import Event, Project, ProjectRemoval, User

# Accounts serve other projects too, the audit log never changes, and the removal itself is the record of it.
APART: frozenset[type[Model]] = frozenset({Project, User, Event, ProjectRemoval})


@dataclass(frozen=True)
class Kind:
    """One table that holds rows of projects.

    Parameters
    ----------
    model : type
    paths : tuple of str
        Lookups that lead to the project; a row belongs to it when any of them does.
    depth : int
        How many references lie between it and the project.
    """

    model: type[Model]
    paths: tuple[str, ...]
    depth: int

    def rows(self, project: Project) -> Any:
        """Rows of a project."""
        where = Q()
        for path in self.paths:
            where |= Q(**{path: project.pk})
        return self.model._base_manager.filter(where)


@cache
def kinds() -> tuple[Kind, ...]:
    """All tables with rows of projects, each behind those that its lookups lead through.

    References that are always set come first, however far the project is: one that may be empty does not find all.
    """
    found: dict[type[Model], Kind] = {}
    ways: dict[type[Model], tuple[str, ...]] = {Project: ("",)}
    while near := _next(ways, sure=True) or _next(ways, sure=False):
        depth = max((kind.depth for kind in found.values()), default=0) + 1
        found |= {model: Kind(model, paths, depth) for model, paths in near.items()}
        ways |= near
    return tuple(found.values())


def apart_from_each_other() -> tuple[list[Kind], list[Kind]]:
    """Return the tables whose rows can go one after the other, in that order, and those that must go at once.

    The first are those that nothing refers to once the ones before are empty; the others refer to each other.
    """
    left, free = list(kinds()), []
    while ready := [kind for kind in left if not _referred(kind, left)]:
        free += ready
        left = [kind for kind in left if kind not in ready]
    return free, sorted(left, key=lambda kind: -kind.depth)


def _next(ways: dict[type[Model], tuple[str, ...]], *, sure: bool) -> dict[type[Model], tuple[str, ...]]:
    """Return the tables one reference further off, with their lookups; ``sure`` by references that are always set."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        if model in ways or model in APART:
            continue
        near = [field for field in _references(model) if field.related_model in ways and not (sure and field.null)]
        if paths := [
            _joined(field, path) for field in (near[:1] if sure else near) for path in ways[field.related_model]
        ]:
            found[model] = tuple(paths)
    return found


def _joined(field: Any, path: str) -> str:
    return f"{field.name}__{path}" if path else str(field.name)


def _referred(kind: Kind, left: list[Kind]) -> bool:
    return any(field.related_model is kind.model for other in left for field in _references(other.model))


def _references(model: type[Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if isinstance(field, ForeignKey)]
