"""What the segments of a column are called, from its reference alone. Plain Python."""

from itertools import pairwise

from monitoring.drift.shape import Grid

MOST = 20
OTHER, EMPTY = "(other)", "(empty)"
BANDS = (1, 4, 7)  # the second, fifth and eighth decile


def edges(grid: Grid) -> list[float]:
    """Return where the bands of a number end; a value at an edge belongs to the band below."""
    cuts = grid["cuts"]
    return sorted({grid["edges"][cuts[place]] for place in BANDS if place < len(cuts)})


def bands(grid: Grid) -> list[str]:
    """Return the names of the bands of a number, lowest first."""
    shown = [f"{edge:.4g}" for edge in edges(grid)]
    if not shown:
        return [OTHER]
    between = [f"over {low} to {high}" for low, high in pairwise(shown)]
    return [f"up to {shown[0]}", *between, f"over {shown[-1]}"]


def names(grid: Grid) -> list[str]:
    """Return every segment that a row can fall into, ``(empty)`` last."""
    if grid["kind"] == "numeric":
        return [*bands(grid), EMPTY]
    return [*grid.get("levels", [])[:MOST], OTHER, EMPTY]
