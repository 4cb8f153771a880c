"""Groups without their names: what is told of a marked column to whoever may not see its values.

The name of a group is a value of its column. In what is sealed it is replaced by its place, ``group 2``, which tells
groups apart and is the same in every table of one evaluation; readers who may not see it are told its code, ``group
k7qd3``, which is the same everywhere: whoever hands over the hidden columns says what their groups are called.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

Json = dict[str, Any]
Names = Mapping[str, Mapping[str, str]]
TOLD = re.compile(r"group ([0-9]+|[a-z2-7]{5})")  # what a paper holds already instead of a name
TABLES = ("segments", "fairness")  # of papers, whose rows begin with "column = group"


def names(found: Mapping[str, Any], columns: Collection[str]) -> dict[str, dict[str, str]]:
    """Name the groups of some columns as the columns say they are called, else by their place in the evidence.

    Returns
    -------
    dict
        By column: what each group is called by its name.
    """
    out: dict[str, dict[str, str]] = {}
    for row in found.get("fairness") or []:
        for group in [*row["groups"], *(row.get("small") or [])]:
            _add(out, columns, row["column"], group["value"])
    for row in found.get("segments") or []:
        _add(out, columns, row["column"], row["value"])
    return out


def result(found: Mapping[str, Any], columns: Collection[str]) -> Json:
    """Return what an evaluation found, with places instead of names for the groups of some columns."""
    known = names(found, columns)
    if not columns:
        return dict(found)
    seen: Json = {**found, "missing": [_missing(row, columns) for row in found.get("missing") or []]}
    if found.get("segments"):
        seen["segments"] = [_placed(row, row["column"], known) for row in found["segments"]]
    if found.get("fairness"):
        seen["fairness"] = [_column(row, known) for row in found["fairness"]]
    return seen


def paper(document: Json, columns: Collection[str]) -> Json:
    """Return a paper whose tables of segments and groups name no group of some columns."""
    if not columns:
        return document
    known: dict[str, dict[str, str]] = {}
    tables = [[_field(field, columns, known) for field in part["fields"]] for part in document["sections"]]
    parts = [
        {**part, "fields": [_verdicts(field, known) for field in fields]}
        for part, fields in zip(document["sections"], tables, strict=True)
    ]
    return {**document, "sections": parts}


def tells(document: Json, columns: Collection[str]) -> bool:
    """Whether a paper names a group of one of the columns."""
    return bool(columns) and paper(document, columns) != document


def _add(out: dict[str, dict[str, str]], columns: Collection[str], column: str, value: Any) -> None:
    if column in columns:
        held = out.setdefault(str(column), {})
        called = getattr(columns, "called", None)
        held.setdefault(str(value), called(str(column), value) if called else f"group {len(held) + 1}")


def _placed(row: Json, column: str, known: Names) -> Json:
    return {**row, "value": known[column][str(row["value"])]} if column in known else row


def _column(row: Json, known: Names) -> Json:
    name = row["column"]
    groups = {part: [_placed(group, name, known) for group in row.get(part) or []] for part in ("groups", "small")}
    return {**row, **groups} if name in known else row


def _missing(row: Json, columns: Collection[str]) -> Json:
    """Leave the list of small groups out of the words, as in ``are not shown: x (1), y (2)``."""
    if str(row["part"]).partition(": ")[2] not in columns:
        return row
    return {**row, "why": re.sub(r" are not (shown|compared): .*", r" are not \1", str(row["why"]), flags=re.DOTALL)}


def _field(field: Json, columns: Collection[str], known: dict[str, dict[str, str]]) -> Json:
    if field["key"] not in TABLES:
        return field
    gap = str(field.get("gap") or "")
    if any(gap and name in gap for name in columns):
        field = {**field, "gap": re.sub(r" are not (shown|compared): .*", r" are not \1", gap, flags=re.DOTALL)}
    if not field["value"]:
        return field
    rows = [[_cell(row[0], columns, known), *row[1:]] for row in field["value"]["rows"]]
    return {**field, "value": {**field["value"], "rows": rows}}


def _verdicts(field: Json, known: Names) -> Json:
    """Put places for names into the words of gates, wherever a rule's words have a group."""
    if field["key"] != "gates" or not field["value"]:
        return field
    rows = [[_words(cell, known) if isinstance(cell, str) else cell for cell in row] for row in field["value"]["rows"]]
    return {**field, "value": {**field["value"], "rows": rows}}


def _words(text: str, known: Names) -> str:
    for column, places in known.items():
        text = _without(text, column, places)
    return text


def _without(text: str, column: str, places: Mapping[str, str]) -> str:
    anyone = "|".join(re.escape(name) for name in sorted(places, key=len, reverse=True))
    one = rf"\b{re.escape(column)} = ({anyone})(?=: | was measured| not worse|$)"
    text = re.sub(one, lambda at: f"{column} = {places[at[1]]}", text)
    pair = rf", between ({anyone}) and ({anyone})$"
    return re.sub(pair, lambda at: f", between {places[at[1]]} and {places[at[2]]}", text)


def _cell(cell: Any, columns: Collection[str], known: dict[str, dict[str, str]]) -> Any:
    column = next((name for name in columns if str(cell).startswith(f"{name} = ")), None)
    if column is None:
        return cell
    value = str(cell).removeprefix(f"{column} = ")
    if TOLD.fullmatch(value):
        return cell
    _add(known, columns, column, value)
    return f"{column} = {known[column][value]}"
