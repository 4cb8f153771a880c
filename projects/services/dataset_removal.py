"""Delete datasets and versions: what uses them is asked first; the trash keeps them for a while."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from mlportal.lib import lease
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.permissions import Permission, require
from projects.services import events

MOST_NAMED = 20


@dataclass(frozen=True)
class Hold:
    """Why something may not be deleted now.

    Parameters
    ----------
    version : int
        Id of the dataset version that is held.
    words : str
        ``is served by churn-production`` and the like, after the name of the version.
    url : str
        Page of what holds it.
    """

    version: int
    words: str
    url: str


def holds(by: Actor, *, project: Project, versions: list[int]) -> list[Hold]:
    """What forbids the deletion of these versions: models in environments, open jobs, work in progress.

    The answers come from the apps above, which are named in ``settings.DATASET_HOLDS``; each is a function from
    version ids to holds, with a fixed number of queries.
    """
    require(by, Permission.DATASET_VIEW, project)
    return _holds(versions)


def _holds(versions: list[int]) -> list[Hold]:
    found: list[Hold] = []
    for path in settings.DATASET_HOLDS if versions else ():
        found += import_string(path)(versions)
    return found


def delete_version(by: Actor, *, version: DatasetVersion) -> DatasetVersion:
    """Put a version into the trash.

    Raises
    ------
    Conflict
        Naming what uses it: a model version in an environment, an open job; or while it is being profiled.
    """
    require(by, Permission.DATASET_DELETE, version.dataset.project)
    project = version.dataset.project
    with transaction.atomic():
        # the dataset's row is what a launch and a registration of this version would meet first
        Dataset.objects.select_for_update(of=("self",)).get(pk=version.dataset_id)
        _refuse([version])
        _mark(by, DatasetVersion.objects.filter(pk=version.pk))
        events.record(by, "version.trashed", project=project, target=version, data={"version": version.number})
    version.refresh_from_db()
    return version


def delete_dataset(by: Actor, *, dataset: Dataset) -> Dataset:
    """Put a dataset with all its versions into the trash.

    Raises
    ------
    Conflict
        Naming what uses any of them.
    """
    require(by, Permission.DATASET_DELETE, dataset.project)
    with transaction.atomic():
        Dataset.objects.select_for_update(of=("self",)).get(pk=dataset.pk)
        _refuse(list(dataset.versions.kept().light()))
        _mark(by, Dataset.objects.filter(pk=dataset.pk))
        count = dataset.versions.kept().count()
        events.record(by, "dataset.trashed", project=dataset.project, target=dataset, data={"versions": count})
    dataset.refresh_from_db()
    return dataset


def restore(by: Actor, *, dataset: Dataset, version: DatasetVersion | None = None) -> Dataset:
    """Take a dataset, or one version of it, out of the trash.

    Raises
    ------
    Conflict
        When it is not in the trash, or another dataset has its name by now.
    """
    require(by, Permission.DATASET_DELETE, dataset.project)
    with transaction.atomic():
        held = Dataset.objects.select_for_update(of=("self",)).select_related("project").get(pk=dataset.pk)
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


def trashed(by: Actor, *, project: Project) -> list[tuple[Dataset, DatasetVersion | None]]:
    """What waits in the trash, newest first: whole datasets, and single versions of those that are kept."""
    require(by, Permission.DATASET_VIEW, project)
    whole = [(dataset, None) for dataset in Dataset.objects.trashed(project).select_related("deleted_by")[:500]]
    single = DatasetVersion.objects.light().filter(
        dataset__project=project, dataset__deleted_at=None, deleted_at__isnull=False
    )
    parts = [(version.dataset, version) for version in single.select_related("dataset", "deleted_by")[:500]]
    found: list[tuple[Dataset, DatasetVersion | None]] = [*whole, *parts]
    return sorted(found, key=lambda pair: (pair[1] or pair[0]).deleted_at or timezone.now(), reverse=True)


def expire(*, now: datetime | None = None) -> dict[str, int]:
    """Remove for good what was in the trash for as long as its project keeps it.

    The files are freed by the collection of files that nothing names.
    """
    found = {"versions": 0, "datasets": 0}
    at = now or timezone.now()
    trash = Q(datasets__deleted_at__isnull=False) | Q(datasets__versions__deleted_at__isnull=False)
    for project in Project.objects.filter(trash).distinct():
        before = at - timedelta(days=project.trash_days)
        versions = DatasetVersion.objects.filter(dataset__project=project)
        found["versions"] += _remove(versions.filter(deleted_at__lt=before))
        for dataset in Dataset.objects.trashed(project).filter(deleted_at__lt=before)[:100]:
            found["versions"] += _remove(versions.filter(dataset=dataset))
            found["datasets"] += _drop(dataset)
    return found


def _remove(rows: Any) -> int:
    """Remove versions that nothing names; a version that a run or a model recorded stays, in the trash."""
    gone = 0
    for version in rows.light().select_related("dataset__project")[:1_000]:
        by = Actor.system("trash", project=version.dataset.project)
        named = [import_string(path)([version.pk], newest=0) for path in settings.DATASET_USES]
        if any(use.runs or use.models for found in named for use in found.values()):
            continue
        data = {"version": version.number, "name": str(version), "sha256": version.sha256}
        with suppress(ProtectedError), transaction.atomic():  # an ended job or a run in the trash may name it still
            project = version.dataset.project
            DatasetVersion.objects.filter(pk=version.pk).delete()
            events.record(by, "version.removed", project=project, target=version, data=data)
            gone += 1
    return gone


def _drop(dataset: Dataset) -> int:
    if dataset.versions.exists():
        return 0
    by = Actor.system("trash", project=dataset.project)
    with transaction.atomic():
        events.record(by, "dataset.removed", project=dataset.project, target=dataset, data={"name": dataset.name})
        dataset.delete()
    return 1


def _refuse(versions: list[DatasetVersion]) -> None:
    labels = {version.pk: str(version) for version in versions}
    found = [f"{labels[hold.version]} {hold.words}" for hold in _holds(list(labels))]
    found += [f"{version} is being profiled" for version in versions if version.state not in lease.TERMINAL]
    if found:
        more = f" And {len(found) - MOST_NAMED:,} more." if len(found) > MOST_NAMED else ""
        raise Conflict(
            "It is in use: " + "; ".join(found[:MOST_NAMED]) + "." + more, code="in_use", got=found[:MOST_NAMED]
        )


def _mark(by: Actor, rows: Any) -> None:
    if not rows.filter(deleted_at=None).update(deleted_at=timezone.now(), deleted_by=by.user):
        raise Conflict("It is in the trash already.", code="in_trash")


def _same(dataset: Dataset, version: DatasetVersion) -> bool:
    same = Q(sha256=version.sha256, encoding=version.encoding, delimiter=version.delimiter)
    return dataset.versions.kept().filter(same).exclude(pk=version.pk).exists()
