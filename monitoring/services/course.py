"""A window as rules see it, and the windows before it for those rules that compare."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import accumulate
from typing import Any

import structlog

from monitoring import history, sums
from monitoring.drift import measures, score, series, shape
from monitoring.drift.evaluate import TRAFFIC, Facts, Finding, Limits, Question
from monitoring.drift.series import Comparison
from monitoring.models import AlertRule, Bucket, DriftScore, Monitor, Window
from monitoring.services import marked, segments, waiting

log = structlog.get_logger(__name__)

MOST_BEFORE = 200
MOST_SCORED = 60


def facts_of(window: Window, monitor: Monitor, scores: Sequence[DriftScore], *, measured: bool = False) -> Facts:
    """Return what rules look at in a window; ``scores`` are those of its columns, ``measured`` reads its cells too."""
    hidden = marked.columns(monitor) if any(one.others for one in scores) else frozenset()
    return Facts(
        labels={"endpoint": monitor.endpoint, "version": monitor.version},
        scores=scores,
        grids=monitor.reference,
        # an alert is read, and sent, by people who may not see values of a marked column
        others={one.column: one.others for one in scores if one.column not in hidden},
        rows=window.rows,
        requests=window.requests,
        seconds=monitor.step_seconds,
        errors=window.errors,
        latency_p99_us=window.latency_p99_us,
        latency_p95_us=window.latency_p95_us,
        latency_p50_us=window.latency_p50_us,
        measured=history.measured(monitor, window.starts_at, window.ends_at) if measured else {},
    )


def question_of(rule: AlertRule) -> Question:
    """Return a rule without its row."""
    limits = Limits(rule.op, rule.warn, rule.critical, rule.clear)
    by_column = rule.group_by == AlertRule.GroupBy.COLUMN
    return Question(rule.metric, limits, rule.column, by_column=by_column, min_samples=rule.min_samples)


def facts_of_all(monitor: Monitor, windows: Iterable[Window], *, rule: AlertRule) -> list[Facts]:
    """Facts of several windows of one monitor for a rule, in their order; one query for all the scores, or none."""
    listed, column = list(windows), rule.column
    measured = rule.metric in measures.WORDS
    scored = not measured and rule.metric not in TRAFFIC
    if rule.segment:
        return [own_facts(rule, monitor, window.ends_at) for window in listed]
    if waiting.of_one_version(rule):
        return _with_own_requests(monitor, listed)
    held: dict[int, list[DriftScore]] = {window.pk: [] for window in listed}
    if scored:
        rows = DriftScore.objects.filter(window__in=list(held)).order_by("pk")
        for one in (rows.filter(column=column) if column else rows).iterator():
            held[one.window_id].append(one)
    return [facts_of(window, monitor, held[window.pk], measured=measured) for window in listed]


def _with_own_requests(monitor: Monitor, windows: Sequence[Window]) -> list[Facts]:
    """Facts whose requests are those of the monitor's version; a window counts those of its endpoint. One query."""
    ends = sorted(window.ends_at for window in windows) or [monitor.valid_from]
    rows = Bucket.objects.filter(monitor=monitor, column=shape.TRAFFIC, hour__lt=ends[-1])
    counted = sorted(rows.filter(hour__gte=ends[0] - monitor.step).values_list("hour", "rows"))
    hours = [hour for hour, _ in counted]
    summed = list(accumulate((seen for _, seen in counted), initial=0))
    return [
        replace(
            facts_of(window, monitor, []),
            requests=summed[bisect_left(hours, window.ends_at)]
            - summed[bisect_left(hours, window.ends_at - monitor.step)],
        )
        for window in windows
    ]


def own_facts(rule: AlertRule, monitor: Monitor, end: datetime) -> Facts:
    """Return what a rule with a window of its own, or about one segment, looks at, from the counts of that time.

    A window of its own is at least one step of counting long: there is nothing finer to look at. Without one, a
    segment of few requests is looked at over a longer time, as all requests are.
    """
    if rule.is_about_requests:
        return facts_of_requests(rule, monitor, [end])[0]
    start = _start(rule, monitor, end)
    if rule.metric in measures.WORDS:
        bare = facts_of(Window(starts_at=start, ends_at=end), monitor, [])
        found = history.measured(monitor, start, end, segment=rule.segment)
        return replace(bare, labels=_labels(rule, bare), measured=found)
    counts = history.counts_of(monitor, start, end, segment=rule.segment)
    scores = [
        DriftScore(others=counts[one.column].get("others", {}), **_fields(one))
        for one in score.columns(monitor.reference, counts, min_samples=monitor.min_samples)
        if one.column in counts
    ]
    window = Window(starts_at=start, ends_at=end, rows=history.rows_of(counts))
    facts = facts_of(window, monitor, scores)
    return replace(facts, labels=_labels(rule, facts))


def _start(rule: AlertRule, monitor: Monitor, end: datetime) -> datetime:
    if rule.window_seconds:
        return end - timedelta(seconds=rule.reach_on(monitor))
    return sums.begin(monitor, end, segment=rule.segment)


def _labels(rule: AlertRule, facts: Facts) -> dict[str, str]:
    return facts.labels | ({"segment": segments.told(rule)} if rule.segment else {})


def facts_of_requests(rule: AlertRule, monitor: Monitor, ends: Sequence[datetime]) -> list[Facts]:
    """Return what a rule about requests with a window of its own looks at, at each of some moments, oldest first."""
    if not ends:
        return []
    longest = max(timedelta(seconds=rule.reach_on(monitor)), monitor.step)
    alone = waiting.of_one_version(rule)
    read = history.requests_between(monitor, ends[0] - longest, ends[-1], alone=alone)
    return [_of_requests(rule, monitor, end, read) for end in ends]


def _of_requests(rule: AlertRule, monitor: Monitor, end: datetime, read: history.Requests) -> Facts:
    start, counts = read.before(end, rule, monitor)
    window = Window(starts_at=start, ends_at=end)
    history.add_requests(window, counts.get(shape.TRAFFIC))
    seconds = (end - start).total_seconds()
    return replace(facts_of(window, monitor, []), seconds=seconds, measured=history.of_requests(counts))


def _fields(one: score.Score) -> dict[str, Any]:
    known = {field.name for field in DriftScore._meta.get_fields()}
    return {name: value for name, value in asdict(one).items() if name in known}


class Course:
    """One window; what was before it is read when the first rule asks for it."""

    def __init__(self, window: Window) -> None:
        self.window, self.monitor = window, window.monitor

    @cached_property
    def facts(self) -> Facts:
        """Of the window."""
        return facts_of(self.window, self.monitor, list(self.window.scores.order_by("pk")))

    @cached_property
    def measured(self) -> Facts:
        """Of the window, with what its cells say of performance, fairness and labels."""
        return facts_of(self.window, self.monitor, self.facts.scores, measured=True)

    @cached_property
    def before(self) -> list[Window]:
        """Windows of the monitor that ended earlier, oldest first."""
        rows = Window.objects.filter(monitor=self.monitor, ends_at__lt=self.window.ends_at).order_by("-ends_at")
        return list(rows.defer("reasons")[:MOST_BEFORE])[::-1]

    def ask(self, rule: AlertRule) -> Finding:
        """Apply a rule; one that fails must not stop the others, so the failure becomes an outcome."""
        try:
            comparison = Comparison(rule.compare, rule.over)
            if rule.segment and segments.is_counted_again(rule, self.monitor):
                return Finding("too_few", reason="Stored predictions are still being counted by this column.")
            if rule.window_seconds:
                return series.ask(question_of(rule), comparison, [own_facts(rule, self.monitor, self.window.ends_at)])
            return series.ask(question_of(rule), comparison, [*self._past(rule, comparison), self._now(rule)])
        except Exception as error:
            log.exception("a rule could not be evaluated", rule=rule.pk)
            return Finding("error", reason=f"{type(error).__name__}: {error}"[:500])

    def _now(self, rule: AlertRule) -> Facts:
        if rule.segment or waiting.of_one_version(rule):
            return facts_of_all(self.monitor, [self.window], rule=rule)[0]
        return self.measured if rule.metric in measures.WORDS else self.facts

    def _past(self, rule: AlertRule, comparison: Comparison) -> list[Facts]:
        if not comparison.needs_past:
            return []
        is_light = not rule.segment and (rule.metric in TRAFFIC or bool(rule.column))
        most = MOST_BEFORE if is_light else MOST_SCORED
        wanted = self.before[-min(most, comparison.reach - 1) :] if comparison.reach > 1 else []
        return facts_of_all(self.monitor, wanted, rule=rule)
