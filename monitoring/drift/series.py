"""Judge a value against its own past: against the reference stretch, the windows before, or by a clipped CUSUM.

Source: serving-monitoring.md, sections 5.6 and 6.1. Fewer values than the baseline needs give no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from monitoring.drift import evaluate
from monitoring.drift.evaluate import Facts, Finding, Limits, Question
from monitoring.drift.lifecycle import Sample

BASELINE = 28
SLACK, CLIP, MAD_TO_SIGMA = 0.75, 4.0, 1.4826
TINY, MOST = 1e-9, 1e6
WORDS = {
    "static": "",
    "vs_reference": "{value:+.0%} against the first windows of this version",
    "vs_previous": "{value:+.0%} against the windows before",
    "cusum": "a shift that lasts (CUSUM {value:.1f})",
}


@dataclass(frozen=True)
class Comparison:
    """``kind`` is static, vs_reference, vs_previous or cusum; the value is the mean of the last ``over`` windows."""

    kind: str = "static"
    over: int = 1

    @property
    def needs_past(self) -> bool:
        """Whether one window alone cannot be judged."""
        return self.kind != "static" or self.over > 1

    @property
    def reach(self) -> int:
        """How many windows are looked at."""
        return {"static": self.over, "vs_previous": 2 * self.over}.get(self.kind, BASELINE + 172)


def compared(comparison: Comparison, values: Sequence[float], *, rising: bool = True) -> float | None:
    """Value to hold against the limits; None while there are too few.

    Parameters
    ----------
    values : sequence of float
        Oldest first, the newest is judged.
    rising : bool
        For CUSUM: whether rises or falls are looked for.

    Notes
    -----
    Changes are relative: 0.2 is 20 % more. CUSUM: k = 0.75 and inputs clipped at 4 sigma over the first 28 values,
    sigma from the median absolute deviation; 8 is the limit that gave 1 % false alarms in 92 quiet days.
    """
    over = comparison.over
    if len(values) < over:
        return None
    now = fmean(values[-over:])
    if comparison.kind == "static":
        return now
    if comparison.kind == "vs_previous":
        return None if len(values) < 2 * over else _change(now, fmean(values[-2 * over : -over]))
    if len(values) <= BASELINE:
        return None
    baseline = values[:BASELINE]
    if comparison.kind == "vs_reference":
        return _change(now, median(baseline))
    return _cusum(baseline, values[BASELINE:], 1.0 if rising else -1.0)


def _change(now: float, before: float) -> float:
    return max(-MOST, min(MOST, (now - before) / max(abs(before), TINY)))


def _cusum(baseline: Sequence[float], values: Sequence[float], sign: float) -> float:
    middle = median(baseline)
    sigma = max(MAD_TO_SIGMA * median(abs(value - middle) for value in baseline), TINY, abs(middle) * 1e-6)
    total = 0.0
    for value in values:
        score = max(-CLIP, min(CLIP, sign * (value - middle) / sigma))
        total = max(0.0, total + score - SLACK)
    return total


def ask(question: Question, comparison: Comparison, course: Sequence[Facts]) -> Finding:
    """Apply a rule to the newest of some windows, oldest first; a single one when the rule needs no past."""
    if not comparison.needs_past:
        return evaluate.ask(question, course[-1])
    bare = without_limits(question)
    findings = [evaluate.ask(bare, facts) for facts in course[-comparison.reach :]]
    if findings[-1].outcome not in ("ok", "breach"):
        return findings[-1]
    past: dict[str, list[float]] = {}
    for finding in findings:
        remember(past, finding)
    return judged(question.limits, comparison, findings[-1], past)


def without_limits(question: Question) -> Question:
    """Return a question that measures and judges nothing."""
    return replace(question, limits=Limits(question.limits.op, None, None, None))


def remember(past: dict[str, list[float]], finding: Finding) -> None:
    """Append the values of a window to the course of each set of labels."""
    for sample in finding.samples:
        if sample.value is not None:
            past.setdefault(_key(sample), []).append(sample.value)


def judged(limits: Limits, comparison: Comparison, newest: Finding, past: dict[str, list[float]]) -> Finding:
    """Give the samples of the newest window the signals of their course."""
    rising = limits.op == "above"
    held = Limits("above", limits.warn, limits.critical, limits.clear) if comparison.kind == "cusum" else limits
    samples = []
    for sample in newest.samples:
        value = compared(comparison, past.get(_key(sample), ()), rising=rising)
        samples.append(replace(sample, signal="none") if value is None else _signalled(held, comparison, sample, value))
    breach = any(sample.signal in ("warn", "critical") for sample in samples)
    if all(sample.signal == "none" for sample in samples):
        return Finding("too_few", reason="There are too few windows to compare with.")
    return Finding("breach" if breach else "ok", tuple(samples))


def _signalled(limits: Limits, comparison: Comparison, sample: Sample, value: float) -> Sample:
    signal = limits.signal(value)
    words = WORDS[comparison.kind].format(value=value)
    title = f"{sample.title}, {words}" if words else sample.title
    return replace(sample, signal=signal, value=value, limit=limits.passed(signal), title=title)


def _key(sample: Sample) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
