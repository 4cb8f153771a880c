"""How far two binned distributions lie apart. Plain Python on a few bins: pages compare any window they are asked for.

Every function takes counts of the same bins: ``reference`` and ``current``, sequences of length (bins).
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import inf, log, log2, sqrt

from monitoring.drift import chance

FLOOR = 1e-4
QUANTILE = 0.999

Numbers = Sequence[float] | Sequence[int]


def shares(counts: Numbers) -> list[float]:
    """Turn counts into shares of their sum (0 to 1)."""
    total = float(sum(counts))
    return [float(count) / total for count in counts]


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
    pairs = zip(shares(reference), shares(current), strict=True)
    floored = ((max(p, FLOOR), max(q, FLOOR)) for p, q in pairs)
    return sum((q - p) * log(q / p) for p, q in floored)


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
    return chance.chi2_quantile(QUANTILE, bins - 1) * (1 / n + 1 / m)


def psi_p(value: float, bins: int, n: int, m: int) -> float:
    """Probability (0 to 1) of a PSI this large when nothing changed; same source as `psi_limit`."""
    return chance.chi2_sf(value / (1 / n + 1 / m), bins - 1)


def ks(reference: Numbers, current: Numbers) -> float:
    """Kolmogorov-Smirnov D (0 to 1): the largest gap between the cumulated shares, looked at on the bin edges."""
    pairs = zip(accumulate(shares(reference)), accumulate(shares(current)), strict=True)
    return max(abs(p - q) for p, q in pairs)


def wasserstein(
    reference: Numbers, current: Numbers, reference_sums: Numbers, current_sums: Numbers, *, scale: float
) -> float:
    """Wasserstein-1 distance in units of the reference's standard deviation (0 and up).

    Each bin's values are taken to lie at the mean of that bin, separately for both sides; that keeps heavy tails
    right, which counts alone do not.

    Parameters
    ----------
    reference_sums, current_sums : sequence, length (bins)
        Sum of the values in each bin.
    scale : float
        Standard deviation of the reference; 0 gives 0 for equal and infinity for different distributions.

    Notes
    -----
    Source: for one dimension W1 is the integral of |F - G| (Vallender, 1974).
    """
    atoms = sorted([*_atoms(reference, reference_sums, sign=1.0), *_atoms(current, current_sums, sign=-1.0)])
    distance = gap = 0.0
    for (point, weight), (following, _weight) in pairwise(atoms):
        gap += weight
        distance += abs(gap) * (following - point)
    if scale > 0:
        return distance / scale
    return 0.0 if distance == 0 else inf


def _atoms(counts: Numbers, sums: Numbers, *, sign: float) -> list[tuple[float, float]]:
    total = float(sum(counts))
    held = zip(counts, sums, strict=True)
    return [(float(amount) / count, sign * count / total) for count, amount in held if count > 0]


def js(reference: Numbers, current: Numbers) -> float:
    """Jensen-Shannon distance (0 to 1): the root of the divergence in bits (Lin, 1991)."""
    pairs = list(zip(shares(reference), shares(current), strict=True))
    divergence = sum(_bits(p, (p + q) / 2) + _bits(q, (p + q) / 2) for p, q in pairs) / 2
    return sqrt(max(divergence, 0.0))


def _bits(part: float, whole: float) -> float:
    return part * log2(part / whole) if part > 0 else 0.0


def chi2_p(reference: Numbers, current: Numbers) -> float:
    """P-value (0 to 1) of Pearson's chi-square test that both rows of the table come from one distribution."""
    pairs = [(float(p), float(q)) for p, q in zip(reference, current, strict=True) if p + q > 0]
    if len(pairs) < 2:
        return 1.0
    n, m = sum(p for p, _q in pairs), sum(q for _p, q in pairs)
    statistic = 0.0
    for p, q in pairs:
        for seen, size in ((p, n), (q, m)):
            expected = size * (p + q) / (n + m)
            statistic += (seen - expected) ** 2 / expected
    return chance.chi2_sf(statistic, len(pairs) - 1)


def share_difference(reference: Numbers, current: Numbers) -> float:
    """Largest difference of a bin's share (0 to 1), for a boolean the difference of the share of true."""
    return max(abs(p - q) for p, q in zip(shares(reference), shares(current), strict=True))


def share_p(hits: int, n: int, other_hits: int, m: int) -> float:
    """P-value (0 to 1), two-sided, of the pooled z-test for two proportions ``hits / n`` and ``other_hits / m``."""
    pooled = (hits + other_hits) / (n + m)
    spread = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return chance.normal_two_sided((hits / n - other_hits / m) / spread) if spread else 1.0


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
    count = len(p_values)
    result, smallest = [1.0] * count, 1.0
    falling = sorted(range(count), key=lambda place: -p_values[place])
    for passed, place in enumerate(falling):
        smallest = min(smallest, p_values[place] * count / (count - passed))
        result[place] = smallest
    return result
