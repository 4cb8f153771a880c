"""Score one column of one window against its reference. Plain Python."""

from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import Any

from monitoring.drift import distance, shape
from monitoring.drift.levels import ALERT, SHARE_ALERT, SHARE_WARN, WARN
from monitoring.drift.shape import Counts, Grid

MIN_SAMPLES = 200
Q_VALUE = 0.05
LEAST_REFERENCE = 20
FEW_FOR_CHI2 = 1000
OUTSIDE_SHARE = 0.01
NULL_MARGIN = 0.05


@dataclass(frozen=True)
class Score:
    """How one column of one window compares with its reference.

    ``state`` is ok, warn, alert, too_few, cannot_compute or unscored; ``reason`` says why in the last three.
    ``measure`` is psi, or share for booleans; ``value`` is that measure and ``floor`` what chance alone explains.
    """

    column: str
    kind: str
    role: str
    weight: float
    state: str
    reason: str = ""
    measure: str = "psi"
    samples: int = 0
    value: float | None = None
    floor: float = 0.0
    psi: float | None = None
    ks: float | None = None
    wasserstein: float | None = None
    js: float | None = None
    chi2_p: float | None = None
    share: float | None = None
    mean: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    null_share: float = 0.0
    null_excess: float = 0.0
    unseen_share: float = 0.0
    outside_share: float = 0.0

    @property
    def distances(self) -> tuple[float | None, ...]:
        """PSI, KS, Wasserstein and Jensen-Shannon, None where one is not measured."""
        return self.psi, self.ks, self.wasserstein, self.js

    @property
    def significant(self) -> bool:
        """Whether chance does not explain it: above the small-sample floor, and q at most 0.05 over all features."""
        return self.value is not None and self.value > self.floor and (self.q_value or 0.0) <= Q_VALUE


def columns(grids: dict[str, Grid], counts: dict[str, Counts], *, min_samples: int = MIN_SAMPLES) -> list[Score]:
    """Score every column of a window.

    Parameters
    ----------
    grids : dict of column name to Grid
        The reference.
    counts : dict of column name to Counts
        The window; a column of the reference that is missing here cannot be computed.
    min_samples : int
        Under this many values that are not empty the state is ``too_few``.

    Returns
    -------
    list of Score
        In the order of the grids, with q-values over the features of this window.
    """
    raw = [column(name, grid, counts.get(name), min_samples=min_samples) for name, grid in grids.items()]
    tested = [score for score in raw if score.role == "feature" and score.p_value is not None]
    adjusted = distance.benjamini_hochberg([score.p_value or 0.0 for score in tested])
    q_values = {score.column: value for score, value in zip(tested, adjusted, strict=True)}
    return [_judged(replace(score, q_value=q_values.get(score.column, score.p_value))) for score in raw]


def column(name: str, grid: Grid, counts: Counts | None, *, min_samples: int = MIN_SAMPLES) -> Score:
    """Measure one column; the state is final only after `columns` has adjusted for the other features."""
    blank = Score(name, grid["kind"], grid["role"], grid.get("weight", 0.0), "ok")
    trouble = _trouble(grid, counts)
    if trouble or counts is None:
        return replace(blank, state="cannot_compute", reason=trouble)
    samples = _scored_size(grid, counts)
    blank = replace(blank, samples=samples, **_quality(grid, counts))
    if grid["kind"] == "text":
        return replace(blank, state="unscored", reason="Free text, identifiers and times are only checked for gaps.")
    if not shape.filled(counts):
        return replace(blank, state="cannot_compute", reason="Every value in this window is empty.")
    if samples < min_samples:
        return replace(blank, state="too_few", reason=f"{samples} values, at least {min_samples} are needed.")
    return _measured(blank, grid, counts)


def _trouble(grid: Grid, counts: Counts | None) -> str:
    if not shape.filled(grid):
        return "The reference holds no values for this column."
    if shape.size(grid) < LEAST_REFERENCE:
        return f"The reference has {shape.size(grid)} rows, at least {LEAST_REFERENCE} are needed."
    if counts is None or not shape.size(counts):
        return "The column is missing from the requests."
    if not shape.fits(grid, counts):
        return "The window was counted on another reference."
    return ""


def _scored_size(grid: Grid, counts: Counts) -> int:
    return shape.size(counts) if grid["kind"] in ("categorical", "boolean") else shape.filled(counts)


def _pair(grid: Grid, counts: Counts) -> tuple[list[int], list[int]]:
    """Coarse bins of both sides without those that are empty on both; empty values are a level of their own."""
    reference, current = shape.coarse(grid, grid), shape.coarse(grid, counts)
    if grid["kind"] != "numeric":
        reference, current = [*reference, grid["nulls"]], [*current, counts["nulls"]]
    pairs = [pair for pair in zip(reference, current, strict=True) if any(pair)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _measured(blank: Score, grid: Grid, counts: Counts) -> Score:
    reference, current = _pair(grid, counts)
    n, m = sum(reference), sum(current)
    bins = max(len(reference), 2)
    psi = distance.psi(reference, current)
    common: dict[str, Any] = {"psi": psi, "js": distance.js(reference, current)}
    if grid["kind"] == "boolean":
        return replace(blank, **common, **_share_measures(grid, counts))
    tested: dict[str, Any] = {
        "value": psi,
        "floor": distance.psi_limit(bins, n, m),
        "p_value": distance.psi_p(psi, bins, n, m),
    }
    if grid["kind"] == "numeric":
        return replace(blank, **common, **tested, **_number_measures(grid, counts))
    chi2 = distance.chi2_p(reference, current) if m <= FEW_FOR_CHI2 else None
    return replace(blank, **common, **tested, chi2_p=chi2)


def _share_measures(grid: Grid, counts: Counts) -> dict[str, Any]:
    n, m = shape.filled(grid), shape.filled(counts)
    share = distance.share_difference(grid["counts"], counts["counts"])
    p_value = min(
        distance.share_p(hits, n, others, m) for hits, others in zip(grid["counts"], counts["counts"], strict=True)
    )
    return {"measure": "share", "value": share, "share": share, "p_value": p_value}


def _number_measures(grid: Grid, counts: Counts) -> dict[str, Any]:
    far = distance.wasserstein(grid["counts"], counts["counts"], grid["sums"], counts["sums"], scale=grid["sd"])
    mean = sum(counts["sums"]) / shape.filled(counts)
    ks = distance.ks(grid["counts"], counts["counts"])
    finite = {"wasserstein": far, "mean": mean, "ks": ks}
    return {name: value for name, value in finite.items() if isfinite(value)}


def _quality(grid: Grid, counts: Counts) -> dict[str, Any]:
    rows, known = shape.size(counts), max(shape.filled(counts), 1)
    usual, seen = grid["nulls"] / shape.size(grid), counts["nulls"] / rows
    noise = 3 * sqrt(max(usual * (1 - usual), 1 / shape.size(grid)) / rows)
    excess = seen - usual if seen > usual + max(NULL_MARGIN, noise) else 0.0
    found = {"null_share": seen, "null_excess": excess}
    if grid["kind"] == "numeric":
        found["outside_share"] = (counts["counts"][0] + counts["counts"][-1]) / known
    elif "levels" in grid:
        rare = grid["counts"][-1] / max(shape.filled(grid), 1)
        found["unseen_share"] = max(counts["counts"][-1] / known - rare, 0.0)
    return found


def _judged(score: Score) -> Score:
    if score.state != "ok":
        return score
    return replace(score, state=level(score, warn=WARN, alert=ALERT))


def level(score: Score, *, warn: float, alert: float) -> str:
    """Return ok, warn or alert for a measured column; a boolean's limits scale with those of PSI."""
    if score.value is None or not score.significant:
        return "ok"
    share = score.measure == "share"
    if score.value >= alert * (SHARE_ALERT / ALERT if share else 1.0):
        return "alert"
    return "warn" if score.value >= warn * (SHARE_WARN / WARN if share else 1.0) else "ok"
