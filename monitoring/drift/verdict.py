"""One verdict for a window from the scores of its columns. Plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.drift.shape import display

if TYPE_CHECKING:
    from monitoring.drift.score import Score

TOP = 5
WEIGHTED_SHARE = 0.30


@dataclass(frozen=True)
class Verdict:
    """What a window says: ``state`` is ok, warn, alert, too_few, cannot_compute or no_data."""

    state: str
    reasons: tuple[str, ...]
    weighted_share: float = 0.0
    drifted: int = 0


def judge(scores: Sequence["Score"]) -> Verdict:
    """Judge a window.

    Parameters
    ----------
    scores : sequence of Score
        Of all columns, features and outputs.

    Returns
    -------
    Verdict
        alert when a feature among the 5 most important, or 30 % of the importance, or the prediction is at alert
        level; warn when anything is at warn level or above; cannot_compute and too_few when nothing could be judged
        or a column that matters could not. ``weighted_share`` is 0 to 1.
    """
    if not scores:
        return Verdict("cannot_compute", ("The version has no reference to compare with.",))
    features = [score for score in scores if score.role == "feature"]
    share = weighted_share(features, {score.column for score in features if score.state == "alert"})
    drifted = sum(score.state == "alert" for score in features)
    state = _state(scores, important(features), share)
    return Verdict(state, _reasons(scores, state), share, drifted)


def important(features: Sequence["Score"]) -> set[str]:
    """Return names of the 5 features with the largest weight; all of them when no weight is known."""
    weighted = [score for score in features if score.weight > 0]
    if not weighted:
        return {score.column for score in features}
    ranked = sorted(weighted, key=lambda score: (-score.weight, score.column))
    return {score.column for score in ranked[:TOP]}


def weighted_share(features: Sequence["Score"], chosen: set[str]) -> float:
    """Share (0 to 1) of the importance that the chosen features carry; each counts the same when none is known."""
    known = any(score.weight > 0 for score in features)
    weights = {score.column: score.weight if known else 1.0 for score in features if score.state != "unscored"}
    total = sum(weights.values())
    return sum(weights.get(name, 0.0) for name in chosen) / total if total else 0.0


def matters(features: Sequence["Score"], chosen: set[str]) -> bool:
    """Whether these features together are worth waking somebody: one of the 5 most important, or 30 % of the weight."""
    return bool(chosen & important(features)) or weighted_share(features, chosen) >= WEIGHTED_SHARE


def _state(scores: Sequence["Score"], top: set[str], share: float) -> str:
    states = {score.state for score in scores}
    loud = [score for score in scores if score.state == "alert"]
    if any(score.role == "prediction" or score.column in top for score in loud) or share >= WEIGHTED_SHARE:
        return "alert"
    lost = [score for score in scores if score.state == "cannot_compute"]
    if any(score.role == "prediction" or score.column in top for score in lost):
        return "cannot_compute"
    if states & {"alert", "warn"}:
        return "warn"
    if states <= {"too_few", "unscored", "cannot_compute"}:
        return "too_few" if "too_few" in states else "cannot_compute"
    return "ok"


def _reasons(scores: Sequence["Score"], state: str) -> tuple[str, ...]:
    spoken = {"alert", "warn", "cannot_compute"} | ({"too_few"} if state == "too_few" else set())
    order = {"alert": 0, "cannot_compute": 1, "warn": 2, "too_few": 3}
    told = sorted((score for score in scores if score.state in spoken), key=lambda score: order[score.state])
    return tuple(_reason(score) for score in told)


def _reason(score: "Score") -> str:
    column = display(score.column)
    if score.state == "cannot_compute":
        return f"{column}: cannot compute: {score.reason}"
    if score.state == "too_few":
        return f"{column}: too few: {score.reason}"
    name = {"share": "share moved by"}.get(score.measure, "PSI")
    return f"{column}: {name} {score.value or 0.0:.2f}"
