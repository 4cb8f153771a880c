"""How far two binned distributions lie apart. Needs numpy and scipy: workers only.

Every function takes counts of the same bins: ``reference`` and ``current``, arrays of shape (bins).
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

FLOOR = 1e-4
QUANTILE = 0.999

Numbers: TypeAlias = "Sequence[float] | Sequence[int] | NDArray[np.float64]"


def shares(counts: Numbers) -> NDArray[np.float64]:
    """Turn counts into shares of their sum (0 to 1)."""
    array = np.asarray(counts, dtype=np.float64)
    return array / array.sum()


def psi(reference: Numbers, current: Numbers) -> float:
    """Return the population stability index.

    Returns
    -------
    float
        0 (same shares) and up: the sum over the bins of (q - p) ln(q / p), shares under 1e-4 raised to 1e-4.

    Notes
    -----
    Source: Yurdakul and Naranjo, Journal of Risk Model Validation 14 (2020), equation 1; the floor is Evidently's.
    """
    p = np.maximum(shares(reference), FLOOR)
    q = np.maximum(shares(current), FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def psi_limit(bins: int, n: int, m: int) -> float:
    """PSI that chance alone passes once in a thousand times.

    Parameters
    ----------
    bins : int
        Number of bins, 2 or more.
    n, m : int
        Sizes of the two samples.

    Returns
    -------
    float
        The 0.999 quantile of chi-square with ``bins - 1`` degrees of freedom, times (1/n + 1/m).

    Notes
    -----
    Source: Yurdakul and Naranjo (2020), section 3: PSI / (1/n + 1/m) is asymptotically chi-square.
    """
    return float(special.chdtri(bins - 1, 1 - QUANTILE)) * (1 / n + 1 / m)


def psi_p(value: float, bins: int, n: int, m: int) -> float:
    """Probability (0 to 1) of a PSI this large when nothing changed; same source as `psi_limit`."""
    return float(special.chdtrc(bins - 1, value / (1 / n + 1 / m)))


def ks(reference: Numbers, current: Numbers) -> float:
    """Kolmogorov-Smirnov D (0 to 1): the largest gap between the cumulated shares, looked at on the bin edges."""
    return float(np.max(np.abs(np.cumsum(shares(reference)) - np.cumsum(shares(current)))))


def wasserstein(
    reference: Numbers, current: Numbers, reference_sums: Numbers, current_sums: Numbers, *, scale: float
) -> float:
    """Wasserstein-1 distance in units of the reference's standard deviation (0 and up).

    Each bin's values are taken to lie at the mean of that bin, separately for both sides; that keeps heavy tails
    right, which counts alone do not.

    Parameters
    ----------
    reference_sums, current_sums : array, shape (bins)
        Sum of the values in each bin.
    scale : float
        Standard deviation of the reference; 0 gives 0 for equal and infinity for different distributions.

    Notes
    -----
    Source: for one dimension W1 is the integral of |F - G| (Vallender, 1974).
    """
    points, weights = _atoms(reference, reference_sums, sign=1.0)
    more_points, more_weights = _atoms(current, current_sums, sign=-1.0)
    points, weights = np.concatenate([points, more_points]), np.concatenate([weights, more_weights])
    order = np.argsort(points, kind="stable")
    gaps = np.diff(points[order])
    distance = float(np.sum(np.abs(np.cumsum(weights[order])[:-1]) * gaps))
    if scale > 0:
        return distance / scale
    return 0.0 if distance == 0 else float("inf")


def _atoms(counts: Numbers, sums: Numbers, *, sign: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    amounts = np.asarray(counts, dtype=np.float64)
    held = amounts > 0
    return np.asarray(sums, dtype=np.float64)[held] / amounts[held], sign * amounts[held] / amounts.sum()


def js(reference: Numbers, current: Numbers) -> float:
    """Jensen-Shannon distance (0 to 1): the root of the divergence in bits (Lin, 1991)."""
    p, q = shares(reference), shares(current)
    middle = (p + q) / 2
    divergence = np.sum(special.rel_entr(p, middle) + special.rel_entr(q, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0) / np.log(2)))


def chi2_p(reference: Numbers, current: Numbers) -> float:
    """P-value (0 to 1) of Pearson's chi-square test that both rows of the table come from one distribution."""
    table = np.asarray([reference, current], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = np.sum((table - expected) ** 2 / expected)
    return float(special.chdtrc(table.shape[1] - 1, statistic))


def share_difference(reference: Numbers, current: Numbers) -> float:
    """Largest difference of a bin's share (0 to 1), for a boolean the difference of the share of true."""
    return float(np.max(np.abs(shares(reference) - shares(current))))


def share_p(hits: int, n: int, other_hits: int, m: int) -> float:
    """P-value (0 to 1), two-sided, of the pooled z-test for two proportions ``hits / n`` and ``other_hits / m``."""
    pooled = (hits + other_hits) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if spread == 0:
        return 1.0
    return float(2 * special.ndtr(-abs(hits / n - other_hits / m) / spread))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for looking at many features at once.

    Returns
    -------
    list of float
        The q-value (0 to 1) of each, in the order given.

    Notes
    -----
    Source: Benjamini and Hochberg, J. R. Statist. Soc. B 57 (1995), the step-up procedure.
    """
    if not len(p_values):
        return []
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)[::-1]
    ranks = np.arange(len(values), 0, -1)
    adjusted = np.minimum.accumulate(values[order] * len(values) / ranks)
    result = np.empty_like(values)
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]
