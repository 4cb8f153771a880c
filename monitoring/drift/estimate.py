"""Learn from labelled reference rows what performance to expect of a window. Needs scikit-learn: workers only."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.drift import performance, shape
from monitoring.drift.measures import ESTIMATED
from monitoring.drift.shape import Grid
from monitoring.drift.values import numbers, text_of, truth_of

LEAST_ROWS = 100
DRAWS = 200
DRAW_ROWS = 500
SEED = 20_260_101
TREES = 50
LEAVES = 15
ENCODED = frozenset({"numeric", "categorical", "boolean"})
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def learn(frame: Any, grids: Mapping[str, Grid], *, regression: bool) -> dict[str, Any] | None:
    """Learn from the reference rows.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of column name to values, shape (n rows)
        With ``__target__``, ``__prediction__`` and ``__score__``.
    grids : mapping of column name to Grid
        Of the same rows.

    Returns
    -------
    dict or None
        Plain JSON for `monitoring.drift.expected`; None with fewer than 100 rows, or other than two classes.
    """
    if len(frame[shape.TARGET]) < LEAST_ROWS or shape.SCORE not in grids:
        return None
    return _numbers(frame, grids) if regression else _classes(frame, grids[shape.SCORE])


# --- two classes -----------------------------------------------------------------------------------


def _classes(frame: Any, grid: Grid) -> dict[str, Any] | None:
    truth, answers = _texts(frame[shape.TARGET]), _texts(frame[shape.PREDICTION])
    names = sorted({*truth, *answers}, key=lambda name: (performance.as_number(name) or 0.0, name))
    scores = numbers(frame[shape.SCORE])
    if len(names) != 2 or np.isnan(scores).any():
        return None
    hits, chosen = np.asarray(truth) == names[1], np.asarray(answers) == names[1]
    bins, order = _bins(grid, scores)
    size = len(grid["counts"])
    rates = isotonic(np.bincount(bins, hits, size)[order], np.bincount(bins, minlength=size)[order])
    selected = isotonic(np.bincount(bins, chosen, size)[order], np.bincount(bins, minlength=size)[order])
    back = np.argsort(order)
    learned: dict[str, Any] = {"kind": "classes", "positive": names[1], "rates": rates[back].tolist(),
                               "selected": selected[back].tolist()}  # fmt: skip
    if grid["kind"] != "numeric":
        learned["order"] = order.tolist()
    return learned | {"band": _band(lambda rows: _class_figures(hits[rows], chosen[rows], scores[rows]), len(hits))}


def isotonic(hits: NDArray[Any], sizes: NDArray[np.int64]) -> Floats:
    """Fit shares that never fall from bin to bin; an empty bin takes the share of its nearest neighbour below.

    Notes
    -----
    Source: pool adjacent violators (Ayer et al., Annals of Mathematical Statistics 26, 1955).
    """
    blocks: list[list[float]] = []
    for hit, size in zip(hits, sizes, strict=True):
        blocks.append([float(hit), float(size), 1.0])
        while len(blocks) > 1 and (blocks[-1][1] == 0 or _share(blocks[-2]) >= _share(blocks[-1])):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    fitted = np.concatenate([np.full(int(block[2]), _share(block)) for block in blocks])
    return np.where(fitted < 0, fitted[fitted >= 0].min(initial=1.0), fitted)


def _share(block: list[float]) -> float:
    return block[0] / block[1] if block[1] else -1.0


def _bins(grid: Grid, scores: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bin of each score, and the bins by rising score."""
    if grid["kind"] == "numeric":
        places = np.searchsorted(np.asarray(grid["edges"]), scores, side="left")
        return places, np.arange(len(grid["counts"]))
    levels = [performance.as_number(level) or 0.0 for level in grid["levels"]]
    known = {performance.canonical(level): place for place, level in enumerate(grid["levels"])}
    places = np.asarray([known.get(performance.canonical(repr(float(score))), len(levels)) for score in scores])
    return places, np.argsort([*levels, np.inf], kind="stable")


def _class_figures(hits: Flags, chosen: Flags, scores: Floats) -> dict[str, float]:
    cells = {(truth, answer): float(np.sum((hits == truth) & (chosen == answer)))
             for truth in (False, True) for answer in (False, True)}  # fmt: skip
    confusion = {str(truth): {str(answer): cells[truth, answer] for answer in (False, True)} for truth in (False, True)}
    found = {"accuracy": float(np.mean(hits == chosen)), **performance.from_confusion(confusion, positive="True")}
    places, inverse = np.unique(scores, return_inverse=True)
    pairs = zip(np.bincount(inverse, ~hits, len(places)), np.bincount(inverse, hits, len(places)), strict=True)
    area = performance.auc((float(a), float(b)) for a, b in pairs)
    return found if area is None else found | {"roc_auc": area}


def _band(figures: Any, rows: int) -> dict[str, list[float]]:
    """Mean of each figure over the reference, and the standard deviation that one row alone would give."""
    chance = np.random.default_rng(SEED)
    size = min(rows, DRAW_ROWS)
    draws = [figures(chance.integers(0, rows, size)) for _ in range(DRAWS)]
    held = {name: [draw[name] for draw in draws if name in draw] for name in ESTIMATED}
    whole = figures(np.arange(rows))
    return {
        name: [whole[name], float(np.std(values)) * size**0.5]
        for name, values in held.items()
        if values and name in whole
    }


# --- numbers ---------------------------------------------------------------------------------------


def _numbers(frame: Any, grids: Mapping[str, Grid]) -> dict[str, Any] | None:
    """Learn how large the error of a row is from its features and its answer."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    truth, answers = numbers(frame[shape.TARGET]), numbers(frame[shape.SCORE])
    usable = ~(np.isnan(truth) | np.isnan(answers))
    if usable.sum() < LEAST_ROWS:
        return None
    errors = np.abs(answers - truth)[usable]
    names = [name for name, grid in grids.items() if grid["role"] == "feature" and grid["kind"] in ENCODED]
    matrix = encode({name: frame[name] for name in names} | {shape.SCORE: answers}, [*names, shape.SCORE], grids)
    model = HistGradientBoostingRegressor(
        max_iter=TREES, max_leaf_nodes=LEAVES, early_stopping=False, random_state=SEED
    ).fit(matrix[usable], errors)
    trees = [_tree(stage[0].nodes) for stage in model._predictors]
    model_of_error = {
        "columns": [*names, shape.SCORE],
        "base": float(model._baseline_prediction.ravel()[0]),
        "trees": trees,
    }
    spread = _band(lambda rows: {"mae": float(errors[rows].mean())}, len(errors))
    return {"kind": "number", "model": model_of_error, "band": spread}


def _tree(nodes: Any) -> dict[str, list[Any]]:
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "feature": np.where(leaf, -1, nodes["feature_idx"]).tolist(),
        "threshold": np.where(
            leaf | ~np.isfinite(nodes["num_threshold"]), shape.LARGEST, nodes["num_threshold"]
        ).tolist(),
        "left": nodes["left"].tolist(),
        "right": nodes["right"].tolist(),
        "empty_left": nodes["missing_go_to_left"].tolist(),
        "value": nodes["value"].tolist(),
    }


def encode(columns: Mapping[str, Any], names: Sequence[str], grids: Mapping[str, Grid]) -> Floats:
    """Columns as one matrix, shape (n rows, columns): numbers as they are, levels by their place in the grid."""
    return np.column_stack([_encoded(columns[name], grids.get(name)) for name in names])


def _encoded(values: Any, grid: Grid | None) -> Floats:
    if grid is None or grid["kind"] == "numeric" or grid["role"] == "prediction":
        return numbers(values)
    places = {level: float(place) for place, level in enumerate(grid["levels"])}
    texts = [text_of(value) for value in _listed(values)]
    if grid["kind"] == "boolean":
        texts = [None if text is None else truth_of(text) for text in texts]
    return np.asarray([np.nan if text is None else places.get(text, -1.0) for text in texts], dtype=np.float64)


def errors(learned: Mapping[str, Any], columns: Mapping[str, Any], grids: Mapping[str, Grid]) -> Floats | None:
    """Return the expected absolute error of each row, shape (n rows); None when a column is missing."""
    model = learned["model"]
    if any(name not in columns for name in model["columns"]):
        return None
    matrix = encode(columns, model["columns"], grids)
    total = np.full(len(matrix), model["base"])
    for tree in model["trees"]:
        total += _follow(tree, matrix)
    return np.maximum(total, 0.0)


def _follow(tree: Mapping[str, Sequence[Any]], matrix: Floats) -> Floats:
    feature, left, right = (np.asarray(tree[name], dtype=np.int64) for name in ("feature", "left", "right"))
    threshold, empty_left = np.asarray(tree["threshold"]), np.asarray(tree["empty_left"], dtype=bool)
    place = np.zeros(len(matrix), dtype=np.int64)
    moving = np.flatnonzero(feature[place] >= 0)
    while len(moving):
        at = place[moving]
        values = matrix[moving, feature[at]]
        goes_left = np.where(np.isnan(values), empty_left[at], values <= threshold[at])
        place[moving] = np.where(goes_left, left[at], right[at])
        moving = moving[feature[place[moving]] >= 0]
    return np.asarray(tree["value"])[place]


def _texts(values: Any) -> list[str]:
    return [performance.canonical(text_of(value) or "") for value in _listed(values)]


def _listed(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)
