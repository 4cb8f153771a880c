"""What changed between two versions of a dataset, in words, from their profiles."""

from dataclasses import dataclass
from typing import Any

SHIFT, MISSING_POINTS = 0.1, 0.05


@dataclass(frozen=True)
class Change:
    """One change.

    Parameters
    ----------
    kind : str
        ``warn`` for what may hurt a model, ``ok`` for reassurance, ``info`` for the rest.
    what, detail : str
        A short sentence and its numbers.
    """

    kind: str
    what: str
    detail: str = ""


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Changes from one profile to the next, the worrying ones first.

    Parameters
    ----------
    before, after : dict
        ``rows``, ``schema`` (list of fields) and ``columns`` (profile by name) of each version.
    """
    found = [*_schema(before["schema"], after["schema"]), *_values(before, after), _rows(before["rows"], after["rows"])]
    order = {"warn": 0, "info": 1, "ok": 2}
    return sorted(found, key=lambda change: order[change.kind])


def _rows(before: int, after: int) -> Change:
    if before == after:
        return Change("ok", "Same number of rows", f"{after:,} rows")
    word = "more" if after > before else "fewer"
    share = abs(after - before) / before
    return Change(
        "info",
        f"{abs(after - before):,} {word} {_rows_word(abs(after - before))}",
        f"{before:,} to {after:,} ({share:.1%})",
    )


def _schema(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Change]:
    old = {field["name"]: field["kind"] for field in before}
    new = {field["name"]: field["kind"] for field in after}
    gone = [Change("warn", f"{name} is gone", f"was {old[name]}") for name in old if name not in new]
    added = [Change("info", f"{name} is new", new[name]) for name in new if name not in old]
    turned = [
        Change("warn", f"{name} changed its type", f"{old[name]} to {new[name]}")
        for name in new
        if name in old and old[name] != new[name]
    ]
    return [*gone, *turned, *added] or [Change("ok", "Schema unchanged", f"{len(new):,} columns, same types")]


def _values(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    found = []
    for name, new in after["columns"].items():
        old = before["columns"].get(name)
        if old is not None:
            found += _missing(name, old["nulls"] / before["rows"], new["nulls"] / after["rows"])
            found += _shift(name, old, new) + _new_values(name, old, new)
    return found


def _missing(name: str, before: float, after: float) -> list[Change]:
    if abs(after - before) < MISSING_POINTS:
        return []
    word = "more" if after > before else "fewer"
    return [Change("warn", f"{name} has {word} missing values", f"{before:.1%} to {after:.1%}")]


def _shift(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    means = (old["mean"], new["mean"])
    if not all(isinstance(mean, (int, float)) for mean in means) or not old["std"]:
        return []
    shift = (new["mean"] - old["mean"]) / old["std"]
    if abs(shift) < SHIFT:
        return []
    word = "up" if shift > 0 else "down"
    detail = f"mean {old['mean']:.4g} to {new['mean']:.4g}, {abs(shift):.2f} standard deviations"
    return [Change("warn", f"{name} shifted {word}", detail)]


def _new_values(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    listed_all = len(old["top"]) == old["distinct"]
    if not (old["top"] and new["top"] and listed_all):
        return []
    known = {entry["value"] for entry in old["top"]}
    fresh = [entry for entry in new["top"] if entry["value"] not in known]
    return [
        Change("warn", f"{name} has a new value “{entry['value']}”", f"{entry['count']:,} {_rows_word(entry['count'])}")
        for entry in fresh
    ]


def _rows_word(count: int) -> str:
    return "row" if count == 1 else "rows"
