"""Metric points: how they are written, and how two histories are compared without keeping either."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mlportal.cli.importing.target import Door
from mlportal.cli.importing.things import Point

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(value: float) -> float | str:
    """Write a double: JSON has no NaN and no infinities."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def read(value: Any) -> float:
    """Read a double as the door writes it."""
    return WORDS[value] if isinstance(value, str) and value in WORDS else float(value)


def wire(point: Point) -> dict[str, Any]:
    """Return a point the way log-batch takes it."""
    key, value, timestamp, step = point
    return {"key": key, "value": number(value), "timestamp": timestamp, "step": step}


class Sums:
    """Number and checksum of points by metric; the order of points does not matter, identical neighbours count once.

    Identical points of one history follow each other, since readers sort each page; the door keeps them once too.
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}
        self._last: dict[str, tuple[int, int, float | str]] = {}

    def add(self, point: Point) -> bool:
        """Count a point; tell whether it is a new one."""
        key, value, timestamp, step = point
        # NaN does not equal itself, so it needs a word of its own.
        exact = (timestamp, step, "NaN" if value != value else value)  # noqa: PLR0124 the quickest test for NaN
        if self._last.get(key) == exact:
            return False
        self._last[key] = exact
        sums = self._sums.setdefault(key, [0, 0])
        sums[0] += 1
        sums[1] = (sums[1] + hash(exact)) & 0xFFFFFFFFFFFFFFFF
        return True

    @property
    def count(self) -> int:
        """How many points there are."""
        return sum(count for count, _sum in self._sums.values())

    def keys(self) -> list[str]:
        """Return the metrics."""
        return list(self._sums)

    def of(self, key: str) -> tuple[int, int]:
        """Return number and checksum of one metric."""
        count, total = self._sums.get(key, (0, 0))
        return count, total

    def differences(self, other: Sums) -> Iterator[str]:
        """Yield what the other side lacks or has differently, for the metrics of this side."""
        for key in self._sums:
            mine, its = self.of(key), other.of(key)
            if mine[0] != its[0]:
                yield f"metric {key}: {mine[0]} points in the source, {its[0]} in the portal"
            elif mine != its:
                yield f"metric {key}: {mine[0]} points on both sides, but not the same ones"


def stored(door: Door, run: str, keys: list[str]) -> Sums:
    """Read a run's points back from the portal."""
    sums = Sums()
    for key in keys:
        for found in door.history(run, key):
            sums.add((key, read(found["value"]), int(found["timestamp"]), int(found.get("step") or 0)))
    return sums
