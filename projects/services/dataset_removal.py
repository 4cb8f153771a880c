"""Put datasets and versions into the trash; what uses them is asked first."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
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
        Dataset.objects.select_for_update(of=("self",), no_key=True).get(pk=version.dataset_id)
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
        Dataset.objects.select_for_update(of=("self",), no_key=True).get(pk=dataset.pk)
        _refuse(list(dataset.versions.kept().light()))
        _mark(by, Dataset.objects.filter(pk=dataset.pk))
        count = dataset.versions.kept().count()
        events.record(by, "dataset.trashed", project=dataset.project, target=dataset, data={"versions": count})
    dataset.refresh_from_db()
    return dataset


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
