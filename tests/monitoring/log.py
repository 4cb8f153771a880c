"""Segments as the serving process writes them, without one."""

from pathlib import Path

from monitoring import spool
from projects.models import Project

COLUMNS = ["age", "plan", "on"]
HEADER = {
    "kind": "header", "source": 11, "endpoint": "churn-production", "model": "churn", "version": 1,
    "label": "churn v1", "revision": 4, "backend": "exact", "log_mode": "all", "columns": COLUMNS,
    "kinds": ["numeric", "categorical", "boolean"], "classes": ["no", "yes"],
}  # fmt: skip
NOON_MS = 1_795_176_000_000  # 2026-11-20T12:00:00Z


def header(project: Project, **changes: object) -> dict:
    return {**HEADER, "project": project.pk, **changes}


def id_at(at_ms: int) -> str:
    """Return a new id that was made at a moment, as the serving process makes it with its answer."""
    moment = f"{at_ms:012x}"
    return f"{moment[:8]}-{moment[8:]}-{spool.new_id()[14:]}"


def line(rows: int = 1, *, at_ms: int = NOON_MS, refs: list[str] | None = None, source: int = 11, **changes) -> dict:
    """One answered request."""
    return {
        "kind": "prediction", "source": source, "at": at_ms, "us": 900, "ids": [id_at(at_ms) for _ in range(rows)],
        "x": [[40.0 + row for row in range(rows)], ["a"] * rows, [True] * rows], "y": ["yes"] * rows,
        "s": [0.75] * rows, "p": [[0.25, 0.75]] * rows, "ref": refs, "token": 0,
    } | changes  # fmt: skip


def refusal(*, at_ms: int = NOON_MS, source: int = 11) -> dict:
    return {"kind": "refusal", "source": source, "at": at_ms, "us": 50, "status": 400, "code": "no_rows"}


def write(folder: Path, lines: list[dict], *headers: dict) -> None:
    """One closed segment."""
    by_source = {entry["source"]: entry for entry in headers}
    writer = spool.Writer(folder)
    for entry in lines:
        writer.append(entry, header=by_source[entry["source"]])
    writer.close()
