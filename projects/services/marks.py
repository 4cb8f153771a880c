"""Sensitivity marks of columns: who sees values, and what the others see instead.

A mark is set on a column of a dataset and holds for all its versions. Whoever holds ``dataset.edit`` sees every
value; for all others the values of marked columns are left out wherever values of a dataset are shown.
"""

from collections.abc import Mapping
from typing import Any

from projects.actor import Actor
from projects.models import Dataset, DatasetVersion
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


def hidden(by: Actor, *, dataset: Dataset) -> frozenset[str]:
    """Columns whose values the actor may not see."""
    require(by, Permission.DATASET_VIEW, dataset.project)
    return hidden_from(by, dataset=dataset)


def hidden_from(by: Actor, *, dataset: Dataset) -> frozenset[str]:
    """The same, for what quotes values but is not read by the right to look at datasets."""
    if not dataset.marks or allowed(by, Permission.DATASET_EDIT, dataset.project):
        return frozenset()
    return frozenset(name for name, mark in dataset.marks.items() if mark in MARKS)


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
