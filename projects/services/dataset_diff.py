"""Compare two versions of a dataset by their stored profiles; no data is read."""

from dataclasses import dataclass
from typing import Any

from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion
from projects.permissions import Permission, require
from projects.services import marks
from projects.tabular import diff
from projects.tabular.diff import Difference


@dataclass(frozen=True)
class Compared:
    """Two versions and what differs between them."""

    before: DatasetVersion
    after: DatasetVersion
    difference: Difference


def compare(by: Actor, *, dataset: Dataset, a: int | None = None, b: int | None = None) -> Compared:
    """Compare version ``a`` with version ``b``; by default the newest ready one with the ready one before it.

    Raises
    ------
    Missing
        When the dataset has no such version.
    Invalid
        When both are the same.
    Conflict
        When one is not profiled, or there is only one version.
    """
    require(by, Permission.DATASET_VIEW, dataset.project)
    if a is not None and a == b:
        raise Invalid(f"a and b are both version {a}. Choose two different versions.", field="b", got=a)
    after = _version(dataset, "b", b)
    if b is None and a is not None and after.number == a:
        raise Invalid(f"a is the newest version, {a}. Name the other one in b.", field="b", got=a)
    before = _version(dataset, "a", a) if a is not None else earlier(by, version=after)
    if before is None:
        raise Conflict(f"{after} has no earlier version to compare with.", code="no_earlier_version", field="a")
    hidden = marks.hidden(by, dataset=dataset)
    return Compared(before, after, diff.compare(profile_of(before, hidden), profile_of(after, hidden)))


def earlier(by: Actor, *, version: DatasetVersion) -> DatasetVersion | None:
    """The newest ready version before this one."""
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    rows = version.dataset.versions.ready().filter(number__lt=version.number).select_related("dataset__project")
    return rows.order_by("-number").first()


def profile_of(version: DatasetVersion, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the comparison needs of a version, without the values of ``hidden`` columns."""
    columns = marks.profile(version, hidden)
    return {"rows": version.row_count or 0, "schema": version.schema, "columns": columns}


def _version(dataset: Dataset, field: str, number: int | None) -> DatasetVersion:
    rows = dataset.versions.kept().select_related("dataset__project").order_by("-number")
    found = (rows.ready() if number is None else rows.filter(number=number)).first()
    if found is None:
        which = "no version that is ready" if number is None else f"no version {number}"
        raise Missing(f"Dataset {dataset.name} has {which}.", field=field)
    if not found.is_ready:
        raise Conflict(
            f"{found} has no profile to compare: it is {found.get_state_display()}.",
            code="dataset_not_ready", field=field,
        )  # fmt: skip
    return found
