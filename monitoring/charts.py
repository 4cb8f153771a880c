"""Data of the pictures: distributions beside their reference, and series over time. Plain Python."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitoring.drift.shape import Counts, Grid

BARS = 20
MOST_LEVELS = 12
NO_VALUES = ("other", "empty")
HEAT_STEPS = (0.05, 0.10, 0.15, 0.20, 0.30)
MOST_CELLS = 30


@dataclass(frozen=True)
class Bars:
    """Shares of a column, reference beside current; ``places`` are the middles of bars of numbers."""

    names: list[str]
    reference: list[float]
    current: list[float]
    places: list[float] | None = None

    @property
    def rows(self) -> list[tuple[str, float, float]]:
        """The same as lines of a table."""
        return list(zip(self.names, self.reference, self.current, strict=True))

    def plot(self, title: str) -> dict[str, Any]:
        """Return what the "overlay" chart reads."""
        sets = [{"name": "Reference", "y": self.reference, "k": 1}, {"name": "Window", "y": self.current, "k": 2}]
        category = self.places is None
        where = self.names if self.places is None else self.places
        return {"cat": category, "x": where, "sets": sets, "xt": title, "yt": "Share of requests"}


def bars(grid: "Grid", counts: "Counts", *, called: Callable[[str], str] | None = None) -> Bars | None:
    """Compare a window with its reference; None when one of them is empty or nothing is scored.

    Parameters
    ----------
    called
        Says what a value is called for a reader who may not see it; stretches of numbers are numbered for them.
    """
    same = len(grid["counts"]) == len(counts["counts"])
    if grid["kind"] == "text" or not sum(grid["counts"]) or not sum(counts["counts"]) or not same:
        return None
    made = _number_bars(grid, counts) if grid["kind"] == "numeric" else _level_bars(grid, counts)
    if called is None:
        return made
    names = [f"bar {place}" for place in range(1, len(made.names) + 1)]
    if grid["kind"] != "numeric":
        names = [name if name in NO_VALUES else called(name) for name in made.names]
    return Bars(names, made.reference, made.current)


def _level_bars(grid: "Grid", counts: "Counts") -> Bars:
    names = list(grid["levels"][:MOST_LEVELS])
    reference, current = list(grid["counts"][: len(names)]), list(counts["counts"][: len(names)])
    new = counts.get("others", {})
    for name, count in list(new.items())[:3]:
        names, reference, current = [*names, name], [*reference, 0], [*current, count]
    rest = (sum(grid["counts"]) - sum(reference), sum(counts["counts"]) - sum(current))
    if any(rest):
        names, reference, current = [*names, "other"], [*reference, rest[0]], [*current, rest[1]]
    if grid["nulls"] or counts["nulls"]:
        names, reference = [*names, "empty"], [*reference, grid["nulls"]]
        current = [*current, counts["nulls"]]
    return Bars(names, _shares(reference), _shares(current))


def _number_bars(grid: "Grid", counts: "Counts") -> Bars:
    edges = grid["edges"]
    low, high = edges[0], edges[-1]
    width = (high - low) / BARS or 1.0
    reference, current = ([0.0] * (BARS + 2) for _ in range(2))
    for place in range(len(grid["counts"])):
        for target, held in ((reference, grid["counts"][place]), (current, counts["counts"][place])):
            _spread(target, held, place, edges=edges, width=width)
    names = [f"< {low:.4g}", *(f"{low + (index + 0.5) * width:.4g}" for index in range(BARS)), f"> {high:.4g}"]
    used = [index for index in range(BARS + 2) if 0 < index <= BARS or reference[index] or current[index]]
    known, seen = _shares(reference), _shares(current)
    return Bars(
        [names[index] for index in used],
        [known[index] for index in used],
        [seen[index] for index in used],
        [round(low + (index - 0.5) * width, 6) for index in used],
    )


def _spread(target: list[float], count: int, place: int, *, edges: list[float], width: float) -> None:
    """Lay the count of one narrow bin over the wide bars it touches, evenly."""
    if not count:
        return
    if place == 0 or place == len(edges):
        target[0 if place == 0 else BARS + 1] += count
        return
    start, end = (edges[place - 1] - edges[0]) / width, (edges[place] - edges[0]) / width
    first, last = min(int(start), BARS - 1), min(int(end), BARS - 1)
    if first == last or end <= start:
        target[first + 1] += count
        return
    for index in range(first, last + 1):
        part = (min(end, index + 1) - max(start, index)) / (end - start)
        target[index + 1] += count * part


def _shares(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [round(value / total, 4) for value in values] if total else [0.0] * len(values)


@dataclass(frozen=True)
class Line:
    """One line of a series; ``colour`` is the number of the palette, ``dash`` 0 is solid."""

    name: str
    values: list[float | None]
    colour: int = 1
    dash: int = 0


@dataclass(frozen=True)
class Series:
    """Values over time, with a limit where there is one."""

    times: list[datetime]
    lines: list[Line]
    limit: float | None = None
    limit_text: str = ""
    unit: str = ""
    marks: Sequence[tuple[datetime, str]] = ()
    _rows: int = field(default=24, repr=False)

    @property
    def rows(self) -> list[tuple[datetime, list[float | None]]]:
        """The newest values as lines of a table, newest first."""
        taken = list(zip(self.times, zip(*(line.values for line in self.lines), strict=True), strict=True))
        return [(at, list(values)) for at, values in reversed(taken[-self._rows :])]

    def plot(self, fmt: str = ".2f") -> dict[str, Any]:
        """Return what the "series" chart reads."""
        lines = [{"name": line.name, "y": line.values, "k": line.colour, "dash": line.dash} for line in self.lines]
        drawn: dict[str, Any] = {"x": [at.isoformat() for at in self.times], "lines": lines, "fmt": fmt, "zero": True}
        if self.unit:
            drawn["unit"] = self.unit
        if self.marks:
            drawn["marks"] = [{"x": at.isoformat(), "t": text} for at, text in self.marks]
        if self.limit is not None:
            drawn |= {"limit": self.limit, "limitLeft": 1, "limitText": self.limit_text}
        return drawn


def heat(value: float | None) -> str:
    """Class of a heat cell, ``h0`` to ``h5``; ``na`` without a value."""
    if value is None:
        return "na"
    return f"h{sum(value >= step for step in HEAT_STEPS)}"


def cell_seconds(range_seconds: int, step_seconds: int) -> int:
    """Return how much time one heat cell covers: at most 30 cells, and never less than a step."""
    least = -(-range_seconds // MOST_CELLS)
    return max(step_seconds, -(-least // step_seconds) * step_seconds)


def cell_name(at: datetime, cell: int) -> str:
    """Return the word over a column: a day, or a time within the day; ``at`` is the end of the cell."""
    if cell >= 86_400:
        return f"{at - timedelta(seconds=1):%-d %b}"
    return f"{at:%H:%M}"
