"""``electricity.csv`` replayed as traffic by time: when drift is told, and how often it is told wrongly.

``python -m tests.benchmarks.replay electricity.csv``. Prices and demand of two Australian states, half-hourly. In the
first 17,424 rows three of five columns never change; then the second state's market opens and they begin to move: that
is the drift to find. A window is a week. The default rule "Data drift" fires when two of the last three windows are at
alert level.

A false alarm is one in a window that is distributed as the reference is: such windows are drawn from rows of the first
period that are not in the reference. The same period *in the order of time* is no such thing: prices and demand differ
from week to week and season to season by far more than the limits, and the figure is printed beside it.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from monitoring import drift
from monitoring.drift import score, verdict

WINDOW, DRAWN = 336, 1000
FEATURES = ["nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
NEEDED, OF = 2, 3  # of the default rule


class Watch:
    """A reference and the windows judged on it."""

    def __init__(self, reference: pd.DataFrame) -> None:
        self.grids = drift.reference(reference[FEATURES], dict.fromkeys(FEATURES, "numeric"))

    def scores(self, rows: pd.DataFrame) -> list[score.Score]:
        """Scores of one window."""
        return score.columns(self.grids, {name: drift.fill(grid, rows[name]) for name, grid in self.grids.items()})

    def alarms(self, windows: Iterable[pd.DataFrame]) -> list[bool]:
        """Whether the rule fires after each window."""
        loud = [verdict.judge(self.scores(rows)).state == "alert" for rows in windows]
        return [sum(loud[max(0, place - OF + 1) : place + 1]) >= NEEDED for place in range(len(loud))]


def weeks(stream: pd.DataFrame, start: int, end: int) -> list[pd.DataFrame]:
    """Windows in the order of time."""
    return [stream.iloc[at : at + WINDOW] for at in range(start, end - WINDOW + 1, WINDOW)]


def main(path: Path) -> None:
    """Print each figure beside its bar."""
    stream = pd.read_csv(path)
    moved = int((stream["vicprice"] != stream["vicprice"].iloc[0]).idxmax())
    chance = np.random.default_rng(1)
    order = chance.permutation(moved)
    watch, held = Watch(stream.iloc[order[: moved // 2]]), stream.iloc[order[moved // 2 :]]
    fires = watch.alarms(weeks(stream, moved, moved + 6 * WINDOW))
    still = ["vicprice", "vicdemand", "transfer"]
    moving = [
        next(name for name, rows in enumerate(weeks(stream, moved, moved + 6 * WINDOW), 1)
             if {one.column: one.state for one in watch.scores(rows)}[column] == "alert")
        for column in still
    ]  # fmt: skip
    drawn = [held.iloc[chance.integers(0, len(held), WINDOW)] for _ in range(DRAWN)]
    single = sum(verdict.judge(watch.scores(rows)).state == "alert" for rows in drawn)
    print(f"first alert             window {fires.index(True) + 1} after the change at row {moved:,} (bar 3)")
    print(f"columns that moved      at alert level in window {', '.join(map(str, moving))}")
    print(f"false alarms            {sum(watch.alarms(drawn))} of {DRAWN}, {single} at alert level once (bar 1 in 100)")
    ordered = weeks(stream, 0, moved)
    price = np.median([watch.scores(rows)[0].value for rows in ordered])
    loud = sum(watch.alarms(ordered))
    print(
        f"in the order of time    {loud} of {len(ordered)} quiet weeks fire: the price's PSI to its year is {price:.2f}"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        print("left out: name electricity.csv")
