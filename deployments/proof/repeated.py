"""How far the answers of two fitted models lie apart on the same rows. Imported by workers only."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Json = dict[str, Any]


def predictions(rows: pd.DataFrame, recorded: Any, again: Any, *, tolerance: float) -> Json:
    """Return the largest difference of any answer.

    Parameters
    ----------
    rows
        Raw feature columns of the held-out rows.
    recorded, again
        Fitted scikit-learn pipelines that take them.
    tolerance
        Largest difference that is accepted, in the unit that is told.

    Returns
    -------
    dict
        ``rows``, ``unit``, ``max_difference``, ``differing`` (rows whose answer differs at all), ``within``.
        The unit is a probability, a class (0 the same, 1 another), or standard deviations of the recorded predictions.
    """
    unit, gaps = _gaps(rows, recorded, again)
    largest = float(gaps.max()) if gaps.size else 0.0
    return {
        "rows": len(rows), "unit": unit, "max_difference": largest, "differing": int((gaps > 0).sum()),
        "within": bool(largest <= tolerance),
    }  # fmt: skip


def _gaps(rows: pd.DataFrame, recorded: Any, again: Any) -> tuple[str, NDArray[np.float64]]:
    """Return the difference per row, and its unit."""
    if not hasattr(recorded, "classes_"):
        ours, theirs = (np.asarray(model.predict(rows), dtype=float) for model in (recorded, again))
        return "standard deviations", np.abs(ours - theirs) / (float(ours.std()) or 1.0)
    same = list(map(str, recorded.classes_)) == list(map(str, getattr(again, "classes_", [])))
    if same and hasattr(recorded, "predict_proba") and hasattr(again, "predict_proba"):
        return "probability", np.abs(recorded.predict_proba(rows) - again.predict_proba(rows)).max(axis=1)
    ours, theirs = (np.asarray(model.predict(rows)).astype(str) for model in (recorded, again))
    return "class", (ours != theirs).astype(float)
