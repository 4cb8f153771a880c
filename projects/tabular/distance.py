"""How far the values of one column lie apart in two versions, from their stored profiles alone.

A profile keeps exact points of the distribution: how many values lie below each edge of the histogram, and
the quantiles. Between two points the values are taken as evenly spread. That is what PSI and Jensen-Shannon
are computed from, so no row is read again; identical profiles give exactly 0.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import log, log2, sqrt
from typing import Any

Facts = dict[str, Any]
NUMBERS, LEVELS = ("numeric", "integer", "datetime"), ("categorical", "boolean", "text")
FLOOR = 1e-4
LEAST_SHARE = 0.05
OTHER = "other values"


@dataclass(frozen=True)
class Distance:
    """Shares of the same bins in both versions, and how far they lie apart.

    Parameters
    ----------
    labels : tuple of str
        What each bin holds.
    before, after : tuple of float
        Share of the present values in each bin, 0 to 1.
    psi : float
        Population stability index, 0 and up.
    js : float
        Jensen-Shannon distance to base 2, 0 to 1.
    """

    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    psi: float
    js: float


def psi(before: Sequence[float], after: Sequence[float]) -> float:
    """Population stability index of shares of the same bins.

    Source: Yurdakul and Naranjo, Journal of Risk Model Validation 14 (2020), equation 1; shares under 1e-4 are
    raised to 1e-4, as monitoring does.
    """
    pairs = [(max(p, FLOOR), max(q, FLOOR)) for p, q in zip(before, after, strict=True)]
    return sum((q - p) * log(q / p) for p, q in pairs)


def js(before: Sequence[float], after: Sequence[float]) -> float:
    """Jensen-Shannon distance to base 2 (0 same, 1 nothing in common): ``scipy.spatial.distance.jensenshannon``."""
    total = 0.0
    for p, q in zip(before, after, strict=True):
        middle = (p + q) / 2
        total += sum(share * log2(share / middle) for share in (p, q) if share > 0)
    return sqrt(max(0.0, total / 2))


def between(kind: str, before: Facts, after: Facts, rows: tuple[int, int]) -> Distance | None:
    """Distance of one column of the same kind; ``None`` where the profiles cannot tell.

    Parameters
    ----------
    kind : str
        Kind of the column in both versions.
    before, after : dict
        Its profile in each version.
    rows : tuple of int
        Rows of each version.
    """
    if kind in NUMBERS:
        found = _of_numbers(before, after)
    elif kind in LEVELS:
        found = _of_levels(before, after, rows)
    else:
        found = None
    if found is None:
        return None
    labels, old, new = found
    return Distance(tuple(labels), tuple(old), tuple(new), psi(old, new), js(old, new))


Bins = tuple[list[str], list[float], list[float]]


def _of_numbers(before: Facts, after: Facts) -> Bins | None:
    old, new = _curve(before), _curve(after)
    if old is None or new is None:
        return None
    cuts = _cuts(old)
    labels = [_between(low, high) for low, high in pairwise([None, *cuts, None])]
    return labels, _shares(old, cuts), _shares(new, cuts)


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return "all" if high is None else f"up to {high:.6g}"
    return f"over {low:.6g}" if high is None else f"{low:.6g} to {high:.6g}"


@dataclass(frozen=True)
class _Curve:
    """Share of the values up to each of some points, both rising."""

    points: list[float]
    shares: list[float]

    def at(self, value: float) -> float:
        """Share of the values that are at most ``value``."""
        place = bisect_right(self.points, value)
        if place == 0:
            return 0.0
        if place == len(self.points):
            return 1.0
        low, high = self.points[place - 1], self.points[place]
        part = (value - low) / (high - low)
        return self.shares[place - 1] + part * (self.shares[place] - self.shares[place - 1])


def number(value: Any) -> float:
    """A stored number, or a stored time as seconds since 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    return float(value)


def _curve(facts: Facts) -> _Curve | None:
    """Points that the profile knows exactly. Where several shares meet at one value, it is a lump: the last counts."""
    histogram, known = facts.get("histogram"), {}
    if not histogram or not sum(histogram["counts"]):
        return None
    total, below = sum(histogram["counts"]), 0
    edges = [number(edge) for edge in histogram["edges"]]
    known[edges[0]] = 0.0
    for edge, count in zip(edges[1:], histogram["counts"], strict=True):
        below += count
        known[edge] = below / total
    if not _one_bin_a_value(edges):
        for share, value in (facts.get("quantiles") or {}).items():
            at = number(value)
            known[at] = max(known.get(at, 0.0), float(share))
    points = sorted(known)
    shares: list[float] = []
    for point in points:  # estimated quantiles may contradict the histogram a little
        shares.append(min(1.0, max(known[point], shares[-1] if shares else 0.0)))
    return _Curve(points, shares)


def _one_bin_a_value(edges: list[float]) -> bool:
    """Whether whole numbers have a bin each (see ``moments.bin_edges``): then the histogram is all there is."""
    return all(high - low == 1 and low % 1 == 0.5 for low, high in pairwise(edges))


def _cuts(curve: _Curve) -> list[float]:
    """Points of the earlier version between which at least a twentieth of its values lies."""
    cuts: list[float] = []
    last = 0.0
    for point, share in zip(curve.points, curve.shares, strict=True):
        if share - last >= LEAST_SHARE and 1 - share >= LEAST_SHARE:
            cuts.append(point)
            last = share
    return cuts or curve.points[-1:]


def _shares(curve: _Curve, cuts: list[float]) -> list[float]:
    below = [0.0, *(curve.at(cut) for cut in cuts), 1.0]
    return [high - low for low, high in pairwise(below)]


def _of_levels(before: Facts, after: Facts, rows: tuple[int, int]) -> Bins | None:
    """Values whose count both profiles know; the rest is one bin. A profile that lists all knows also the zeros."""
    sides = [_levels(facts, count) for facts, count in zip((before, after), rows, strict=True)]
    if not all(present for _, _, present in sides):
        return None
    (old, old_all, old_total), (new, new_all, new_total) = sides
    known = [name for name in {**old, **new} if (name in old or old_all) and (name in new or new_all)]
    shares = [
        [counted.get(name, 0) / total for name in known] for counted, total in ((old, old_total), (new, new_total))
    ]
    rest = [max(0.0, 1 - sum(side)) for side in shares]
    if max(rest) < 1e-9:
        return known, shares[0], shares[1]
    if not known:
        return None
    return [*known, OTHER], [*shares[0], rest[0]], [*shares[1], rest[1]]


def _levels(facts: Facts, rows: int) -> tuple[dict[str, int], bool, int]:
    """Counts by value, whether these are all values, and how many values are present."""
    counted = {str(entry["value"]): int(entry["count"]) for entry in facts["top"]}
    present = rows - facts["nulls"]
    return counted, sum(counted.values()) >= present, present
