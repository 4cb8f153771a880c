"""Figures as plain data: what `static/js/charts` draws. Nothing here knows Plotly, Django or colours."""

from .figures import (
    Json,
    axis,
    boxes,
    calibration,
    colour_of,
    confusion,
    finite,
    importance,
    number,
    parallel,
    precision_recall,
    residual_histogram,
    residuals,
    roc,
    scatter,
)
from .surface import FEWEST, contour

__all__ = [
    "FEWEST",
    "Json",
    "axis",
    "boxes",
    "calibration",
    "colour_of",
    "confusion",
    "contour",
    "finite",
    "importance",
    "number",
    "parallel",
    "precision_recall",
    "residual_histogram",
    "residuals",
    "roc",
    "scatter",
]
