"""Figures of a training's evaluation, from the JSON files it stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from experiments import charts
from experiments.models import Artifact
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError

REPORT_BYTES = 4 * 2**20
LOW_ROWS = 10
REPORTS = ("metrics", "confusion_matrix", "roc", "precision_recall", "calibration", "residuals", "importance")
PATHS = tuple(f"{name}.json" for name in REPORTS)


def read(artifacts: Iterable[Artifact]) -> dict[str, Any]:
    """Figures from the JSON artifacts of a training; a report that cannot be read is left out by name."""
    found, broken = {}, []
    for artifact in artifacts:
        name = artifact.path.removesuffix(".json")
        if name not in REPORTS or artifact.size_bytes > REPORT_BYTES:
            continue
        try:
            found[name] = json.loads(blobs.read_bytes(artifact.sha256, limit_bytes=REPORT_BYTES))
        except (ValueError, DomainError):
            broken.append(artifact.path)
    try:
        figures, matrix = (
            _figures(found),
            charts.confusion(found["confusion_matrix"]) if "confusion_matrix" in found else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        # Artifacts of the API may have these names and any content.
        figures, matrix, broken = [], None, [*broken, "a report of unknown shape"]
    return {"figures": figures, "confusion": matrix, "broken_reports": broken}


def _figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    makers = (
        ("roc", "ROC", charts.roc), ("precision_recall", "Precision and recall", charts.precision_recall),
        ("calibration", "Calibration", charts.calibration), ("residuals", "Predicted and actual", charts.residuals),
        ("residuals", "Residuals", charts.residual_histogram),
        ("importance", "Permutation importance", charts.importance),
    )  # fmt: skip
    made = [(at, heading, make(found[name])) for at, (name, heading, make) in enumerate(makers) if found.get(name)]
    return [
        {"id": f"fig-{at}", "heading": heading, "data": data, "size": "l" if _is_long(data) else "s"}
        for at, heading, data in made
    ]


def _is_long(figure: dict[str, Any]) -> bool:
    """Whether its rows need a high chart: names of 11 px would lie over one another."""
    return len(figure.get("labels", ())) > LOW_ROWS
