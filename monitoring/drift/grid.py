"""Fixed reference grids and how values fall into them. Needs numpy: workers only."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from monitoring.drift import estimate, lookup, shape
from monitoring.drift.shape import Counts, Grid
from monitoring.drift.values import numbers, text_of, truth_of

BINS = 128
TAILS = (1e-4, 1e-3, 5e-3)
FEW_DISTINCT = 20
LONGEST_LEVEL = 200
LENGTH_EDGES = [0.0, *(float(2**power) for power in range(13))]
NUMBERS = frozenset({"numeric", "integer"})
UNSCORED = frozenset({"id", "text", "datetime"})


def reference(frame: Any, kinds: Mapping[str, str], importance: Mapping[str, float] | None = None) -> dict[str, Grid]:
    """Describe each column of the reference sample by a grid.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of column name to values, shape (n rows)
        The reference sample with the raw feature columns, and ``__prediction__`` and ``__score__`` when the model
        was run on it. ``__target__`` is left out.
    kinds : mapping of column name to kind
        numeric, integer, boolean, categorical, text, datetime or id; a column that is named here and missing from
        the frame gets no grid, one without a kind is judged by its values.
    importance : mapping of column name to weight, optional
        Weight 0 or more; stored with each grid as ``weight`` (a share of the sum, 0 to 1).

    Returns
    -------
    dict of str to Grid
        Plain JSON values. Empty for an empty frame. With ``__target__`` in the frame the grid of the score also holds
        what performance can be estimated from.

    Notes
    -----
    Numbers with more than 20 distinct values: 128 reference quantiles, the tails 1e-4, 1e-3 and 5e-3 on both sides,
    the deciles, and the range. Source: serving-monitoring.md 5.2 and 5.3.
    """
    names = [str(name) for name in frame if str(name) != shape.TARGET]
    grids = {name: _grid(name, frame[name], kinds.get(name, "")) for name in names if len(frame[name])}
    weights = _weights(grids, importance or {})
    for name, weight in weights.items():
        grids[name]["weight"] = weight
    if grids and all(name in frame for name in (shape.TARGET, shape.PREDICTION, shape.SCORE)):
        _learn(frame, grids, regression=kinds.get(shape.PREDICTION) in NUMBERS)
    return grids


def _learn(frame: Any, grids: dict[str, Grid], *, regression: bool) -> None:
    learned = estimate.learn(frame, grids, regression=regression)
    if learned:
        grids[shape.SCORE]["estimate"] = learned


def fill(grid: Grid, values: Iterable[Any]) -> Counts:
    """Count values into the bins of a grid.

    Parameters
    ----------
    grid : Grid
        As made by `reference`.
    values : iterable, shape (n)
        Raw values as they came: numbers, text, booleans, None; a list, an array, or a column of Arrow, which is
        fastest. Anything that is not a finite number counts as empty in a numeric grid.

    Returns
    -------
    Counts
        ``counts`` adds up to the values that were not empty; see `shape.merge` for adding results.
    """
    if grid["kind"] == "numeric":
        return _fill_numbers(grid["edges"], numbers(values))
    if grid["kind"] == "text":
        return _fill_lengths(grid["edges"], values)
    return _fill_levels(grid["levels"], *_text_counts(values, boolean=grid["kind"] == "boolean"))


def _grid(name: str, values: Any, declared: str) -> Grid:
    role = "prediction" if name in shape.OUTPUTS else "feature"
    kind = declared or _guess(values)
    if kind == "boolean":
        return _level_grid(["false", "true"], values, kind="boolean", role=role)
    if kind in UNSCORED:
        return _length_grid(values, role)
    if kind in NUMBERS:
        return _number_grid(values, role)
    return _category_grid(values, role)


def _guess(values: Any) -> str:
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return "boolean"
    return "numeric" if array.dtype.kind in "iuf" else "categorical"


def _number_grid(values: Any, role: str) -> Grid:
    array = numbers(values)
    known = np.sort(array[~np.isnan(array)])
    if len(np.unique(known)) <= FEW_DISTINCT:
        return _category_grid(array.tolist(), role)
    edges = _edges(known)
    deciles = np.quantile(known, np.arange(1, 10) / 10, method="inverted_cdf")
    cuts = sorted({int(np.searchsorted(edges, value, side="left")) for value in deciles if value < known[-1]})
    counts = _fill_numbers(edges.tolist(), array)
    mean, sd = float(known.mean()), float(known.std())
    return _made(counts, kind="numeric", role=role, edges=edges.tolist(), cuts=cuts, mean=mean, sd=sd)


def _edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quantile edges of a sorted sample, from just under its smallest value to its largest."""
    levels = np.concatenate([np.arange(1, BINS) / BINS, np.arange(1, 10) / 10, TAILS, 1 - np.asarray(TAILS)])
    inner = np.quantile(known, levels, method="inverted_cdf")
    below = np.nextafter(known[0], -np.inf)
    return np.unique(np.concatenate([[below], inner, known[-1:]]))


def _category_grid(values: Any, role: str) -> Grid:
    texts, _ = _text_counts(values)
    total = sum(texts.values())
    if len(texts) > shape.MOST_LEVELS and 2 * len(texts) > total:
        return _length_grid(values, role)
    ranked = sorted(texts.items(), key=lambda item: (-item[1], item[0]))
    levels = [text for text, _ in ranked[: shape.MOST_LEVELS]]
    return _level_grid(levels, values, kind="categorical", role=role)


def _level_grid(levels: list[str], values: Any, *, kind: str, role: str) -> Grid:
    texts, nulls = _text_counts(values, boolean=kind == "boolean")
    counts = _fill_levels(levels, texts, nulls)
    counts.pop("others", None)
    return _made(counts, kind=kind, role=role, levels=levels)


def _length_grid(values: Any, role: str) -> Grid:
    return _made(_fill_lengths(LENGTH_EDGES, values), kind="text", role=role, edges=LENGTH_EDGES)


def _made(counts: Counts, **shape_: Any) -> Grid:
    return cast(Grid, {**shape_, **counts})


def _fill_numbers(edges: list[float], array: NDArray[np.float64]) -> Counts:
    nulls = int(np.count_nonzero(np.isnan(array)))
    known = array[~np.isnan(array)] if nulls else array
    found = lookup.counted(np.asarray(edges), known) if len(known) >= lookup.ENOUGH else None
    if found is not None:
        return {"counts": found[0].tolist(), "sums": found[1].tolist(), "nulls": nulls}
    known = np.sort(known)
    # sorting the values and looking the few edges up is several times faster than looking every value up
    places = np.searchsorted(known, np.asarray(edges), side="right")
    bounds = np.concatenate([[0], places, [len(known)]])
    counts, sums = np.diff(bounds), np.zeros(len(edges) + 1)
    held = counts > 0
    if held.any():
        sums[held] = np.add.reduceat(known, bounds[:-1][held])
    return {"counts": counts.tolist(), "sums": sums.tolist(), "nulls": nulls}


def _fill_levels(levels: list[str], texts: Counter[str], nulls: int) -> Counts:
    known = [texts.get(level, 0) for level in levels]
    place = set(levels)
    others = {text: count for text, count in texts.items() if text not in place}
    filled: Counts = {"counts": [*known, sum(others.values())], "nulls": nulls}
    if others:
        filled["others"] = shape.commonest(others)
    return filled


def _fill_lengths(edges: list[float], values: Iterable[Any]) -> Counts:
    texts, nulls = _text_counts(values, longest=None)
    counts = [0] * (len(edges) + 1)
    for text, count in texts.items():
        counts[int(np.searchsorted(edges, len(text), side="left"))] += count
    return {"counts": counts, "nulls": nulls}


def _text_counts(
    values: Iterable[Any], *, boolean: bool = False, longest: int | None = LONGEST_LEVEL
) -> tuple[Counter[str], int]:
    """Count values by their text; the second result is how many were empty."""
    counted = _counted(values)
    if not boolean and _are_short(counted, longest):
        nulls = counted.pop(None, 0)
        return cast(Counter[str], counted), nulls
    texts: Counter[str] = Counter()
    nulls = 0
    for value, count in counted.items():
        text = value if type(value) is str else text_of(value)
        if text is None:
            nulls += count
        else:
            texts[truth_of(text) if boolean else text[:longest]] += count
    return texts, nulls


def _are_short(counted: Counter[Hashable], longest: int | None) -> bool:
    """Whether all values are texts that stay as they are, or none, as nearly always in a column of words."""
    if not {str, type(None)}.issuperset(map(type, counted)):
        return False
    return longest is None or max((len(cast(str, text)) for text in counted if text), default=0) <= longest


def _counted(values: Any) -> Counter[Hashable]:
    if hasattr(values, "null_count"):  # a column of Arrow, counted without an object for each value
        known, counts = values.value_counts().flatten()
        return Counter(dict(zip(known.to_pylist(), counts.to_pylist(), strict=True)))
    raw = values.tolist() if hasattr(values, "tolist") else list(values)
    try:
        return Counter(raw)
    except TypeError:  # a list or an object among them
        return Counter(map(_hashable, raw))


def _hashable(value: Any) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)


def _weights(grids: Mapping[str, Grid], importance: Mapping[str, float]) -> dict[str, float]:
    features = {name for name, grid in grids.items() if grid["role"] == "feature"}
    usable = {name: float(importance[name]) for name in features if importance.get(name, 0) > 0}
    total = sum(usable.values())
    return {name: weight / total for name, weight in usable.items()} if total else {}
