"""Judging metrics: over all rows, by segment, and the gap between groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deployments.proof import threshold
from deployments.proof.rules_judges import Judge, nothing, verdict
from deployments.proof.rules_shapes import (
    RATES,
    Facts,
    Gate,
    Groups,
    Metric,
    Outcome,
    Segment,
    plain_number,
    signed,
)
from experiments.training.catalogue import METRICS

SEED = 20_261_122  # of the interval: the same counts give the same verdict again
ROUNDING = 1e-12  # a difference of two sums is not exact


@dataclass(frozen=True)
class Found:
    """What one comparison says: whether it is inside, by how much, and the allowance in words."""

    good: bool
    evidence: bool
    rule: str
    words: str


def metric_not_worse(gate: Gate, facts: Facts) -> Outcome:
    """Judge one metric against production."""
    metric = _pick(facts.metrics, gate.metric)
    title = f"{metric.label if metric else _label(gate.metric)} not worse than production"
    if metric is None:
        why = facts.evaluation or f"{gate.metric} was not measured"
        return nothing(gate, title, "measured on the same rows", why, metric=gate.metric)
    if metric.production is None and facts.evaluation:
        return nothing(gate, title, "compared with production", facts.evaluation, metric=gate.metric)
    found = _against(gate, metric)
    if not found.evidence:
        return nothing(gate, title, found.rule, found.words, metric=gate.metric)
    return verdict(gate, title, found.good, found.rule, found.words, metric=gate.metric, detail=_interval(metric))


def metric_at_least(gate: Gate, facts: Facts) -> Outcome:
    """Judge one metric against a fixed value."""
    metric = _pick(facts.metrics, gate.metric)
    if metric is None:
        why = facts.evaluation or f"{gate.metric} was not measured"
        return nothing(gate, f"{_label(gate.metric)} bar", plain_number(gate.limit or 0.0), why, metric=gate.metric)
    rule, good = _bar(gate, metric)
    return verdict(gate, f"{metric.label} bar", good, rule, plain_number(metric.candidate), metric=gate.metric)


def expected_cost(gate: Gate, facts: Facts) -> Outcome:
    """Judge what the mistakes at one threshold cost against production."""
    title, rule = (
        f"Expected cost at {plain_number(gate.threshold)} not worse than production",
        "weighed on the same rows",
    )
    counts = facts.decisions
    if counts is None:
        return nothing(gate, title, rule, facts.evaluation or "no mistakes were counted: this is no binary classifier")
    if not counts.compared and facts.evaluation:
        return nothing(gate, title, rule, facts.evaluation)
    costs = threshold.Costs(gate.false_positive, gate.false_negative)
    weighed = threshold.at(counts.cells[threshold.place(gate.threshold)], costs, compared=counts.compared, seed=SEED)
    ours, theirs, change = weighed["candidate"], weighed["baseline"] or {}, weighed["difference"] or {}
    metric = Metric(
        "expected_cost", "Expected cost", "lower", ours["value"], theirs.get("value"), change.get("value"),
        change.get("low"), change.get("high"),
    )  # fmt: skip
    found = _against(gate, metric)
    words = f"{plain_number(ours['value'])} a row, {found.words}"
    return verdict(gate, title, found.good, found.rule, words, detail=_interval(metric))


def segment_not_worse(gate: Gate, facts: Facts) -> Outcome:
    """Judge one metric against production in each segment."""
    return _segments(gate, facts, lambda metric: _against(gate, metric))


def segment_at_least(gate: Gate, facts: Facts) -> Outcome:
    """Judge one metric against a fixed value in each segment."""

    def compare(metric: Metric) -> Found:
        rule, good = _bar(gate, metric)
        return Found(good, True, rule, plain_number(metric.candidate))

    return _segments(gate, facts, compare)


def fairness_ratio(gate: Gate, facts: Facts) -> Outcome:
    """Judge the lowest selection rate as a share of the highest."""
    title, rule = f"Selection ratio by {gate.column}", f"at least {plain_number(gate.limit or 0.0)}"
    groups = _groups(gate, facts)
    if groups is None or groups.ratio is None:
        return nothing(gate, title, rule, _no_groups(gate, facts))
    return verdict(gate, title, groups.ratio >= (gate.limit or 0.0), rule, plain_number(groups.ratio))


def fairness_gap(gate: Gate, facts: Facts) -> Outcome:
    """Judge the difference between the highest and the lowest rate of the groups."""
    title = f"Gap in {RATES[gate.measure]} by {gate.column}"
    rule = f"at most {plain_number(gate.limit or 0.0)}"
    groups = _groups(gate, facts)
    rates = groups.rates.get(gate.measure, {}) if groups else {}
    if len(rates) < 2:
        return nothing(gate, title, rule, _no_groups(gate, facts))
    low, high = min(rates, key=lambda name: rates[name]), max(rates, key=lambda name: rates[name])
    gap = rates[high] - rates[low]
    found = f"{plain_number(gap)}, between {high} and {low}"
    return verdict(gate, title, gap <= (gate.limit or 0.0) + ROUNDING, rule, found)


def fairness_not_worse(gate: Gate, facts: Facts) -> Outcome:
    """Judge one rate of each group against production on the same rows."""
    where = gate.column + (f" = {gate.value}" if gate.value else "")
    title = f"{RATES[gate.measure].capitalize()} by {where} not worse than production"
    rule, groups = "compared with production in each group", _groups(gate, facts)
    changes = groups.changes if groups else {}
    rows = {name: found for name, found in changes.items() if _meant(gate, facts) in ("", name)}
    metrics = {name: metric for name, found in rows.items() if (metric := _pick(found, gate.measure))}
    if not metrics:
        return nothing(gate, title, rule, _no_rates(gate, facts, rows))
    if facts.evaluation and any(metric.production is None for metric in metrics.values()):
        return nothing(gate, title, rule, facts.evaluation)
    found = {name: _against(gate, metric) for name, metric in metrics.items()}
    name = min(found, key=lambda name: _rank(found[name], metrics[name]))
    worst, words = found[name], f"{gate.column} = {name}: {found[name].words}"
    if not worst.evidence:
        return nothing(gate, title, worst.rule, words)
    return verdict(gate, title, worst.good, worst.rule, words, detail=_interval(metrics[name]))


def _rank(found: Found, metric: Metric) -> tuple[int, float]:
    """Put what fails before what cannot be judged, that before what passes, and the largest loss first in each."""
    loss = (metric.difference or 0.0) * (-1 if metric.better == "higher" else 1)
    return (2 if found.good else 0 if found.evidence else 1), -loss


def _no_rates(gate: Gate, facts: Facts, rows: Mapping[str, tuple[Metric, ...]]) -> str:
    if rows:
        return f"{RATES[gate.measure]} has no value in any group"
    part = facts.missing.get(f"fairness: {gate.column}")
    if gate.value and _groups(gate, facts):
        return part or f"no group {gate.value} of {gate.column} was measured"
    return part or _no_groups(gate, facts)


def _label(key: str) -> str:
    """Name a metric that was not measured as people know it."""
    return METRICS[key]["label"] if key in METRICS else key


def _pick(metrics: tuple[Metric, ...], key: str) -> Metric | None:
    return next((item for item in metrics if item.key == key), None)


def _against(gate: Gate, metric: Metric) -> Found:
    if metric.production is None or metric.difference is None:
        return Found(True, True, "no production version", "nothing in production yet")
    allowed = gate.margin * abs(metric.production) if gate.relative else gate.margin
    higher = metric.better == "higher"
    rule = f"not below {signed(-allowed)}" if higher else f"not above {signed(allowed)}"
    end = metric.difference
    if gate.interval:
        rule = f"95% interval {rule}"
        bound = metric.low if higher else metric.high
        if bound is None:
            return Found(False, False, rule, "no interval was measured")
        end = min(bound, end) if higher else max(bound, end)
    return Found((-end if higher else end) <= allowed + ROUNDING, True, rule, signed(end))


def _bar(gate: Gate, metric: Metric) -> tuple[str, bool]:
    limit, higher = gate.limit or 0.0, metric.better == "higher"
    good = metric.candidate >= limit if higher else metric.candidate <= limit
    return f"{'at least' if higher else 'at most'} {plain_number(limit)}", good


def _segments(gate: Gate, facts: Facts, compare: Callable[[Metric], Found]) -> Outcome:
    rows = [item for item in facts.segments if item.column == gate.column and _meant(gate, facts) in ("", item.value)]
    large = [
        (item, metric) for item in rows if item.rows >= gate.least_rows if (metric := _pick(item.metrics, gate.metric))
    ]
    label = large[0][1].label if large else gate.metric
    title = f"{label} by {gate.column}" + (f" = {gate.value}" if gate.value else "")
    if not large:
        return nothing(gate, title, "measured in each segment", _no_segments(gate, facts, rows), metric=gate.metric)
    found = [(item, compare(metric)) for item, metric in large]
    worst = next((pair for pair in found if pair[1].evidence and not pair[1].good), None)
    unknown = next((pair for pair in found if not pair[1].evidence), None)
    if worst:
        words = f"{_place(worst[0])}: {worst[1].words}"
        return verdict(gate, title, False, worst[1].rule, words, metric=gate.metric)
    if unknown:
        return nothing(gate, title, unknown[1].rule, f"{_place(unknown[0])}: {unknown[1].words}", metric=gate.metric)
    count = f"{len(large)} segment{'s' if len(large) > 1 else ''} inside"
    return verdict(gate, title, True, found[0][1].rule, count, metric=gate.metric)


def _no_segments(gate: Gate, facts: Facts, rows: list[Segment]) -> str:
    if facts.evaluation and not facts.segments:
        return facts.evaluation
    if why := facts.missing.get("segments"):
        return why
    if not rows:
        return f"no segment of {gate.column}{f' = {gate.value}' if gate.value else ''} was measured"
    if all(item.rows < gate.least_rows for item in rows):
        return f"no segment of {gate.column} has {gate.least_rows:g} rows"
    return f"{gate.metric} was not measured by {gate.column}"


def _meant(gate: Gate, facts: Facts) -> str:
    """Return what the group that a gate names is called in the facts; empty means every group."""
    return facts.called.get(gate.column, {}).get(gate.value, gate.value)


def _groups(gate: Gate, facts: Facts) -> Groups | None:
    return next((item for item in facts.groups if item.column == gate.column), None)


def _no_groups(gate: Gate, facts: Facts) -> str:
    return facts.missing.get("fairness") or facts.evaluation or f"no groups of {gate.column} were measured"


def _place(segment: Segment) -> str:
    return f"{segment.column} = {segment.value}"


def _interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f"95% interval {signed(metric.low)} to {signed(metric.high)}"


JUDGES: dict[str, Judge] = {
    judge.__name__: judge
    for judge in (
        metric_not_worse, metric_at_least, expected_cost, segment_not_worse, segment_at_least, fairness_ratio,
        fairness_gap, fairness_not_worse,
    )
}  # fmt: skip
