"""What an import says at its end: both sides side by side, what differs, what is left to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mlportal.cli.importing.context import Tally
from mlportal.cli.importing.marks import Counts
from mlportal.cli.importing.progress import duration
from mlportal.cli.output import table

COLUMNS = ("runs", "params", "tags", "points", "files", "models")
MAX_SHOWN = 50


def as_json(tally: Tally, notes: list[str], facts: dict[str, Any]) -> str:
    """Return everything for programs."""
    rows = [
        {"name": name, "source": asdict(source), "target": asdict(tally.target[name])}
        for name, source in tally.source.items()
    ]
    registry = {side: {"models": counts[0], "versions": counts[1]} for side, counts in tally.versions.items()}
    value = facts | {"experiments": rows, "registry": registry, "differences": tally.differences, "notes": notes}
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_text(tally: Tally, notes: list[str], facts: dict[str, Any]) -> str:
    """Return a table and sentences for people; where both sides agree a number stands once."""
    dry = facts["dry_run"]
    rows = [[name, *_cells(source, tally.target[name], dry=dry)] for name, source in tally.source.items()]
    whole = sum(tally.source.values(), Counts()), sum(tally.target.values(), Counts())
    rows.append(["together", *_cells(*whole, dry=dry)])
    lines = [table(("experiment", *COLUMNS), rows)]
    source, target = tally.versions["source"], tally.versions["target"]
    if any(source):
        words = [_cell(source[i], target[i], dry=dry) for i in (0, 1)]
        lines.append(f"registry: {words[0]} models, {words[1]} versions")
    lines += [f"note: {note}" for note in notes]
    lines += [f"differs: {what}" for what in tally.differences[:MAX_SHOWN]]
    if len(tally.differences) > MAX_SHOWN:
        lines.append(f"… and {len(tally.differences) - MAX_SHOWN} more (--json lists all)")
    lines.append(_verdict(tally, facts))
    return "\n".join(lines)


def _verdict(tally: Tally, facts: dict[str, Any]) -> str:
    if facts["dry_run"]:
        return "Nothing was written (--dry-run)."
    took = duration(facts["seconds"])
    if tally.differences:
        return f"{len(tally.differences)} differences after {took}. Complete runs stay; run it again to try the others."
    return f"Source and portal agree, after {took}."


def _cells(source: Counts, target: Counts, *, dry: bool) -> list[str]:
    return [_cell(getattr(source, name), getattr(target, name), dry=dry) for name in COLUMNS]


def _cell(source: int, target: int, *, dry: bool) -> str:
    return str(source) if dry or source == target else f"{source} → {target}"
