"""Judge a canary beside the stable version: each criterion says what it found and what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deployments.traffic import evidence
from deployments.traffic.sequence import Arm, Interval, difference, tuned
from monitoring.drift import shape

OK, WAITING, PAUSE, ABORT = "ok", "waiting", "pause", "abort"
ERROR_ALPHA = 0.01
LABEL_ALPHA = 0.05
SPLIT_ALPHA = 0.001
LEAST_P = 1e-4
LATENCY_FACTOR = 1.5
LATENCY_ADDED_US = 20_000.0
LEAST_REQUESTS = 500
MOST_PSI = 0.25
TIMEOUTS_IN_A_ROW = 5
LABEL_UNITS = 2_000


@dataclass(slots=True)
class Seen:
    """Counts of one variant over some time; made by adding buckets.

    Parameters
    ----------
    latency, scores : list of int
        Counts of the bins of `monitoring.drift.shape` and of the split's own edges.
    assigned : int
        Requests that the split sent here, pinned ones left out.
    """

    requests: int = 0
    errors: int = 0
    assigned: int = 0
    bad_outputs: int = 0
    timeouts_in_a_row: int = 0
    load_failures: int = 0
    latency: list[int] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)
    trouble: str = ""

    @property
    def error_rate(self) -> float:
        """Share of requests that got no prediction."""
        return self.errors / self.requests if self.requests else 0.0

    def percentile_us(self, share: float) -> float | None:
        """Latency that this share of the answered requests stays under."""
        return shape.latency_us({"counts": self.latency, "nulls": 0}, share) if self.latency else None


@dataclass(frozen=True, slots=True)
class Pair:
    """Stable and canary side by side."""

    stable: Seen
    canary: Seen


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of the table: its key, what it found, its limit in words, and what follows."""

    key: str
    title: str
    state: str
    found: str
    limit: str
    numbers: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "key": self.key, "title": self.title, "state": self.state, "found": self.found, "limit": self.limit,
            "numbers": self.numbers,
        }  # fmt: skip


def judge(
    whole: Pair, windows: Sequence[Pair], *, share: float, assigned: Pair, labels: tuple[Arm, Arm] | None, margin: float
) -> list[Criterion]:
    """Judge every criterion.

    Parameters
    ----------
    whole : Pair
        Everything since the rollout began.
    windows : sequence of Pair
        The last two windows of five minutes, older first.
    share : float
        Share of the requests that the canary should get now.
    assigned : Pair
        What came since the present step began, which the share is compared with.
    labels : tuple of Arm, optional
        Outcomes of stable and canary with ground truth, more is better.
    margin : float
        How much worse the labelled metric may be.
    """
    return [
        _loading(whole.canary),
        _errors(whole),
        _latency(windows),
        _scores(whole),
        _outputs(whole.canary),
        _labels(labels, margin),
        _split(assigned, share),
    ]


def guard(whole: Pair, windows: Sequence[Pair]) -> list[Criterion]:
    """Judge what holds for any version beside another, whatever it is tried for; arguments as of `judge`."""
    return [_loading(whole.canary), _errors(whole), _latency(windows), _outputs(whole.canary)]


def _loading(canary: Seen) -> Criterion:
    broken = canary.load_failures > 0 or canary.timeouts_in_a_row >= TIMEOUTS_IN_A_ROW
    found = canary.trouble or f"{canary.timeouts_in_a_row} timeouts in a row"
    return Criterion(
        "loading", "Loads and answers in time", ABORT if broken else OK, found,
        f"no failed load, fewer than {TIMEOUTS_IN_A_ROW} timeouts in a row",
        {"load_failures": canary.load_failures, "timeouts_in_a_row": canary.timeouts_in_a_row},
    )  # fmt: skip


def _errors(whole: Pair) -> Criterion:
    rate = evidence.stable_rate(whole.stable.errors, whole.stable.requests)
    log_e = evidence.error_evidence(whole.canary.errors, whole.canary.requests, rate)
    needed = -math.log(ERROR_ALPHA)
    state = ABORT if log_e >= needed else OK if whole.canary.requests else WAITING
    found = (
        f"{whole.canary.error_rate:.2%} against {whole.stable.error_rate:.2%}, e-value {math.exp(min(log_e, 50)):.3g}"
    )
    return Criterion(
        "errors", "Error rate", state, found, f"e-value under {1 / ERROR_ALPHA:g}",
        {
            "errors": whole.canary.errors, "requests": whole.canary.requests, "stable_rate": rate,
            "log_e": round(log_e, 6),
        },
    )  # fmt: skip


def _latency(windows: Sequence[Pair]) -> Criterion:
    title, limit = "Latency p99", f"at most {LATENCY_FACTOR:g} times stable or 20 ms more, two windows of 5 min"
    measured = [_slow(pair) for pair in windows]
    numbers = {"windows": [item for item in measured if item]}
    if len(measured) < 2 or not all(measured):
        few = f"fewer than {LEAST_REQUESTS} requests a variant in two windows"
        return Criterion("latency", title, WAITING, few, limit, numbers)
    last = measured[-1]
    assert last is not None
    found = f"{last['canary_us'] / 1000:.1f} ms against {last['stable_us'] / 1000:.1f} ms"
    slow = all(item and item["slow"] for item in measured)
    return Criterion("latency", title, ABORT if slow else OK, found, limit, numbers)


def _slow(pair: Pair) -> dict[str, Any] | None:
    if min(sum(pair.stable.latency), sum(pair.canary.latency)) < LEAST_REQUESTS:
        return None
    stable, canary = pair.stable.percentile_us(0.99) or 0.0, pair.canary.percentile_us(0.99) or 0.0
    slow = canary > LATENCY_FACTOR * stable and canary > stable + LATENCY_ADDED_US
    return {"stable_us": stable, "canary_us": canary, "slow": slow}


def _scores(whole: Pair) -> Criterion:
    title, limit = "Score distribution", f"PSI at most {MOST_PSI:g}"
    stable, canary = whole.stable.scores, whole.canary.scores
    least = min(sum(stable), sum(canary))
    if least < LEAST_REQUESTS or len(stable) != len(canary):
        words = f"{least} of {LEAST_REQUESTS} scores" if stable and canary else "no scores to compare"
        return Criterion("scores", title, WAITING, words, limit, {"scores": least})
    found = evidence.psi(stable, canary)
    state = PAUSE if found > MOST_PSI else OK
    return Criterion("scores", title, state, f"PSI {found:.3f}", limit, {"psi": round(found, 6), "scores": least})


def _outputs(canary: Seen) -> Criterion:
    state = ABORT if canary.bad_outputs else OK if canary.requests else WAITING
    return Criterion(
        "outputs", "Valid outputs", state, f"{canary.bad_outputs} empty or impossible outputs", "none",
        {"bad_outputs": canary.bad_outputs},
    )  # fmt: skip


def _labels(labels: tuple[Arm, Arm] | None, margin: float) -> Criterion:
    title, limit = "Labelled metric", f"interval not wholly below {-margin if margin else 0:g}"
    if labels is None:
        return Criterion("labels", title, WAITING, "no ground truth yet", limit, {})
    found = difference(*labels, alpha=LABEL_ALPHA, rho=tuned(LABEL_UNITS, LABEL_ALPHA))
    numbers = {"stable_units": labels[0].units, "canary_units": labels[1].units, **_bounds(found)}
    if not math.isfinite(found.low):
        few = f"{min(arm.units for arm in labels)} labelled units in the smaller variant"
        return Criterion("labels", title, WAITING, few, limit, numbers)
    words = f"{found.difference:+.4f}, {found.low:+.4f} to {found.high:+.4f}"
    return Criterion("labels", title, ABORT if found.high < -margin else OK, words, limit, numbers)


def _bounds(found: Interval) -> dict[str, float | None]:
    finite = math.isfinite(found.low)
    return {
        "difference": found.difference,
        "low": found.low if finite else None,
        "high": found.high if finite else None,
    }


def _split(assigned: Pair, share: float) -> Criterion:
    first, second = assigned.canary.assigned, assigned.stable.assigned
    p = evidence.mismatch(first, second, share)
    state = PAUSE if p < SPLIT_ALPHA else OK if first + second else WAITING
    got = first / (first + second) if first + second else 0.0
    chance = f"p {p:.2g}" if p >= LEAST_P else f"p under {LEAST_P:g}"
    return Criterion(
        "split", "Share that arrived", state, f"{got:.2%} of {share:.0%} wanted, {chance}",
        f"p at least {SPLIT_ALPHA:g}", {"canary": first, "stable": second, "share": share, "p": p},
    )  # fmt: skip
