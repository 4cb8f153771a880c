"""Papers as plain data: sections of fields, each with its source, its age and what is missing.

A paper is ``{"format", "kind", "title", "about", "sections": [{"key", "number", "title", "fields": [field]}]}``. A
field is ``{"key", "label", "kind", "value", "hand_written", "by", "changed_at", "source", "gap", "who"}``; ``kind`` is

- ``text``: Markdown that a person wrote, or one sentence;
- ``pairs``: ``[[label, cell], ...]``;
- ``table``: ``{"columns": [...], "rows": [[cell, ...], ...]}``.

A cell is text, a number, a truth value or None. Wherever a person is meant, it is ``{"person": account}``, so that an
erased name is in no kept paper; :func:`named` puts the names in.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.proof import canonical

Json = dict[str, Any]
FORMAT = "mlportal-paper-1"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


@dataclass(frozen=True)
class Source:
    """The record a field was read from, and when that last changed (ISO 8601)."""

    label: str
    href: str = ""
    at: str = ""


NOWHERE = Source("")


def text(key: str, label: str, value: str, source: Source = NOWHERE, **more: Any) -> Json:
    """Write a field of prose."""
    return _field(key, label, "text", value, source, **more)


def pairs(key: str, label: str, rows: Sequence[tuple[str, Any]], source: Source = NOWHERE, **more: Any) -> Json:
    """Write a field of names and values; names without a value are left out."""
    return _field(key, label, "pairs", [[name, cell] for name, cell in rows if cell not in (None, "")], source, **more)


def table(
    key: str, label: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], source: Source = NOWHERE, **more: Any
) -> Json:
    """Write a field of rows."""
    value = {"columns": list(columns), "rows": [list(row) for row in rows]} if rows else None
    return _field(key, label, "table", value, source, **more)


def section(key: str, number: str, title: str, *fields: Json) -> Json:
    """Group fields."""
    return {"key": key, "number": number, "title": title, "fields": list(fields)}


def person(account: int | None) -> Json | None:
    """Write whom a cell means."""
    return {"person": account} if account else None


def is_gap(field: Mapping[str, Any]) -> bool:
    """Tell whether a field lacks what it is asked for."""
    return bool(field["gap"])


def completeness(paper: Mapping[str, Any]) -> tuple[int, int]:
    """Count the fields that hold something, and all fields."""
    fields = [field for part in paper["sections"] for field in part["fields"]]
    return sum(not is_gap(field) for field in fields), len(fields)


def gaps(paper: Mapping[str, Any]) -> list[Json]:
    """List what is missing, with its section."""
    return [
        {"section": part["number"], "part": part["key"], **field}
        for part in paper["sections"]
        for field in part["fields"]
        if is_gap(field)
    ]


def digest(paper: Json) -> str:
    """Return the sha256 of a paper."""
    return canonical.digest(paper)


def people(value: Any) -> set[int]:
    """Collect the accounts a paper names."""
    if isinstance(value, dict):
        if set(value) == {"person"}:
            return {value["person"]}
        return set().union(*(people(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(people(item) for item in value))
    return set()


def named(value: Any, name: Callable[[int], str]) -> Any:
    """Return a copy with people's names in place of their accounts."""
    if isinstance(value, dict):
        if set(value) == {"person"}:
            return name(value["person"])
        return {key: named(item, name) for key, item in value.items()}
    return [named(item, name) for item in value] if isinstance(value, list) else value


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Json]:
    """Say field by field what differs: ``{"section", "key", "label", "kind", "change", "before", "after"}``.

    Sources, dates and authors do not count: the same words read again are no change.
    """
    before, after = _fields(old), _fields(new)
    out = []
    for key in [*after, *(key for key in before if key not in after)]:
        was, now = before.get(key), after.get(key)
        if _value(was) == _value(now):
            continue
        shown = now or was
        assert shown is not None
        out.append(
            {
                "section": shown["section"], "key": key[1], "label": shown["label"], "kind": shown["kind"],
                "change": "removed" if not _value(now) else "changed" if _value(was) else "added",
                "before": _value(was), "after": _value(now),
            }
        )  # fmt: skip
    return out


def words(value: Any) -> str:
    """Write a value of a field on one line, for comparisons."""
    if isinstance(value, dict) and "rows" in value:
        return "; ".join(", ".join(cell(item) for item in row) for row in value["rows"])
    if isinstance(value, list):
        return "; ".join(": ".join(cell(item) for item in row) for row in value)
    return cell(value)


def cell(value: Any) -> str:
    """Write a cell for people: four significant digits, moments to the minute, a dash for nothing."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return f"{value[:10]} {value[11:16]} UTC" if _MOMENT.fullmatch(str(value)) else str(value)


def _field(key: str, label: str, kind: str, value: Any, source: Source, **more: Any) -> Json:
    gap = (more.get("gap") or "Nothing is recorded.") if value in (None, "", []) else ""
    return {
        "key": key, "label": label, "kind": kind, "value": value, "hand_written": bool(more.get("hand_written")),
        "by": more.get("by"), "changed_at": source.at, "source": {"label": source.label, "href": source.href},
        "gap": gap, "who": more.get("who", "") if gap else "",
    }  # fmt: skip


def _fields(paper: Mapping[str, Any]) -> dict[tuple[str, str], Json]:
    return {
        (part["key"], field["key"]): {**field, "section": part["number"]}
        for part in paper["sections"]
        for field in part["fields"]
    }


def _value(field: Json | None) -> Any:
    return field["value"] if field else None
