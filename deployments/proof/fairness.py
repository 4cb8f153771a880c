"""How a classifier treats groups of people: rates per group with intervals, and the four-fifths rule."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.proof.bootstrap import bounds
from deployments.proof.groups import SMALL, Grouping
from deployments.proof.scorers import Answers, Floats

FOUR_FIFTHS = 0.8
Z = 1.959963984540054
Json = dict[str, Any]
RATES = ("selection_rate", "tpr", "fpr", "accuracy")


def wilson(hits: float, of: float) -> Json:
    """Return a share with its 95 % interval, all None when it is a share of nothing.

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if of <= 0:
        return {"value": None, "low": None, "high": None}
    share = hits / of
    middle = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of)) / (1 + Z * Z / of)
    return {"value": share, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def rates(cells: NDArray[np.int64]) -> Json:
    """Return the rates of one group from true and false negatives and positives, in the order of `_cells`."""
    tn, fp, fn, tp = (int(cell) for cell in cells)
    return {
        "selection_rate": wilson(fp + tp, tn + fp + fn + tp), "tpr": wilson(tp, tp + fn), "fpr": wilson(fp, fp + tn),
        "accuracy": wilson(tn + tp, tn + fp + fn + tp),
    }  # fmt: skip


def by_group(
    grouping: Grouping,
    truth: NDArray[np.generic],
    candidate: Answers,
    production: Answers | None,
    *,
    rounds: int,
    seed: int,
) -> tuple[Json | None, list[Json]]:
    """Compare the groups of one column; the class selected for is the last one.

    Parameters
    ----------
    grouping
        Rows by group, shape ``(n,)``.
    truth
        True class index, 0 or 1, shape ``(n,)``.
    candidate, production
        Their answers on the same rows.
    rounds, seed
        Of the bootstrap of each group's difference, as for the differences over all rows.

    Returns
    -------
    dict or None
        ``column``, ``groups`` with rates of both and their ``difference``, ``selection_ratio`` (smallest rate to
        largest), ``four_fifths`` (True when the ratio of the candidate is at least 0.8) and ``small``, the groups that
        are not shown. None with fewer than two groups.
    list of dict
        What is missing and why.
    """
    ours = _cells(grouping, truth, candidate)
    theirs = _cells(grouping, truth, production) if production else None
    sizes = ours.sum(axis=1)
    shown = [place for place in range(len(sizes)) if sizes[place] >= SMALL]
    small = [{"value": grouping.labels[at], "rows": int(sizes[at])} for at in range(len(sizes)) if at not in shown]
    missing = [_why_small(grouping.column, small)] if small else []
    if len(shown) < 2:
        why = f"fewer than two groups of {grouping.column} have {SMALL} rows"
        return None, [{"part": f"fairness: {grouping.column}", "why": why}]
    changes = differences(grouping, truth, candidate, production, rounds=rounds, seed=seed) if production else {}
    groups = [
        {
            "value": grouping.labels[at], "rows": int(sizes[at]), "candidate": rates(ours[at]),
            "baseline": None if theirs is None else rates(theirs[at]), "difference": changes.get(at),
        }
        for at in shown
    ]  # fmt: skip
    ratio = {"candidate": _ratio(groups, "candidate"), "baseline": _ratio(groups, "baseline") if production else None}
    passes = ratio["candidate"] is not None and ratio["candidate"] >= FOUR_FIFTHS
    column = {
        "column": grouping.column,
        "groups": groups,
        "selection_ratio": ratio,
        "four_fifths": passes,
        "small": small,
    }
    if ratio["candidate"] is None:
        missing.append({"part": f"fairness: {grouping.column}", "why": "no group is selected at all, so no ratio"})
        column["four_fifths"] = True
    return column, missing


def differences(
    grouping: Grouping,
    truth: NDArray[np.generic],
    candidate: Answers,
    production: Answers,
    *,
    rounds: int,
    seed: int,
) -> dict[int, Json]:
    """Bound candidate minus production of each rate within each group by a paired percentile bootstrap over all rows.

    Rates read nothing but the cells (group, truth, both answers), so drawing rows is one multinomial draw of their
    counts: the cost depends on groups and rounds, not on rows.

    Returns
    -------
    dict
        By the place of the group: each of :data:`RATES` with ``value``, ``low``, ``high``, None without a denominator.
    """
    cell = 4 * (truth == 1) + 2 * (candidate.values == 1) + (production.values == 1)
    counts = np.bincount(grouping.codes * 8 + cell, minlength=8 * len(grouping.labels)).astype(np.int64)
    total = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, size=rounds)
    values, draws = _changes(counts[None, :]), _changes(drawn)
    return {
        at: {rate: _bounded(values[rate][0, at], draws[rate][:, at]) for rate in RATES}
        for at in range(len(grouping.labels))
    }


def _changes(counts: NDArray[np.int64]) -> dict[str, Floats]:
    """Subtract production's rates from the candidate's, shape ``(draws, groups)``; nan for a share of nothing."""
    cells = counts.reshape(len(counts), -1, 2, 2, 2).astype(np.float64)  # draw, group, truth, candidate, production
    gained = cells[..., 1, 0] - cells[..., 0, 1]  # said positive by the candidate alone, less by production alone
    negatives, positives = cells.sum(axis=(3, 4))[..., 0], cells.sum(axis=(3, 4))[..., 1]
    rows = negatives + positives
    with np.errstate(invalid="ignore"):
        return {
            "selection_rate": gained.sum(axis=2) / rows, "tpr": gained[..., 1] / positives,
            "fpr": gained[..., 0] / negatives, "accuracy": (gained[..., 1] - gained[..., 0]) / rows,
        }  # fmt: skip


def _bounded(value: float, draws: Floats) -> Json:
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    low, high = bounds(draws[np.isfinite(draws)], float(value))
    return {"value": float(value), "low": low, "high": high}


def _cells(grouping: Grouping, truth: NDArray[np.generic], answers: Answers) -> NDArray[np.int64]:
    """Count confusion cells per group in one pass, shape ``(groups, 4)``."""
    cell = 2 * (truth == 1) + (answers.values == 1)
    counts = np.bincount(grouping.codes * 4 + cell, minlength=4 * len(grouping.labels))
    return counts.reshape(-1, 4).astype(np.int64)


def _ratio(groups: list[Json], side: str) -> float | None:
    found = [group[side]["selection_rate"]["value"] for group in groups]
    return min(found) / max(found) if max(found) > 0 else None


def _why_small(column: str, small: list[Json]) -> Json:
    names = ", ".join(f"{group['value']} ({group['rows']})" for group in small[:5])
    return {"part": f"fairness: {column}", "why": f"groups with fewer than {SMALL} rows are not shown: {names}"}
