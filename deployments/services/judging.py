"""AUC and F1 of a trial: judged once, at the horizon of its plan, from the labelled predictions that are there then."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from deployments.models import EndpointRevision, ModelVersion, Trial, TrialJudgement
from deployments.services import outcomes
from deployments.services.guardrails import CONTROL, TREATMENT
from deployments.traffic import evidence
from deployments.traffic.criteria import SPLIT_ALPHA
from deployments.traffic.sequence import LEAST_UNITS, Arm
from monitoring.drift.performance import canonical
from monitoring.models import Prediction

if TYPE_CHECKING:
    from deployments.proof.ranked import Judged, Tally

SCORERS = {Trial.Metric.AUC: "roc_auc", Trial.Metric.F1: "f1"}
BATCH = 50_000
LEAST_OF_A_TRUTH = 20  # units of a variant; of fewer the bootstrap's percentiles lie too close together
AT_HORIZON = (
    f"The horizon is reached. It is judged at the next look that finds {LEAST_OF_A_TRUTH} units with either truth in "
    "each variant."
)


def classes_of(version: ModelVersion) -> list[str]:
    """Return the classes a version tells probabilities of, the positive one last; none where it tells none."""
    outputs = {row.get("name"): row for row in version.signature.get("outputs", []) if isinstance(row, dict)}
    return [str(name) for name in outputs.get("probability", {}).get("classes", [])]


def waits_for(trial: Trial, control: int, treatment: int, now: datetime) -> str:
    """Say what the horizon of a running trial still lacks, empty once it is reached.

    Both minima of the plan have to be reached: what is judged once must not be judged on a quiet first week, nor on a
    busy first hour. Neither says anything about which variant is better.

    Parameters
    ----------
    control, treatment
        Units with ground truth of each variant.
    """
    assert trial.started_at is not None  # it runs
    at = trial.started_at + timedelta(days=trial.minimum_days)
    missing = []
    if now < at:
        missing.append(f"{trial.minimum_days} days, which end on {at:%-d %B %H:%M} UTC")
    if control + treatment < trial.minimum_units or min(control, treatment) < LEAST_UNITS:
        missing.append(
            f"{trial.minimum_units:,} units with ground truth, {LEAST_UNITS} of them in each variant; there are "
            f"{control + treatment:,}"
        )
    return f"It is judged once, after {', and after '.join(missing)}." if missing else ""


def judged(trial: Trial, *, now: datetime) -> TrialJudgement | None:
    """Read the log and judge, without a lock, when the horizon is reached; the row is not stored yet.

    None as well while the split is not the planned one, or a variant has too few units of either truth: what was read
    then is remembered, so that the log is not read again before there is new ground truth.
    """
    sources = list(EndpointRevision.objects.filter(trial=trial).values_list("pk", flat=True))
    arms = outcomes.arms(sources, metric=Trial.Metric.CORRECT)
    control, treatment = (arms.get(name, Arm()).units for name in (CONTROL, TREATMENT))
    if waits_for(trial, control, treatment, now) or not _is_split_right(trial, sources):
        return None
    known = outcomes.truths(sources)  # before the log: what comes meanwhile is read by the next look
    if known is not None and known == trial.truths_read:
        return None
    tallies = _tallies(trial, sources)
    if not all(name in tallies and tallies[name].suffices(LEAST_OF_A_TRUTH) for name in (CONTROL, TREATMENT)):
        Trial.objects.filter(pk=trial.pk).update(truths_read=known)
        return None
    return _row(trial, tallies, now)


def _is_split_right(trial: Trial, sources: Sequence[int]) -> bool:
    met = outcomes.units(sources)
    return evidence.mismatch(met.get(TREATMENT, 0), met.get(CONTROL, 0), trial.share) >= SPLIT_ALPHA


def _row(trial: Trial, tallies: "dict[str, Tally]", now: datetime) -> TrialJudgement:
    from deployments.proof import ranked

    found: Judged = ranked.judge(
        tallies[CONTROL], tallies[TREATMENT], SCORERS[Trial.Metric(trial.metric)], alpha=trial.alpha,
        seed=int(trial.plan_sha256[:16], 16),
    )  # fmt: skip
    return TrialJudgement(
        trial=trial, at=now, control_units=tallies[CONTROL].units, treatment_units=tallies[TREATMENT].units,
        control=found.control, treatment=found.treatment, difference=found.difference, low=found.low, high=found.high,
        rounds=ranked.ROUNDS,
    )  # fmt: skip


def _tallies(trial: Trial, sources: Sequence[int]) -> "dict[str, Tally]":
    """Count the labelled rows of each variant, batch by batch; the first batch says where the scores lie."""
    import numpy as np

    from deployments.proof import ranked

    held: dict[str, Tally] = {}
    edges = np.array([0.5])
    for batch in _batches(trial, sources):
        variants, units, scores, truths = (np.array(column) for column in zip(*batch, strict=True))
        if trial.metric == Trial.Metric.AUC and not held:
            edges = ranked.places_of(scores)
        for name in np.unique(variants):
            ours = variants == name
            tally = held.setdefault(str(name), ranked.Tally(edges))
            tally.add(units[ours], scores[ours], truths[ours])
    return held


def _batches(trial: Trial, sources: Sequence[int]) -> Iterator[list[tuple[str, int, float, int]]]:
    """Variant, unit, score and truth of the rows that have one of the two classes as their truth, oldest first.

    For F1 the score is the answer: 1 where it is the positive class.
    """
    spelled = cache(canonical)
    names = [spelled(name) for name in classes_of(trial.version)]
    positive = spelled(trial.positive)
    rows = Prediction.objects.filter(chunk__source__in=list(sources), unit__isnull=False, truths__isnull=False)
    if trial.metric == Trial.Metric.AUC:
        rows = rows.filter(score__isnull=False)
    values: Any = rows.order_by("pk").values_list("chunk__variant", "unit", "score", "value", "truths__label")
    kept = (
        (variant, unit, score if trial.metric == Trial.Metric.AUC else float(spelled(value) == positive),
         int(spelled(label) == positive))
        for variant, unit, score, value, label in values.iterator(chunk_size=5_000)
        if spelled(label) in names
    )  # fmt: skip
    while batch := list(islice(kept, BATCH)):
        yield batch
