"""Figures as plain data: what `static/js/charts` draws. Nothing here knows Plotly, Django or colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Json = dict[str, Any]
MAX_LINES = 8
MAX_BARS = 20
PALETTE = 8
LOG_SPREAD = 20.0


def colour_of(position: int) -> tuple[int, int]:
    """Return (colour 1 to 8, dash 0 to 3) of the run at a position; colours repeat with the next dash."""
    return position % PALETTE + 1, (position // PALETTE) % 4


def finite(values: Sequence[float]) -> list[float | None]:
    """Replace what is no number by None, which is a gap in a line."""
    return [v if math.isfinite(v) else None for v in values]


def roc(report: Json) -> Json:
    """ROC curves with the diagonal of chance."""
    curves = report["curves"][:MAX_LINES]
    lines = [_line(at, f"{c['class']} (AUC {c['auc']:.3f})", c["fpr"], c["tpr"]) for at, c in enumerate(curves)]
    return {
        "kind": "lines",
        "xt": "False positive rate",
        "yt": "True positive rate",
        "unit": True,
        "diagonal": True,
        "lines": lines,
    }


def precision_recall(report: Json) -> Json:
    """Precision-recall curves."""
    curves = report["curves"][:MAX_LINES]
    lines = [
        _line(at, f"{c['class']} (AP {c['average_precision']:.3f})", c["recall"], c["precision"])
        for at, c in enumerate(curves)
    ]
    return {"kind": "lines", "xt": "Recall", "yt": "Precision", "unit": True, "lines": lines}


def calibration(report: Json) -> Json:
    """Observed against predicted shares."""
    curves = report["curves"][:MAX_LINES]
    lines = [
        {**_line(at, f"{c['class']} (Brier {c['brier']:.3f})", c["predicted"], c["observed"]), "marks": True}
        for at, c in enumerate(curves)
    ]
    return {
        "kind": "lines",
        "xt": "Predicted probability",
        "yt": "Observed share",
        "unit": True,
        "diagonal": True,
        "lines": lines,
    }


def importance(report: Sequence[Json]) -> Json:
    """The features whose shuffling costs most, with the spread over repeats."""
    top = list(reversed(report[:MAX_BARS]))
    return {
        "kind": "bars", "xt": "Loss of score when shuffled", "labels": [str(r["feature"]) for r in top],
        "values": [r["mean"] for r in top], "errors": [r["std"] for r in top],
    }  # fmt: skip


def residuals(report: Json) -> Json:
    """Predicted against actual values, with the line where they agree."""
    return {"kind": "agree", "xt": "Actual", "yt": "Predicted", "x": report["actual"], "y": report["predicted"]}


def residual_histogram(report: Json) -> Json:
    """How far off the predictions are."""
    edges, counts = report["histogram"]["edges"], report["histogram"]["counts"]
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    return {
        "kind": "columns",
        "xt": "Actual minus predicted",
        "yt": "Rows",
        "x": middles,
        "y": counts,
        "width": edges[1] - edges[0],
    }


def confusion(report: Json | list[list[int]]) -> Json:
    """A confusion matrix as shares of each true class, with classes h0 to h5 for the cells.

    Clients name the classes ``classes``, ``labels`` or ``class_names``, the counts ``matrix``, ``confusion_matrix`` or
    ``values``; counts that stand alone belong to the classes 0, 1, 2 ….
    """
    matrix = report if isinstance(report, list) else _first(report, "matrix", "confusion_matrix", "values")
    named = range(len(matrix)) if isinstance(report, list) else _first(report, "classes", "labels", "class_names")
    classes = [str(c) for c in named]
    if any(len(counts) != len(classes) for counts in matrix):
        raise ValueError("a confusion matrix has as many columns as classes")
    rows = []
    for label, counts in zip(classes, matrix, strict=True):
        total = sum(counts)
        cells = [
            {"count": n, "share": n / total if total else 0.0, "heat": min(5, math.ceil(5 * n / total)) if total else 0}
            for n in counts
        ]
        rows.append({"label": label, "cells": cells, "total": total})
    return {"classes": classes, "rows": rows}


def _first(report: Json, *names: str) -> Any:
    """The value under the first of these names that is there."""
    return report[next((name for name in names if name in report), names[0])]


def _line(at: int, name: str, x: Sequence[float], y: Sequence[float]) -> Json:
    colour, dash = colour_of(at)
    return {"name": name, "x": x, "y": y, "k": colour, "dash": dash}


def axis(values: Sequence[object]) -> Json:
    """Describe one axis of parallel coordinates from the values on it.

    Parameters
    ----------
    values : sequence of float, str or None
        Numbers, or texts; texts that all spell numbers are numbers.

    Returns
    -------
    dict
        ``{"cats": [...]}`` for words, else ``{"min", "max", "ticks", "log"}``.
    """
    numbers = [number(v) for v in values if v is not None]
    if not numbers or any(n is None for n in numbers):
        return {"cats": sorted({str(v) for v in values if v is not None})}
    known = sorted({float(n) for n in numbers if n is not None})
    low, high = known[0], known[-1]
    is_log = low > 0 and high / low >= LOG_SPREAD
    ticks = known if len(known) <= 6 else _ticks(low, high, is_log=is_log)
    return {"min": low, "max": high, "log": is_log, "ticks": ticks}


def number(value: object) -> float | None:
    """Return the finite number a value is or spells."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _ticks(low: float, high: float, *, is_log: bool) -> list[float]:
    if is_log:
        first, last = math.log10(low), math.log10(high)
        return [float(f"{10 ** (first + i * (last - first) / 4):.2g}") for i in range(5)]
    return [float(f"{low + i * (high - low) / 4:.4g}") for i in range(5)]


def parallel(names: Mapping[str, str], rows: Sequence[Json]) -> Json:
    """Parallel coordinates of runs.

    Parameters
    ----------
    names : mapping of axis to its label
    rows : sequence of dict
        ``{"name", "k", "dash", "id", "values": {axis: value}}``; a run without one of the values is left out.
    """
    whole = [r for r in rows if all(r["values"].get(n) is not None for n in names)]
    dims = [{"label": label, **axis([r["values"][n] for r in whole])} for n, label in names.items()]
    drawn = [
        {
            "name": r["name"], "id": r["id"], "k": r["k"], "dash": r["dash"],
            "v": [_placed(d, r["values"][n]) for d, n in zip(dims, names, strict=True)],
        }
        for r in whole
    ]  # fmt: skip
    label = f"Parallel coordinates of {len(drawn)} runs over {', '.join(names.values())}"
    return {"label": label, "dims": dims, "rows": drawn, "left_out": len(rows) - len(whole)}


def _placed(dim: Json, value: object) -> object:
    return str(value) if "cats" in dim else number(value)


def scatter(x_label: str, y_label: str, rows: Sequence[Json]) -> Json:
    """Points of runs over two facts; ``rows`` hold ``x``, ``y``, ``name``, ``k``."""
    xs = [number(r["x"]) for r in rows]
    is_number = all(v is not None for v in xs)
    known = [v for v in xs if v is not None]
    is_log = is_number and bool(known) and min(known) > 0 and max(known) / min(known) >= LOG_SPREAD
    points = [{**r, "x": x if is_number else str(r["x"])} for r, x in zip(rows, xs, strict=True)]
    ticks = _ticks(min(known), max(known), is_log=True) if is_log else None
    return {
        "kind": "scatter", "xt": x_label, "yt": y_label, "log": is_log, "ticks": ticks, "words": not is_number,
        "rows": points,
    }  # fmt: skip


def boxes(x_label: str, y_label: str, groups: Mapping[str, Sequence[float]]) -> Json:
    """Spread of a metric for each value of a parameter, ordered by number where they are numbers."""
    ordered = sorted(groups, key=lambda g: (number(g) is None, number(g) or 0.0, g))
    return {
        "kind": "box",
        "xt": x_label,
        "yt": y_label,
        "groups": [{"name": g, "y": list(groups[g])} for g in ordered[:24]],
    }
