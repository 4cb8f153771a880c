"""A surface over two parameters from scattered runs, for contour lines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .figures import LOG_SPREAD, Json

CELLS = 24
LEVELS = 6
FAR = 0.22
FEWEST = 4  # runs that make a surface
_NEAR = 1e-9


def contour(x_label: str, y_label: str, z_label: str, rows: Sequence[Json]) -> Json | None:
    """Interpolate a metric between runs.

    Parameters
    ----------
    rows : sequence of dict
        ``x``, ``y``, ``z`` as finite numbers, ``name``, ``k``.

    Returns
    -------
    dict or None
        A grid of 24 by 24 values by inverse squared distance on axes scaled to 0..1; cells farther than 0.22
        from every run are None, so that no surface is drawn where nothing was tried. None when there are fewer
        than four runs or one of the axes does not vary.

    Notes
    -----
    Source: Shepard, D. (1968), A two-dimensional interpolation function for irregularly-spaced data, with power 2.
    """
    xs, ys, zs = (np.array([r[n] for r in rows], float) for n in ("x", "y", "z"))
    if len(rows) < FEWEST or len(set(xs)) < 2 or len(set(ys)) < 2:
        return None
    across, upward = _Scale(xs), _Scale(ys)
    grid_x, grid_y = np.meshgrid(np.linspace(0, 1, CELLS), np.linspace(0, 1, CELLS))
    far = (grid_x.ravel()[:, None] - across.unit(xs)) ** 2 + (grid_y.ravel()[:, None] - upward.unit(ys)) ** 2
    weight = 1 / (far + _NEAR)
    values = (weight @ zs) / weight.sum(axis=1)
    values[far.min(axis=1) > FAR**2] = np.nan
    cells = values.reshape(CELLS, CELLS)
    low, high = float(zs.min()), float(zs.max())
    return {
        "kind": "contour", "xt": x_label, "yt": y_label, "zt": z_label,
        "x": across.back(), "y": upward.back(), "xlog": across.is_log, "ylog": upward.is_log,
        "z": [[_short(v) for v in line] for line in cells.tolist()],
        "low": low, "high": high, "step": (high - low) / LEVELS or 1.0, "rows": list(rows),
    }  # fmt: skip


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


class _Scale:
    """One axis scaled to 0..1, by powers of ten where values spread that far."""

    def __init__(self, values: np.ndarray) -> None:
        self.is_log = bool(values.min() > 0 and values.max() / values.min() >= LOG_SPREAD)
        self._low, self._high = (float(self._forth(v)) for v in (values.min(), values.max()))

    def _forth(self, values: np.ndarray) -> np.ndarray:
        return np.log10(values) if self.is_log else values

    def unit(self, values: np.ndarray) -> np.ndarray:
        """Places of values on the axis."""
        return (self._forth(values) - self._low) / (self._high - self._low)

    def back(self) -> list[float]:
        """Values of the cells."""
        places = np.linspace(self._low, self._high, CELLS)
        return [float(f"{v:.6g}") for v in (10**places if self.is_log else places)]
