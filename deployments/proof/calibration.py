"""Do probabilities mean what they say: bins, expected calibration error, Brier score."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.proof.fairness import Z, wilson
from deployments.proof.scorers import Answers, Floats, squared_errors

BINS = 10
Json = dict[str, Any]


def of(truth: NDArray[np.generic], answers: Answers, classes: int) -> Json | None:
    """Describe the calibration of one model; None when it gives no probabilities.

    Two classes are judged by the probability of the last one, more by the probability of the class that was chosen.

    Returns
    -------
    dict
        ``bins``: ten of equal width with ``low``, ``high``, ``rows``, mean probability ``said`` and observed share
        ``seen`` with its Wilson interval; empty ones are left out. ``ece``: mean distance of the two, weighted by
        rows. ``brier`` with ``brier_low`` and ``brier_high``, 1.96 standard errors of its mean.

    References
    ----------
    Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015 (ECE);
    Guo et al., On calibration of modern neural networks, ICML 2017 (more than two classes).
    """
    if answers.probabilities is None:
        return None
    said, seen = _claims(truth, answers, classes)
    place = np.clip((said * BINS).astype(int), 0, BINS - 1)
    rows, total, hits = (np.bincount(place, weights, BINS) for weights in (None, said, seen.astype(np.float64)))
    bins = [_bin(int(at), int(rows[at]), float(total[at]), float(hits[at])) for at in np.flatnonzero(rows)]
    losses = squared_errors(truth, answers.probabilities, classes)
    brier, half = float(losses.mean()), Z * float(losses.std()) / len(losses) ** 0.5
    ece = float(np.abs(total - hits).sum() / len(said))
    return {"bins": bins, "ece": ece, "brier": brier, "brier_low": max(0.0, brier - half), "brier_high": brier + half}


def _claims(truth: NDArray[np.generic], answers: Answers, classes: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what each row was promised and whether it came true."""
    assert answers.probabilities is not None
    if classes == 2:
        return answers.probabilities[:, 1], truth == 1
    chosen = answers.probabilities.argmax(axis=1)
    return answers.probabilities[np.arange(len(chosen)), chosen], chosen == truth


def _bin(at: int, rows: int, total: float, hits: float) -> Json:
    return {"low": at / BINS, "high": (at + 1) / BINS, "rows": rows, "said": total / rows, "seen": wilson(hits, rows)}
