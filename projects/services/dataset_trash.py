"""The trash of datasets: what lies there comes back, or is removed for good, by hand or after some days."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import PROTECT, Count, ProtectedError, Q
from django.utils import timezone

from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project, User
from projects.permissions import Permission, require
from projects.services import events, legal_holds

AT_ONCE = 1_000


@dataclass(frozen=True)
class Trashed:
    """A dataset, or one version of a dataset that is kept, in the trash.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    version : DatasetVersion or None
        The version, where only that was deleted.
    versions : int
        How many versions would go.
    needed : str
        What keeps it from being removed for good, in words; empty when nothing does.
    removed_at : datetime or None
        When it is removed for good; ``None`` while something needs it.
    """

    dataset: Dataset
    version: DatasetVersion | None
    versions: int
    needed: str
    removed_at: datetime | None

    @property
    def kind(self) -> str:
        """``dataset`` or ``version``."""
        return "version" if self.version else "dataset"

    @property
    def row(self) -> Dataset | DatasetVersion:
        """What was deleted."""
        return self.version or self.dataset

    @property
    def id(self) -> int:
        """Its number."""
        return int(self.row.pk)

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.dataset.name

    @property
    def number(self) -> int | None:
        """Number of the version, where only that was deleted."""
        return self.version.number if self.version else None

    @property
    def deleted_at(self) -> datetime | None:
        """When it was deleted."""
        return self.row.deleted_at

    @property
    def deleted_by(self) -> User | None:
        """Who deleted it."""
        return self.row.deleted_by


@dataclass(frozen=True)
class TrashPage:
    """One page of the trash, newest first.

    Parameters
    ----------
    after : int or None
        How many to skip for the next page; ``None`` on the last one.
    count : int
        How many there are in all.
    """

    rows: list[Trashed]
    after: int | None
    count: int


def trashed(by: Actor, *, project: Project, query: str = "", skip: int = 0, limit: int = 100) -> TrashPage:
    """What waits in the trash, newest first: whole datasets, and single versions of those that are kept."""
    require(by, Permission.DATASET_VIEW, project)
    whole = Dataset.objects.trashed(project).filter(name__icontains=query)
    single = DatasetVersion.objects.filter(
        dataset__project=project, dataset__deleted_at=None, deleted_at__isnull=False, dataset__name__icontains=query
    )
    marks = [(at, 0, pk) for at, pk in whole.values_list("deleted_at", "pk")]
    marks += [(at, 1, pk) for at, pk in single.values_list("deleted_at", "pk")]
    shown = sorted(marks, reverse=True)[skip : skip + limit]
    rows = _lines(project, [(kind, pk) for _at, kind, pk in shown])
    return TrashPage(rows, skip + limit if skip + limit < len(marks) else None, len(marks))


def needed(versions: Sequence[int]) -> dict[int, str]:
    """What keeps versions from being removed for good, in words; a query for each kind of thing and one for holds.

    What lies in the trash itself counts: a run that may come back needs its data.
    """
    found: dict[int, list[str]] = defaultdict(list)
    for relation in DatasetVersion._meta.related_objects if versions else ():
        if getattr(relation, "on_delete", None) is not PROTECT:
            continue
        model, place = relation.related_model, relation.field.attname
        rows: Any = model._base_manager.filter(**{f"{place}__in": versions})
        for version, count in rows.order_by().values_list(place).annotate(count=Count("pk")):
            word = model._meta.verbose_name if count == 1 else model._meta.verbose_name_plural
            found[version].append(f"{count:,} {word}")
    reasons = {version: f"needed by {' and '.join(words)}" for version, words in found.items()}
    return reasons | dict.fromkeys(legal_holds.over_versions(versions), legal_holds.WORDS)


def restore(by: Actor, *, dataset: Dataset, version: DatasetVersion | None = None) -> Dataset:
    """Take a dataset, or one version of it, out of the trash.

    Raises
    ------
    Conflict
        When it is not in the trash, or another dataset has its name by now.
    """
    require(by, Permission.DATASET_DELETE, dataset.project)
    with transaction.atomic():
        held = _held(dataset)
        rows: Any = Dataset.objects.filter(pk=held.pk) if version is None else held.versions.filter(pk=version.pk)
        others = Dataset.objects.in_project(held.project).filter(name_key=held.name_key)
        if version is None and others.exclude(pk=held.pk).exists():
            raise Conflict(f"There is another dataset {held.name} by now.", code="name_taken", field="name")
        if version is not None and version.sha256 and _same(held, version):
            raise Conflict(f"The bytes of {version} were added again since.", code="same_content", field="version")
        if not rows.filter(deleted_at__isnull=False).update(deleted_at=None, deleted_by=None):
            raise Conflict(f"{version or held} is not in the trash.", code="not_in_trash")
        verb = "dataset.restored" if version is None else "version.restored"
        events.record(by, verb, project=held.project, target=version or held, data={"name": held.name})
    held.refresh_from_db()
    return held


def remove(by: Actor, *, dataset: Dataset, version: DatasetVersion | None = None) -> int:
    """Remove a dataset with all its versions, or one version, from the trash for good. Returns how many versions went.

    The files are freed by the collection of files that nothing names.

    Raises
    ------
    Conflict
        When it is not in the trash, or something needs it; says what.
    """
    require(by, Permission.DATASET_DELETE, dataset.project)
    what = version or dataset
    with transaction.atomic():
        legal_holds.refuse(dataset.project, dataset=dataset, what=str(what))
        held = _held(dataset)
        if not type(what)._base_manager.filter(pk=what.pk, deleted_at__isnull=False).exists():
            raise Conflict(f"{what} is not in the trash.", code="not_in_trash")
        rows = held.versions.light() if version is None else held.versions.light().filter(pk=version.pk)
        found = list(rows.select_related("dataset__project"))
        if why := _why(found):
            raise Conflict(f"{what} cannot be removed: {why}.", code="in_use", got=why)
        for each in found:
            _remove(by, each)
        if version is None:
            _drop(by, held)
    return len(found)


def empty(by: Actor, *, project: Project) -> dict[str, int]:
    """Remove all datasets and versions of the trash now; what something needs stays."""
    require(by, Permission.DATASET_DELETE, project)
    return _clear(by, project, timezone.now())


def expire(*, now: datetime | None = None) -> dict[str, int]:
    """Remove for good what was in the trash for as long as its project keeps it."""
    found = {"versions": 0, "datasets": 0}
    at = now or timezone.now()
    trash = Q(datasets__deleted_at__isnull=False) | Q(datasets__versions__deleted_at__isnull=False)
    for project in Project.objects.filter(trash).distinct():
        by = Actor.system("trash", project=project, grants={Permission.DATASET_DELETE})
        for kind, count in _clear(by, project, at - timedelta(days=project.trash_days)).items():
            found[kind] += count
    return found


def _clear(by: Actor, project: Project, before: datetime) -> dict[str, int]:
    """Remove what was deleted until then and nothing needs; the rest stays in the trash."""
    gone = {"versions": 0, "datasets": 0}
    old = Dataset.objects.trashed(project).filter(deleted_at__lte=before)
    versions = DatasetVersion.objects.filter(dataset__project=project)
    due = versions.filter(Q(deleted_at__lte=before) | Q(dataset__in=old))
    rows = list(due.light().select_related("dataset__project")[:AT_ONCE])
    held = needed([row.pk for row in rows])
    for row in rows:
        if row.pk not in held:
            with suppress(ProtectedError, Conflict), transaction.atomic():  # something took it up since
                legal_holds.refuse(project, dataset=row.dataset, what=str(row))
                _remove(by, row)
                gone["versions"] += 1
    bare = old.filter(versions=None).exclude(legal_holds.held_datasets())
    for dataset in bare.select_related("project")[:AT_ONCE]:
        with suppress(Conflict), transaction.atomic():
            legal_holds.refuse(project, dataset=dataset, what=str(dataset))
            _drop(by, dataset)
            gone["datasets"] += 1
    return gone


def _held(dataset: Dataset) -> Dataset:
    return Dataset.objects.select_for_update(of=("self",), no_key=True).select_related("project").get(pk=dataset.pk)


def _remove(by: Actor, version: DatasetVersion) -> None:
    data = {"version": version.number, "name": str(version), "sha256": version.sha256}
    DatasetVersion.objects.filter(pk=version.pk).delete()
    events.record(by, "version.removed", project=version.dataset.project, target=version, data=data)


def _drop(by: Actor, dataset: Dataset) -> None:
    events.record(by, "dataset.removed", project=dataset.project, target=dataset, data={"name": dataset.name})
    dataset.delete()


def _why(versions: list[DatasetVersion]) -> str:
    held = needed([version.pk for version in versions])
    return "; ".join(f"{version} is {held[version.pk]}" for version in versions if version.pk in held)


def _lines(project: Project, shown: list[tuple[int, int]]) -> list[Trashed]:
    wholes = [pk for kind, pk in shown if kind == 0]
    datasets = Dataset.objects.select_related("deleted_by").in_bulk(wholes)
    single = DatasetVersion.objects.light().select_related("dataset", "deleted_by")
    versions = single.in_bulk([pk for kind, pk in shown if kind == 1])
    inside: dict[int, list[int]] = {pk: [] for pk in wholes}
    for dataset_id, pk in DatasetVersion.objects.filter(dataset__in=wholes).values_list("dataset_id", "pk"):
        inside[dataset_id].append(pk)
    held = needed([*versions, *(pk for pks in inside.values() for pk in pks)])
    lines = []
    for kind, pk in shown:
        version = versions.get(pk) if kind else None
        dataset = version.dataset if version else datasets[pk]
        reasons = [held[each] for each in ([pk] if version else inside[pk]) if each in held]
        lines.append(_line(project, dataset, version, reasons, 1 if version else len(inside[pk])))
    return lines


def _line(
    project: Project, dataset: Dataset, version: DatasetVersion | None, reasons: list[str], count: int
) -> Trashed:
    why = reasons[0] if count == 1 and reasons else ""
    if count > 1 and reasons:
        why = f"{len(reasons):,} of {count:,} versions needed, the first {reasons[0]}"
    at = (version or dataset).deleted_at
    gone = at + timedelta(days=project.trash_days) if at and not why else None
    return Trashed(dataset, version, count, why, gone)


def _same(dataset: Dataset, version: DatasetVersion) -> bool:
    same = Q(sha256=version.sha256, encoding=version.encoding, delimiter=version.delimiter)
    return dataset.versions.kept().filter(same).exclude(pk=version.pk).exists()
