"""Things that stars and comments stand on, whatever app they live in.

Each app tells of its own by functions named in ``settings.TARGETS``: type to a function that takes rows' numbers
and gives `Target` by number. So this room knows no table of the rooms above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

from mlportal.lib.errors import Invalid, Missing
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.permissions import Permission, Place, require


@dataclass(frozen=True)
class Target:
    """One thing: its row, its words, its page, and the right one needs to see it."""

    kind: str
    row: models.Model
    project_id: int
    label: str
    href: str
    permission: Permission

    @property
    def words(self) -> str:
        """Its type as people say it."""
        return {"version": "model version"}.get(self.kind, self.kind.replace("_", " ")).capitalize()

    @property
    def place(self) -> Place | None:
        """What folders give rights on, if it lies in one."""
        row: object = self.row
        return row if isinstance(row, Place) else None

    @property
    def project_name(self) -> str:
        """Name of its project, for lists over several."""
        return self.href.split("/")[2]

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.row.pk)


def known() -> list[str]:
    """Types that there are."""
    return sorted(settings.TARGETS)


def find(by: Actor, *, project: Project, kind: str, number: int) -> Target:
    """Return a thing of the project that the actor may see.

    Raises
    ------
    Invalid
        If there is no such type.
    Missing
        If there is no such thing in the project.
    Forbidden
        If the actor may not see things of this type.
    """
    require(by, Permission.PROJECT_VIEW, project)
    if kind not in settings.TARGETS:
        raise Invalid(f"There is no type {kind[:40]!r}. Known: {', '.join(known())}.", field="type", limit=known())
    found = of(kind, [number]).get(number)
    if found is None or found.project_id != project.pk:
        raise Missing(f"There is no {kind} {number} here.", field="number")
    require(by, found.permission, project)
    return found


def of(kind: str, numbers: Sequence[int]) -> dict[int, Target]:
    """Look up things by number, whoever may see them."""
    read = import_string(settings.TARGETS[kind])
    found: Iterable[Target] = read(numbers) if numbers else ()
    return {target.number: target for target in found}


def datasets(numbers: Sequence[int]) -> Iterable[Target]:
    """Datasets."""
    for row in Dataset.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/datasets/{row.name}/"
        yield Target("dataset", row, row.project_id, row.name, href, Permission.DATASET_VIEW)


def dataset_versions(numbers: Sequence[int]) -> Iterable[Target]:
    """Versions of datasets."""
    rows = DatasetVersion.objects.filter(pk__in=numbers).select_related("dataset__project")
    for row in rows.defer("profile", "schema", "warnings"):
        dataset = row.dataset
        href = f"/p/{dataset.project.slug}/datasets/{dataset.name}/v/{row.number}/"
        label = f"{dataset.name} v{row.number}"
        yield Target("dataset_version", row, dataset.project_id, label, href, Permission.DATASET_VIEW)
