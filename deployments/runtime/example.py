"""A record that a model takes, made from its signature; for forms and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def record(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return one plausible input record: the middle of each range, the first known category."""
    return {entry["name"]: _value(entry) for entry in document.get("inputs", ())}


def _value(entry: Mapping[str, Any]) -> Any:
    kind = entry.get("kind")
    if kind in ("numeric", "integer"):
        middle = (entry.get("min", 0) + entry.get("max", 0)) / 2
        return round(middle) if kind == "integer" else round(middle, 3)
    if kind == "boolean":
        return True
    if kind == "datetime":
        return "2026-01-31T12:00:00Z"
    categories = entry.get("categories")
    return categories[0] if categories else "text"
