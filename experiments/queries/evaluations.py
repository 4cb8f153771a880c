"""Confusion matrices, ROC, precision-recall and calibration curves of compared runs, from their stored files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import charts
from experiments.models import Artifact
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError

from .compared import Comparison

MOST_BYTES = 2**20
MOST_POINTS = 200
MOST_CLASSES = 12
CURVES = {
    "roc": ("ROC", "fpr", "tpr", "auc", "False positive rate", "True positive rate"),
    "precision_recall": ("Precision and recall", "recall", "precision", "average_precision", "Recall", "Precision"),
    "calibration": ("Calibration", "predicted", "observed", "brier", "Predicted probability", "Observed share"),
}
SHORT = {"auc": "AUC", "average_precision": "AP", "brier": "Brier"}
HIGHER = {"auc": True, "average_precision": True, "brier": False}
Json = dict[str, Any]


def read(made: Comparison) -> Json:
    """Overlaid curves and the matrices of the coloured runs; a file of unknown shape is left out.

    Returns
    -------
    dict
        ``curves``: {kind: figure}, ``matrices``: a list of {"id", "name", "k", "matrix"}, ``left_out``: paths.
    """
    wanted = [f"{name}.json" for name in (*CURVES, "confusion_matrix")]
    files = Artifact.objects.filter(run__in=made.coloured, path__in=wanted, size_bytes__lte=MOST_BYTES)
    found: dict[tuple[int, str], Any] = {}
    left_out: list[str] = []
    for run_id, path, sha256 in files.values_list("run_id", "path", "sha256"):
        try:
            text = blobs.read_bytes(sha256, limit_bytes=MOST_BYTES)
            found[run_id, path.removesuffix(".json")] = json.loads(text)
        except (ValueError, RecursionError, DomainError):
            left_out.append(f"{path} of run {run_id}")
    curves = {kind: figure for kind in CURVES if (figure := _overlaid(made, kind, found, left_out))}
    return {"curves": curves, "matrices": _matrices(made, found, left_out), "left_out": sorted(set(left_out))}


def _overlaid(made: Comparison, kind: str, found: Mapping[tuple[int, str], Any], left_out: list[str]) -> Json | None:
    heading, across, upward, score, x_title, y_title = CURVES[kind]
    lines, scores = [], {}
    for pk in made.coloured:
        if (pk, kind) not in found:
            continue
        try:
            # The last class is the positive one of two; of many classes it stands for all in one picture.
            curve = found[pk, kind]["curves"][-1]
            x, y, value = _numbers(curve[across]), _numbers(curve[upward]), float(curve[score])
        except (KeyError, IndexError, TypeError, ValueError):
            left_out.append(f"{kind}.json of run {pk}")
            continue
        drawn, scores[pk] = made.drawn(made.dots[pk]), value
        name = f"{drawn['name']}, {curve.get('class', '')} ({SHORT[score]} {value:.3f})"
        lines.append({**drawn, "name": name, "x": x, "y": y, "marks": kind == "calibration"})
    if not lines:
        return None
    best = (max if HIGHER[score] else min)(scores, key=lambda pk: scores[pk])
    label = f"{heading} of {len(lines)} runs; run {best} is best with {SHORT[score]} {scores[best]:.3f}."
    return {"kind": "lines", "heading": heading, "xt": x_title, "yt": y_title, "unit": True, "label": label,
            "diagonal": kind != "precision_recall", "lines": lines}  # fmt: skip


def _numbers(values: Sequence[object]) -> list[float]:
    """At most 200 of the values, evenly, with the first and the last."""
    found = [float(str(v)) for v in values]
    if len(found) <= MOST_POINTS:
        return found
    return [found[round(i * (len(found) - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def _matrices(made: Comparison, found: Mapping[tuple[int, str], Any], left_out: list[str]) -> list[Json]:
    out = []
    for pk in made.coloured:
        report = found.get((pk, "confusion_matrix"))
        if report is None:
            continue
        try:
            matrix = charts.confusion(report)
            if not 1 < len(matrix["classes"]) <= MOST_CLASSES:
                raise ValueError("too many classes to stand side by side")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
            left_out.append(f"confusion_matrix.json of run {pk}")
            continue
        out.append({**made.drawn(made.dots[pk]), "matrix": matrix})
    return out
