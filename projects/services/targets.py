"""Things that stars and comments stand on, whatever app they live in.

Each app tells of its own by functions named in ``settings.TARGETS``: type to a function that takes rows' numbers
and gives `Target` by number. So this room knows no table of the rooms above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import models
from django.db.models import OuterRef, Subquery
from django.utils.module_loading import import_string

from mlportal.lib.errors import Invalid, Missing
from projects.actor import Actor
from projects.models import Check, CheckSet, Dataset, DatasetImport, DatasetVersion, Project, SplitRecipe
from projects.permissions import Permission, Place, require
from projects.tabular.checks import rules as reading

WORDS = {
    "version": "model version", "view": "saved view", "job": "training job", "batch": "batch scoring",
    "import": "dataset import", "split": "saved split", "policy": "promotion rules", "rule": "alert rule",
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One thing: its row, its words, its page, and the right one needs to see it.

    Attributes
    ----------
    apart
        Whether its own page has no room for comments, so that they stand on the page of the thing.
    reader_id
        The one person who sees it; empty: whoever has the right.
    """

    kind: str
    row: models.Model
    project_id: int
    label: str
    href: str
    permission: Permission
    apart: bool = False
    reader_id: int | None = None

    @property
    def words(self) -> str:
        """Its type as people say it."""
        return WORDS.get(self.kind, self.kind.replace("_", " ")).capitalize()

    @property
    def said_at(self) -> str:
        """The page on which its comments stand."""
        return f"/p/{self.project_name}/things/{self.kind}/{self.number}/" if self.apart else self.href

    def is_for(self, actor: Actor) -> bool:
        """Whether it is not somebody else's alone."""
        return self.reader_id is None or (actor.user is not None and actor.user.pk == self.reader_id)

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
    if found is None or found.project_id != project.pk or not found.is_for(by):
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


def imports(numbers: Sequence[int]) -> Iterable[Target]:
    """Imports of datasets."""
    for row in DatasetImport.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/datasets/imports/{row.pk}/"
        yield Target("import", row, row.project_id, str(row), href, Permission.DATASET_VIEW)


def splits(numbers: Sequence[int]) -> Iterable[Target]:
    """Saved splits of dataset versions; they share one page, so their comments stand apart."""
    rows = SplitRecipe.objects.filter(pk__in=numbers).select_related("version__dataset__project").defer("report")
    for row in rows.defer("version__profile", "version__schema", "version__warnings"):
        dataset = row.version.dataset
        href = f"/p/{dataset.project.slug}/datasets/{dataset.name}/v/{row.version.number}/splits/"
        yield Target("split", row, dataset.project_id, str(row), href, Permission.DATASET_VIEW, apart=True)


def checks(numbers: Sequence[int]) -> Iterable[Target]:
    """Checks of datasets, also those that are no longer declared; two queries."""
    rows = list(Check.objects.filter(pk__in=numbers).select_related("dataset__project"))
    sentences = _sentences({row.dataset_id for row in rows})
    for row in rows:
        dataset = row.dataset
        label = f"{sentences.get((dataset.pk, row.key), row.key)}, of {dataset.name}"
        href = f"/p/{dataset.project.slug}/datasets/{dataset.name}/checks/"
        yield Target("check", row, dataset.project_id, label, href, Permission.DATASET_VIEW, apart=True)


def _sentences(datasets: Iterable[int]) -> dict[tuple[int, str], str]:
    """What each check of the newest rules says."""
    newest = CheckSet.objects.filter(dataset=OuterRef("dataset")).order_by("-number").values("number")[:1]
    found = CheckSet.objects.filter(dataset__in=datasets, number=Subquery(newest))
    return {(each.dataset_id, rule["key"]): reading.read(rule).sentence for each in found for rule in each.rules}
