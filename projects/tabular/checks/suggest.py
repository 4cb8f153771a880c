"""Checks that a profile suggests: what holds now and would be worth a word if it stopped."""

from math import ceil, floor, log10
from typing import Any

from .rules import Rule, read

FEW_VALUES, ROOM = 10, 0.1
STEADY = ("numeric", "integer", "boolean", "datetime")  # text and categories turn into each other as rows come
ROWS_CHANGE = 0.5
MOST_COLUMNS_LISTED = 200


def suggestions(schema: list[dict[str, Any]], profile: dict[str, Any], rows: int) -> list[Rule]:
    """Suggest checks from the profile of one version.

    Parameters
    ----------
    schema : list of dict
        ``name`` and ``kind`` of each column.
    profile : dict
        Profile of each column by name.
    rows : int
        Rows of the version.

    Returns
    -------
    list of Rule
        Each holds on that version. What is certain stops a launch (``gate``), what is a guess warns.
    """
    found: list[dict[str, Any]] = [{"kind": "rows", "severity": "warn", "change": ROWS_CHANGE}]
    if len(schema) <= MOST_COLUMNS_LISTED:
        names = [entry["name"] for entry in schema]
        found.append({"kind": "columns", "severity": "gate", "names": names, "exact": False})
    for entry in schema:
        facts = profile.get(entry["name"])
        if facts is not None and rows > facts["nulls"]:
            found += _of_column(entry["name"], entry["kind"], facts, rows)
    return [read(one) for one in found]


def _of_column(name: str, kind: str, facts: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    about = {"columns": [name]}
    found: list[dict[str, Any]] = []
    if kind in STEADY:
        found.append({"kind": "type", "severity": "gate", "is": kind, **about})
    if kind == "id":
        found.append({"kind": "unique", "severity": "gate", **about})
    missing = facts["nulls"] / rows
    if not missing:
        found.append({"kind": "nulls", "severity": "gate", "max_share": 0, **about})
    elif missing <= 1 - ROOM:
        found.append({"kind": "nulls", "severity": "warn", "max_share": round(missing + ROOM, 2), **about})
    if kind in ("numeric", "integer", "datetime") and facts["min"] is not None:
        found.append({"kind": "range", "severity": "warn", **_range(kind, facts), **about})
    if kind in ("categorical", "boolean") and facts["top"] and len(facts["top"]) == facts["distinct"] <= FEW_VALUES:
        allowed = sorted(str(entry["value"]) for entry in facts["top"])
        found.append({"kind": "values", "severity": "warn", "allowed": allowed, **about})
    return found


def _range(kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The range with a tenth of room on each side; what was never negative stays so."""
    low, high = facts["min"], facts["max"]
    if kind == "datetime":
        return {"min": low}
    if kind == "integer" and facts["distinct"] <= FEW_VALUES:
        return {"min": low, "max": high}
    room = (high - low) * ROOM
    least = low - room if low < 0 else max(0.0, low - room)
    return {"min": _round(least, up=False), "max": _round(high + room, up=True)}


def _round(value: float, *, up: bool) -> float:
    """Two significant digits, away from the data."""
    if not value:
        return 0
    unit = 10.0 ** (floor(log10(abs(value))) - 1)
    found = (ceil if up else floor)(value / unit) * unit
    return int(found) if found == int(found) else float(f"{found:.6g}")
