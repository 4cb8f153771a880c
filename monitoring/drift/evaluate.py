"""Apply one rule to one window: values, limits and the sentence that says what happened. Plain Python."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from monitoring.drift import levels, measures, shape, verdict
from monitoring.drift.lifecycle import Sample, Signal
from monitoring.drift.measures import Measure
from monitoring.drift.shape import Grid

CLEAR_SHARE = 0.8
DRIFT = frozenset({"drift.psi", "drift.share", "prediction.psi"})


@dataclass(frozen=True)
class Limits:
    """Of a rule: ``warn`` or ``critical`` may be None; ``clear`` is where it counts as recovered."""

    op: str
    warn: float | None
    critical: float | None
    clear: float | None = None

    @property
    def clear_limit(self) -> float:
        """The clear limit given, or 0.8 times (below: divided by 0.8) the milder limit."""
        if self.clear is not None:
            return self.clear
        milder = next((limit for limit in (self.warn, self.critical) if limit is not None), 0.0)
        return milder * CLEAR_SHARE if self.op == "above" else milder / CLEAR_SHARE

    def signal(self, value: float) -> Signal:
        """Where a value lies."""
        for name, limit in (("critical", self.critical), ("warn", self.warn)):
            if limit is not None and self._beyond(value, limit):
                return "critical" if name == "critical" else "warn"
        inside = value < self.clear_limit if self.op == "above" else value > self.clear_limit
        return "clear" if inside or value == self.clear_limit == 0 else "between"

    def passed(self, signal: Signal) -> float | None:
        """Return the limit that a signal passed, or the milder one."""
        if signal == "critical":
            return self.critical
        return self.warn if self.warn is not None else self.critical

    def _beyond(self, value: float, limit: float) -> bool:
        return value >= limit if self.op == "above" else value < limit


@dataclass(frozen=True)
class Facts:
    """One window as a rule sees it; ``scores`` are Score objects or rows with the same fields.

    ``seconds`` is the time its requests came in. ``measured`` holds what `monitoring.drift.measures` names; a metric
    that is missing there has no data.
    """

    labels: dict[str, str]
    scores: Sequence[Any]
    grids: dict[str, Grid]
    others: dict[str, dict[str, int]]
    rows: int
    requests: int = 0
    seconds: float = 0.0
    errors: int = 0
    latency_p99_us: float | None = None
    latency_p95_us: float | None = None
    latency_p50_us: float | None = None
    measured: Mapping[str, Measure] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """A rule without its database row."""

    metric: str
    limits: Limits
    column: str = ""
    by_column: bool = False
    min_samples: int = 0


@dataclass(frozen=True)
class Finding:
    """What came out: ``outcome`` is ok, breach, too_few or no_data, ``reason`` says why in the last two."""

    outcome: str
    samples: tuple[Sample, ...] = ()
    reason: str = ""


def ask(question: Question, facts: Facts) -> Finding:
    """Apply a rule to a window.

    Raises
    ------
    ValueError
        When there is no such metric.
    """
    found = _ask(question, facts)
    segment = facts.labels.get("segment")
    return _of_segment(found, segment) if segment else found


def _of_segment(found: Finding, segment: str) -> Finding:
    """Say in every sentence of which segment it is."""
    samples = tuple(replace(one, title=f"{one.title} ({segment})") for one in found.samples)
    return Finding(found.outcome, samples, f"{segment}: {found.reason}" if found.reason else "")


def _ask(question: Question, facts: Facts) -> Finding:
    if question.metric in TRAFFIC:
        return _traffic(question, facts)
    if question.metric in measures.WORDS:
        return _measured(question, facts)
    if not facts.rows:
        return Finding("no_data", reason="There were no requests in this window.")
    chosen = [one for one in facts.scores if _wanted(question, one)]
    if not chosen:
        return Finding("no_data", reason="The reference has no such column.")
    if question.metric in QUALITY:
        return _found([_quality(question, facts, group) for group in _groups(question, chosen)])
    if question.metric not in DRIFT:
        raise ValueError(f"There is no metric {question.metric!r}.")
    return _drift(question, facts, chosen)


def _wanted(question: Question, one: Any) -> bool:
    if question.column:
        return bool(one.column == question.column)
    wants_prediction = question.metric == "prediction.psi"
    return (one.role == "prediction") == wants_prediction


def _groups(question: Question, chosen: list[Any]) -> list[list[Any]]:
    return [[one] for one in chosen] if question.by_column else [chosen]


def _found(samples: list[Sample]) -> Finding:
    breach = any(sample.signal in ("warn", "critical") for sample in samples)
    return Finding("breach" if breach else "ok", tuple(samples))


def _labels(question: Question, facts: Facts, group: list[Any]) -> dict[str, str]:
    named = question.by_column or question.column
    return facts.labels | ({"column": group[0].column} if named else {})


# --- drift ---------------------------------------------------------------------------------------


def _drift(question: Question, facts: Facts, chosen: list[Any]) -> Finding:
    measured = [one for one in chosen if one.value is not None]
    if not measured:
        lost = next((one for one in chosen if one.state == "cannot_compute"), None)
        if lost is not None:
            return Finding("no_data", reason=f"cannot compute: {lost.reason}")
        return Finding("too_few", reason=chosen[0].reason)
    if question.metric == "drift.share":
        found = _found([_drift_share(question, facts, measured)])
    else:
        found = _found([_drift_psi(question, facts, group) for group in _groups(question, measured)])
    lost = [one for one in chosen if one.state == "cannot_compute"]
    if found.outcome == "ok" and lost and _matters(question, chosen, {one.column for one in lost}):
        return Finding("no_data", reason=f"cannot compute: {lost[0].column}: {lost[0].reason}")
    return found


def _drift_share(question: Question, facts: Facts, measured: list[Any]) -> Sample:
    moved = {one.column for one in measured if one.state == "alert"}
    share = verdict.weighted_share(measured, moved)
    signal = question.limits.signal(share)
    title = f"{len(moved)} of {len(measured)} features drifted"
    detail = f"They carry {share:.0%} of the model's importance: {', '.join(sorted(moved)[:5])}." if moved else ""
    return Sample(facts.labels, signal, share, question.limits.passed(signal), title, detail)


def _drift_psi(question: Question, facts: Facts, group: list[Any]) -> Sample:
    labels = _labels(question, facts, group)
    signal, moved = _worst(question, group)
    shown = max(moved or group, key=lambda one: (one.significant, one.value))
    limit = _scaled(shown, question.limits.passed(signal))
    if not moved:
        loud = [one for one in group if one.significant and _matters(question, group, {one.column})]
        quiet = all(question.limits.signal(_on_psi_scale(one)) == "clear" for one in loud)
        return Sample(
            labels, "clear" if quiet else "between", shown.value, limit, _drift_title(shown, 0), column=shown.column
        )
    title, detail = _drift_title(shown, len(moved) - 1), what_moved(shown, facts)
    return Sample(labels, signal, shown.value, limit, title, detail, shown.column)


def _worst(question: Question, group: list[Any]) -> tuple[Signal, list[Any]]:
    """Return the level that enough columns reach, and those columns."""
    for name in ("critical", "warn"):
        limit = question.limits.critical if name == "critical" else question.limits.warn
        if limit is None:
            continue
        moved = [one for one in group if one.significant and _on_psi_scale(one) >= limit]
        if moved and _matters(question, group, {one.column for one in moved}):
            return ("critical" if name == "critical" else "warn"), moved
    return "clear", []


def _matters(question: Question, group: list[Any], moved: set[str]) -> bool:
    alone = question.by_column or question.column or question.metric == "prediction.psi"
    return bool(alone) or verdict.matters(group, moved)


def _on_psi_scale(one: Any) -> float:
    """Value of a column on the scale of PSI limits: a boolean's share of 0.05 and 0.10 reads as 0.1 and 0.25."""
    value = float(one.value)
    if one.measure != "share":
        return value
    low, high = levels.SHARE_WARN, levels.SHARE_ALERT
    if value <= low:
        return value / low * levels.WARN
    return levels.WARN + (value - low) / (high - low) * (levels.ALERT - levels.WARN)


def _scaled(one: Any, limit: float | None) -> float | None:
    if limit is None or one.measure != "share":
        return limit
    low, high = levels.SHARE_WARN, levels.SHARE_ALERT
    if limit <= levels.WARN:
        return limit / levels.WARN * low
    return low + (limit - levels.WARN) / (levels.ALERT - levels.WARN) * (high - low)


def _drift_title(one: Any, more: int) -> str:
    name = shape.display(one.column)
    also = f" and {more} more" if more else ""
    if one.measure == "share":
        return f"{name}{also} drifted, share moved by {one.value:.0%}"
    return f"{name}{also} drifted, PSI {one.value:.2f}"


def what_moved(one: Any, facts: Facts) -> str:
    """Say in one sentence how a column differs from the reference."""
    grid = facts.grids.get(one.column)
    new = facts.others.get(one.column) or {}
    if new and one.unseen_share > levels.UNSEEN_SHARE:
        name, count = next(iter(new.items()))
        return f"A new value “{name}” arrived and is now {count / max(one.samples, 1):.0%} of requests."
    if grid and one.mean is not None and "mean" in grid:
        return f"Its mean moved from {grid['mean']:.4g} in training to {one.mean:.4g}."
    if one.measure == "share":
        return f"The share of true moved by {one.value:.0%} from the training data."
    return "Its distribution differs from the training data."


# --- quality -------------------------------------------------------------------------------------

QUALITY: dict[str, tuple[str, str]] = {
    "quality.null_share": ("null_excess", "{column} is missing in {share} of requests"),
    "quality.unseen": ("unseen_share", "{column} has values never seen in training in {share} of requests"),
    "quality.outside": ("outside_share", "{column} lies outside the training range in {share} of requests"),
}


def _quality(question: Question, facts: Facts, group: list[Any]) -> Sample:
    field, text = QUALITY[question.metric]
    worst = max(group, key=lambda one: getattr(one, field))
    value = float(getattr(worst, field))
    if worst.samples < question.min_samples and facts.rows < question.min_samples:
        return Sample(_labels(question, facts, group), "none")
    shown = worst.null_share if field == "null_excess" else value
    signal = question.limits.signal(value)
    title = text.format(column=worst.column, share=f"{shown:.1%}")
    limit, detail = question.limits.passed(signal), _quality_detail(worst, facts)
    return Sample(_labels(question, facts, group), signal, value, limit, title, detail, worst.column)


def _quality_detail(one: Any, facts: Facts) -> str:
    new = facts.others.get(one.column) or {}
    if new:
        return f"The commonest new value is “{next(iter(new))}”."
    grid = facts.grids.get(one.column)
    if grid is None:
        return ""
    if one.outside_share and "edges" in grid:
        return f"Training values lie between {grid['edges'][0]:.4g} and {grid['edges'][-1]:.4g}."
    return f"In the training data {grid['nulls'] / max(shape.size(grid), 1):.1%} were missing."


# --- traffic -------------------------------------------------------------------------------------


def _error_rate(facts: Facts) -> tuple[float | None, str]:
    share = facts.errors / facts.requests if facts.requests else None
    return share, f"{share or 0.0:.1%} of requests failed"


def _latency(field_: str, words: str) -> Callable[[Facts], tuple[float | None, str]]:
    def read(facts: Facts) -> tuple[float | None, str]:
        held = getattr(facts, field_)
        value = None if held is None else held / 1000
        return value, f"{words} latency is {value or 0.0:,.0f} ms"

    return read


def _requests(facts: Facts) -> tuple[float | None, str]:
    return float(facts.requests), f"{facts.requests:,} requests arrived"


def _rate(facts: Facts) -> tuple[float | None, str]:
    value = facts.requests / facts.seconds if facts.seconds else None
    return value, f"{value or 0.0:,.3g} requests a second arrived"


TRAFFIC: dict[str, Callable[[Facts], tuple[float | None, str]]] = {
    "error.rate": _error_rate,
    "latency.p99_ms": _latency("latency_p99_us", "99th percentile"),
    "latency.p95_ms": _latency("latency_p95_us", "95th percentile"),
    "latency.p50_ms": _latency("latency_p50_us", "Median"),
    "traffic.requests": _requests,
    "traffic.rps": _rate,
}


def _traffic(question: Question, facts: Facts) -> Finding:
    value, title = TRAFFIC[question.metric](facts)
    if value is None:
        return Finding("no_data", reason="There were no requests in this window.")
    if not question.metric.startswith("traffic.") and facts.requests < question.min_samples:
        return Finding("too_few", reason=f"{facts.requests} requests, at least {question.min_samples} are needed.")
    signal = question.limits.signal(value)
    detail = f"{facts.errors:,} of {facts.requests:,} requests failed." if facts.errors else ""
    return _found([Sample(facts.labels, signal, value, question.limits.passed(signal), title, detail)])


# --- performance, fairness, labels ---------------------------------------------------------------


def _measured(question: Question, facts: Facts) -> Finding:
    metric = question.metric
    held = facts.measured.get(metric, Measure(None))
    if held.value is None:
        return Finding("no_data", reason=measures.missing(metric))
    if held.samples < question.min_samples:
        return Finding("too_few", reason=f"{held.samples} rows, at least {question.min_samples} are needed.")
    signal = question.limits.signal(held.value)
    title = measures.title(metric, held.value)
    return _found([Sample(facts.labels, signal, held.value, question.limits.passed(signal), title, held.detail)])
