"""What commands print: aligned columns for people, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Any


def show(given: Any, value: Any, text: str) -> None:
    """Print the portal's own answer with ``--json``, else a sentence or table."""
    if given.json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print(text)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return columns under a head; numbers to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *cells]) for i in range(len(head))]
    right = [bool(rows) and all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(head))]

    def line(values: Sequence[str]) -> str:
        parts = [v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)]
        return "  ".join(parts).rstrip()

    return "\n".join(line(values) for values in [list(head), *cells])


def cell(value: Any) -> str:
    """Return one value as text; a missing one is a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
