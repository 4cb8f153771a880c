"""Sensitivity marks of columns: who sees values, and what the others see instead.

A mark is set on a column of a dataset and holds for all its versions. Whoever holds ``dataset.edit`` sees every
value; for all others the values of marked columns are left out wherever values of a dataset are shown.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Self

from django.utils.crypto import salted_hmac

from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.permissions import Permission, allowed, require

MARKS = {
    "personal": "Personal: tells who somebody is, or can be tied to one person",
    "sensitive": "Sensitive: health, money, beliefs and the like",
    "secret": "Secret: must not leave the team",
}
MASK = "•••"
MASKED_TEXT = "masked"
# what a profile says of values; counts of missing and distinct ones stay
_OF_VALUES = ("histogram", "quantiles", "mean", "std", "min", "max", "levels")


CODE = 5  # letters of what a group is called: two groups of a column share one in a million columns
BOOLEANS = {"True": "true", "False": "false"}


class Hidden(frozenset[str]):
    """Columns of a dataset whose values are hidden from a reader, and what groups of their values are called.

    A value has one code, in every version, evaluation and range of time. It is keyed by the installation, so that
    nobody finds a value by trying some.
    """

    dataset: int

    def __new__(cls, names: Iterable[str] = (), *, dataset: int = 0) -> Self:
        """Take the names of the columns and the number of their dataset."""
        made = super().__new__(cls, names)
        made.dataset = dataset
        return made

    def called(self, column: str, value: object) -> str:
        """Return what the group of a value is called: ``group k7qd3``."""
        told = BOOLEANS.get(str(value), str(value))
        digest = salted_hmac("marks.group", f"{self.dataset}|{column}|{told}", algorithm="sha256").digest()
        return f"group {base64.b32encode(digest)[:CODE].decode().lower()}"

    def namer(self, column: str) -> Callable[[str], str] | None:
        """Return what says how the groups of a column are called, None when its values may be seen."""
        return partial(self.called, column) if column in self else None


def hidden(by: Actor, *, dataset: Dataset) -> Hidden:
    """Columns whose values the actor may not see."""
    require(by, Permission.DATASET_VIEW, dataset.project)
    return hidden_from(by, dataset=dataset)


def hidden_from(by: Actor, *, dataset: Dataset) -> Hidden:
    """The same, for what quotes values but is not read by the right to look at datasets."""
    if not dataset.marks or allowed(by, Permission.DATASET_EDIT, dataset.project):
        return Hidden()
    return from_everybody(dataset)


def from_everybody(dataset: Dataset) -> Hidden:
    """Columns whose values not everybody may see, for what is written once for all."""
    return Hidden((name for name, mark in dataset.marks.items() if mark in MARKS), dataset=dataset.pk)


def hidden_anywhere(by: Actor, *, project: Project) -> dict[str, Hidden]:
    """Columns hidden from the actor by a mark on any dataset of a project, see `anywhere`."""
    return {} if allowed(by, Permission.DATASET_EDIT, project) else anywhere(project)


def anywhere(project: Project) -> dict[str, Hidden]:
    """Columns that any dataset of a project marks, each with the oldest that does; one query.

    For what names a column without its data, such as rules that hold for models of any dataset.
    """
    found: dict[str, Hidden] = {}
    for dataset in Dataset.objects.filter(project=project).exclude(marks={}).only("pk", "marks").order_by("pk"):
        hidden = from_everybody(dataset)
        found = dict.fromkeys(hidden, hidden) | found
    return found


def profile(version: DatasetVersion, without: frozenset[str]) -> dict[str, Any]:
    """The profile of a version by column, without the values of some columns."""
    return {
        name: masked(facts) if name in without else facts
        for name, facts in (version.profile or {}).items()
    }  # fmt: skip


def masked(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a column, without its values."""
    return {**facts, **dict.fromkeys(_OF_VALUES), "top": [], "warnings": [], "masked": True}


def remarks(version: DatasetVersion, without: frozenset[str]) -> list[dict[str, Any]]:
    """Remarks of a version, without those that quote values of some columns."""
    return [remark for remark in version.warnings if remark.get("column") not in without]


def sample(found: Mapping[str, Any], without: frozenset[str], *, foreign: bool = False) -> dict[str, Any]:
    """Rows at fault, without the values of some columns.

    ``foreign`` rows come of a query, which may have given any column another name: none of their values is shown.
    """
    columns = found.get("columns", [])
    rows = [
        [MASK if foreign or name in without else cell for name, cell in zip(columns, row, strict=True)]
        for row in found.get("rows", [])
    ]
    return {**found, "rows": rows} if rows else dict(found)
