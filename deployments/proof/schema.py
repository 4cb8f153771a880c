"""What differs between the schemas of two models, in words, and whether requests that worked before still do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BREAKS, WIDENS, OTHER = "breaks", "widens", "other"
SHOWN = 8
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """One difference: ``effect`` is ``breaks`` when requests for the first may be refused by the second."""

    effect: str
    text: str


def differences(old: Json, new: Json) -> list[Difference]:
    """List what the second schema changes against the first, what breaks requests first.

    Parameters
    ----------
    old, new
        Documents with ``task``, ``target``, ``inputs`` and ``outputs``, as a version keeps them.
    """
    was, now = _named(old.get("inputs")), _named(new.get("inputs"))
    found = [
        *_facts(old, new),
        *(Difference(WIDENS, f"{name} is not asked for any more.") for name in was if name not in now),
        *(_added(name, now[name]) for name in now if name not in was),
        *(each for name in was if name in now for each in _column(name, was[name], now[name])),
        *_order(list(was), list(now)),
        *_outputs(old.get("outputs"), new.get("outputs")),
    ]
    rank = {BREAKS: 0, WIDENS: 1, OTHER: 2}
    return sorted(found, key=lambda item: rank[item.effect])


def _named(rows: Any) -> dict[str, Json]:
    return {str(row["name"]): row for row in rows or () if isinstance(row, Mapping) and "name" in row}


def _facts(old: Json, new: Json) -> list[Difference]:
    words = {"task": "The task", "target": "The target"}
    return [
        Difference(BREAKS, f"{words[key]} was {old.get(key) or 'not stated'} and is {new.get(key) or 'not stated'}.")
        for key in words
        if (old.get(key) or "") != (new.get(key) or "")
    ]


def _added(name: str, column: Json) -> Difference:
    if column.get("nullable"):
        return Difference(WIDENS, f"{name} ({column.get('kind')}) is new and may be empty.")
    return Difference(BREAKS, f"{name} ({column.get('kind')}) is new and required.")


def _column(name: str, old: Json, new: Json) -> list[Difference]:
    found = []
    if old.get("kind") != new.get("kind"):
        found.append(Difference(BREAKS, f"{name} was {old.get('kind')} and is {new.get('kind')}."))
    if bool(old.get("nullable")) != bool(new.get("nullable")):
        text = f"{name} may be empty now." if new.get("nullable") else f"{name} may not be empty any more."
        found.append(Difference(WIDENS if new.get("nullable") else BREAKS, text))
    return found + _values(name, old, new) + _range(name, old, new)


def _values(name: str, old: Json, new: Json) -> list[Difference]:
    was, now = old.get("categories"), new.get("categories")
    if not isinstance(was, Sequence) or not isinstance(now, Sequence):
        return []
    gone, fresh = [word for word in was if word not in now], [word for word in now if word not in was]
    found = [Difference(BREAKS, f"{name} does not know {_list(gone)} any more.")] if gone else []
    return found + ([Difference(WIDENS, f"{name} knows {_list(fresh)} too.")] if fresh else [])


def _range(name: str, old: Json, new: Json) -> list[Difference]:
    was, now = (old.get("min"), old.get("max")), (new.get("min"), new.get("max"))
    if was == now or None in was or None in now:
        return []
    return [Difference(OTHER, f"{name} was seen from {was[0]} to {was[1]} and is from {now[0]} to {now[1]}.")]


def _order(was: list[str], now: list[str]) -> list[Difference]:
    kept_was, kept_now = [name for name in was if name in now], [name for name in now if name in was]
    return [] if kept_was == kept_now else [Difference(OTHER, "The columns come in another order.")]


def _outputs(old: Any, new: Any) -> list[Difference]:
    was, now = _named(old), _named(new)
    found = [Difference(BREAKS, f"The answer has no {name} any more.") for name in was if name not in now]
    found += [Difference(WIDENS, f"The answer has {name} too.") for name in now if name not in was]
    for name in (name for name in was if name in now):
        if was[name].get("kind") != now[name].get("kind"):
            text = f"{name} of the answer was {was[name].get('kind')} and is {now[name].get('kind')}."
            found.append(Difference(BREAKS, text))
        if was[name].get("classes") != now[name].get("classes"):
            before, after = was[name].get("classes") or [], now[name].get("classes") or []
            found.append(Difference(BREAKS, f"The classes were {_list(before)} and are {_list(after)}."))
    return found


def _list(words: Sequence[Any]) -> str:
    shown = ", ".join(str(word) for word in words[:SHOWN])
    return f"{shown} and {len(words) - SHOWN} more" if len(words) > SHOWN else shown or "none"
