"""Sizes of a split before it is saved, from the stored profile: no row is read."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from projects.actor import Actor
from projects.models import DatasetVersion
from projects.permissions import Permission, allowed, require
from projects.services import marks
from projects.tabular.split import recipe as reading
from projects.tabular.split.recipe import Recipe, held_out

MISSING = "missing"


@dataclass(frozen=True)
class Part:
    """One part as it would be: its rows, and its groups where whole groups are divided."""

    name: str
    rows: int
    share: float
    groups: int | None = None


@dataclass(frozen=True)
class Preview:
    """What a cut would give.

    Parameters
    ----------
    sentence : str
        The recipe in words.
    exact : bool
        Whether the rows of the parts are certain; by time and by group they are estimates.
    parts : tuple of Part
        Training, validation, test; without a part that nobody asked for.
    column : str
        Column whose values are shared out evenly.
    classes : tuple of dict
        ``value``, ``share`` of the rows, and ``rows`` of each part in order, within one row.
    problems : tuple of str
        Why the cut would fail.
    notes : tuple of str
        What the numbers leave out.
    """

    sentence: str
    exact: bool
    parts: tuple[Part, ...]
    column: str = ""
    classes: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def preview(by: Actor, *, version: DatasetVersion, recipe: object) -> Preview:
    """Sizes that a recipe would give on a version.

    Raises
    ------
    Invalid
        Naming the field at fault.
    """
    require(by, Permission.DATASET_CREATE, version.dataset.project)
    wanted = reading.read(recipe, version.schema)
    rows = version.row_count or 0
    facts = _facts(by, version, wanted.column)
    if wanted.kind == "group":
        return _by_group(wanted, rows, facts)
    parts = _parts(wanted, rows, rows)
    problems = _empty(wanted, rows) + _without_place(wanted, facts)
    if wanted.kind == "stratified":
        return _stratified(wanted, rows, facts, parts, problems)
    exact = wanted.kind == "random" or not wanted.column
    notes = () if exact else (f"Rows of the same {wanted.column} stay together, so held-out parts may be larger.",)
    return Preview(wanted.sentence, exact, parts, problems=problems, notes=notes)


def _facts(by: Actor, version: DatasetVersion, column: str) -> dict[str, Any]:
    """What the profile says of a column to this reader; a token that may only write reads no value."""
    reader = allowed(by, Permission.DATASET_VIEW, version.dataset.project)
    hidden = marks.hidden(by, dataset=version.dataset) if reader else frozenset(version.dataset.marks)
    return dict(marks.profile(version, hidden).get(column, {}))


def _parts(recipe: Recipe, units: int, rows: int) -> tuple[Part, ...]:
    """Parts of so many units (rows, or groups with a fair share of the rows)."""
    # the first cut of a draw is scikit-learn's own, which does not mend what floats add to a share
    test = held_out(units, recipe.test_share) if recipe.kind == "time" else ceil(units * recipe.test_share)
    validation = held_out(units, recipe.validation_share)
    sizes = {"train": max(0, units - test - validation), "validation": validation, "test": test}
    total = max(1, units)
    return tuple(
        Part(name, round(rows * size / total), size / total, size if recipe.kind == "group" else None)
        for name, size in sizes.items()
        if size or name == "train"
    )


def _empty(recipe: Recipe, rows: int) -> tuple[str, ...]:
    if rows - held_out(rows, recipe.validation_share) - held_out(rows, recipe.test_share) >= 1:
        return ()
    return (f"{rows:,} rows are too few: the training part would be empty.",)


def _without_place(recipe: Recipe, facts: dict[str, Any]) -> tuple[str, ...]:
    """Rows without a date or a group belong to no side; the cut refuses them."""
    nulls = facts.get("nulls", 0)
    if not nulls or recipe.kind == "stratified":
        return ()
    return (f"{nulls:,} {'row has' if nulls == 1 else 'rows have'} no {recipe.column}, so they belong to no side.",)


def _by_group(recipe: Recipe, rows: int, facts: dict[str, Any]) -> Preview:
    number = int(facts.get("distinct", 0))
    needed = 3 if recipe.validation_share else 2
    held = held_out(number, recipe.test_share) + held_out(number, recipe.validation_share)
    problems = _without_place(recipe, facts)
    if number < needed or held >= number:
        words = "value" if number == 1 else "values"
        problems += (f"{recipe.column} has {number:,} {words}, which is too few for {needed} parts.",)
    note = f"Groups of {recipe.column} are divided; rows of a part depend on which groups are drawn."
    return Preview(recipe.sentence, False, _parts(recipe, number, rows), problems=problems, notes=(note,))


def _stratified(
    recipe: Recipe, rows: int, facts: dict[str, Any], parts: tuple[Part, ...], problems: tuple[str, ...]
) -> Preview:
    """Each value has its share in each part, within one row."""
    if facts.get("masked"):
        note = f"Values of {recipe.column} are marked, so their shares are not shown to you."
        return Preview(recipe.sentence, True, parts, recipe.column, problems=problems, notes=(note,))
    nulls, distinct = int(facts.get("nulls", 0)), int(facts.get("distinct", 0))
    counted = [(str(entry["value"]), int(entry["count"])) for entry in facts.get("top") or facts.get("levels") or []]
    complete = len(counted) == distinct
    counted += [(MISSING, nulls)] if nulls else []
    classes = tuple(
        {"value": value, "share": count / max(1, rows), "rows": [round(count * part.share) for part in parts]}
        for value, count in sorted(counted, key=lambda one: -one[1])
    )
    problems += _classes_unfit(
        recipe, [count for _, count in counted] if complete else [], distinct + bool(nulls), parts
    )
    notes = () if complete else (f"{recipe.column} has {distinct:,} values; " + (
        f"the {len(counted) - bool(nulls)} most frequent are shown." if counted else "their shares follow with the cut."
    ),)  # fmt: skip
    return Preview(recipe.sentence, True, parts, recipe.column, classes, problems, notes)


def _classes_unfit(recipe: Recipe, counts: list[int], number: int, parts: tuple[Part, ...]) -> tuple[str, ...]:
    needed = 3 if recipe.validation_share else 2
    least = min(part.rows for part in parts if part.name != "train")
    if counts and min(counts) < needed:
        words = "row" if min(counts) == 1 else "rows"
        return (f"A value of {recipe.column} is in {min(counts):,} {words}, and {needed} parts need {needed} of each.",)
    if least < number:
        return (f"A part of {least:,} rows cannot hold each of the {number:,} values of {recipe.column}.",)
    return ()
