"""Which parameters matter for a metric: permutation importance of a random forest over runs.

Run as ``python -m experiments.training.param_importance`` in a process of its own: it reads the question as JSON
from its standard input and writes one JSON line a step of progress, the last with the result.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

TREES = 200
REPEATS = 20
SEED = 17
FEWEST_RUNS = 20
MOST_PARAMS = 50
Json = dict[str, Any]


def study(
    rows: Sequence[Mapping[str, str]], target: Sequence[float], *, told: Callable[[float], None] = lambda _: None
) -> Json:
    """Fit a forest on parameters and permute one at a time.

    Parameters
    ----------
    rows : sequence of mapping
        Parameters of each run as texts; a missing one is a value of its own.
    target : sequence of float
        The metric of each run, finite.
    told : callable
        Gets the share done, 0 to 1.

    Returns
    -------
    dict
        ``params``: name, mean and std of the loss of R2 over 20 permutations, Spearman's rank correlation with the
        metric for numeric parameters (None for words), number of values; most important first. ``oob``: R2 on the rows
        each tree has not seen, below 0 when the forest predicts worse than the mean. ``runs``.

    Notes
    -----
    Source: Breiman, L. (2001), Random Forests, Machine Learning 45, section 10: permute one input and see by how
    much the prediction gets worse. Computed on the rows of the fit, as scikit-learn's `permutation_importance`.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    names = varying(rows)
    table = np.column_stack([encoded([row.get(name) for row in rows]) for name in names])
    goal = np.asarray(target, float)
    told(0.1)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=SEED, min_samples_leaf=2, n_jobs=1)
    forest.fit(table, goal)
    told(0.5)
    found = permutation_importance(forest, table, goal, n_repeats=REPEATS, random_state=SEED, scoring="r2", n_jobs=1)
    told(0.95)
    params: list[Json] = [
        {
            "name": name, "mean": float(found.importances_mean[at]), "std": float(found.importances_std[at]),
            "correlation": _correlation([row.get(name) for row in rows], goal),
            "values": len({row.get(name) for row in rows}),
        }
        for at, name in enumerate(names)
    ]  # fmt: skip
    params.sort(key=lambda p: (-p["mean"], p["name"]))
    return {"params": params, "oob": float(forest.oob_score_), "runs": len(rows)}


def varying(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of parameters with more than one value, at most 50: those that most runs have."""
    names = {name for row in rows for name in row}
    varied = [n for n in names if len({row.get(n) for row in rows}) > 1]
    return sorted(varied, key=lambda n: (-sum(n in row for row in rows), n))[:MOST_PARAMS]


def encoded(values: Sequence[str | None]) -> np.ndarray:
    """A column of numbers: numbers as they are, missing ones below all others; words by their place in order."""
    numbers = [_number(v) for v in values]
    if all(n is not None for n, v in zip(numbers, values, strict=True) if v is not None):
        known = [n for n in numbers if n is not None]
        low = min(known) - 1.0 if known else 0.0
        return np.array([low if n is None else n for n in numbers])
    order = {word: float(at) for at, word in enumerate(sorted({v for v in values if v is not None}))}
    return np.array([-1.0 if v is None else order[v] for v in values])


def _correlation(values: Sequence[str | None], goal: np.ndarray) -> float | None:
    """Spearman's rank correlation; None for words, or where nothing varies."""
    from scipy.stats import spearmanr

    numbers = [_number(v) for v in values]
    pairs = [(n, g) for n, g in zip(numbers, goal.tolist(), strict=True) if n is not None]
    if any(n is None and v is not None for n, v in zip(numbers, values, strict=True)) or len(pairs) < 3:
        return None
    left, right = zip(*pairs, strict=True)
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return float(spearmanr(left, right).statistic)


def _number(value: str | None) -> float | None:
    try:
        found = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def main() -> None:
    """Answer the question of the standard input."""

    def told(share: float) -> None:
        sys.stdout.write(json.dumps({"progress": share}) + "\n")
        sys.stdout.flush()

    asked = json.load(sys.stdin)
    result = study(asked["rows"], asked["target"], told=told)
    sys.stdout.write(json.dumps({"result": result}) + "\n")


if __name__ == "__main__":
    main()
