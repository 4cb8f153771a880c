"""Small graphics of the projects app, as numbers that a template draws."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 112, 26


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram in the coordinates of the drawing."""

    x: float
    y: float
    width: float
    height: float


def bars(counts: list[int]) -> list[Bar]:
    """Bars of equal width whose heights share one scale; a count above zero is never invisible."""
    most = max(counts, default=0)
    if not most:
        return []
    step = WIDTH / len(counts)
    gap = 1.0 if step > 3 else 0.2
    heights = [max(0.8, (HEIGHT - 1) * count / most) if count else 0.0 for count in counts]
    return [
        Bar(round(at * step + gap / 2, 1), round(HEIGHT - height, 1), round(step - gap, 1), round(height, 1))
        for at, height in enumerate(heights)
    ]


def column_bars(profile: dict[str, Any]) -> list[Bar]:
    """Bars of one column's profile: its histogram, else its most frequent values."""
    if profile["histogram"]:
        return bars(profile["histogram"]["counts"])
    return bars([entry["count"] for entry in profile["top"]])


def outline(profile: dict[str, Any], earlier: dict[str, Any]) -> str:
    """Path of the earlier version's distribution over this one's bars; empty when they cannot be compared.

    Shares are compared, not counts, so that more rows do not look like a change.
    """
    here, there = _aligned(profile, earlier)
    if not sum(here) or not sum(there):
        return ""
    tallest = max(here) / sum(here)
    step = WIDTH / len(there)
    tops = [max(1.0, HEIGHT - (HEIGHT - 1) * (count / sum(there)) / tallest) for count in there]
    parts = [f"V{top:.1f}H{(at + 1) * step:.1f}" for at, top in enumerate(tops)]
    return "M0 " + parts[0].removeprefix("V") + "".join(parts[1:])


def _aligned(profile: dict[str, Any], earlier: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Counts of both versions over the same bins; the earlier one spread over these edges in proportion."""
    now, then = profile["histogram"], earlier["histogram"]
    if now and then:
        if isinstance(now["edges"][0], str) or isinstance(then["edges"][0], str):
            same = now["edges"] == then["edges"]
            return now["counts"], then["counts"] if same else []
        return now["counts"], _rebinned(then["edges"], then["counts"], now["edges"])
    if profile["top"] and earlier["top"]:
        known = {entry["value"]: entry["count"] for entry in earlier["top"]}
        return [entry["count"] for entry in profile["top"]], [known.get(entry["value"], 0) for entry in profile["top"]]
    return [], []


def _rebinned(edges: list[float], counts: list[int], wanted: list[float]) -> list[float]:
    found = [0.0] * (len(wanted) - 1)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        for at, (start, end) in enumerate(pairwise(wanted)):
            shared = min(high, end) - max(low, start)
            if shared > 0:
                found[at] += count * shared / (high - low)
    return found
