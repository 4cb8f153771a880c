"""Joins for the pages: the drift map of an endpoint, and the evidence of an alert."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.db.models import BigIntegerField, Max, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone

from monitoring import charts, history
from monitoring.drift import measures, shape
from monitoring.drift.score import columns as scores_of
from monitoring.drift.shape import Counts
from monitoring.models import Alert, AlertRule, Bucket, DriftScore, Incident, Monitor, RuleEvaluation, Silence, Window
from monitoring.models.alerts import SHOWN, AlertQuerySet, AlertState
from projects.models import Project
from projects.permissions import Permission
from projects.services.targets import Target

MEASURES = {"psi": "PSI", "ks": "KS", "wasserstein": "Wasserstein", "js": "Jensen-Shannon"}
RESOLVED_FOR = timedelta(days=7)
EVIDENCE_WINDOWS = 120
MEASURED_WINDOWS = 60


@dataclass(frozen=True)
class Cell:
    """One column of the drift map."""

    window_id: int | None
    ends_at: datetime
    name: str


@dataclass
class Row:
    """One feature of the drift map: a value for each cell."""

    column: str
    weight: float
    values: list[float | None]
    latest: DriftScore | None = None

    @property
    def now(self) -> float | None:
        """The newest value that is known."""
        return next((value for value in reversed(self.values) if value is not None), None)


def cells(endpoint_windows: Iterable[tuple[int, datetime]], *, until: datetime, span: int, cell: int) -> list[Cell]:
    """Pick for each stretch of ``cell`` seconds the last window that ended in it."""
    last = -(-int(until.timestamp()) // cell)
    first = last - -(-span // cell) + 1
    held = {-(-int(ends_at.timestamp()) // cell): (pk, ends_at) for pk, ends_at in endpoint_windows}
    made = []
    for number in range(first, last + 1):
        end = datetime.fromtimestamp(number * cell, tz=until.tzinfo)
        pk, ends_at = held.get(number, (None, end))
        made.append(Cell(pk, ends_at, charts.cell_name(end, cell)))
    return made


def _of_same(monitor: Monitor) -> Q:
    """Windows of a variant, or of whatever version was live on the endpoint."""
    if monitor.variant:
        return Q(monitor=monitor)
    return Q(monitor__project=monitor.project_id, monitor__endpoint=monitor.endpoint, monitor__variant="")


def first_end(monitor: Monitor) -> datetime | None:
    """When the first window of an endpoint ended, or of one variant of it."""
    return Window.objects.filter(_of_same(monitor)).order_by("ends_at").values_list("ends_at", flat=True).first()


def windows_of(monitor: Monitor, *, since: datetime) -> list[Window]:
    """Windows of an endpoint whatever its version, or of one variant of it; oldest first."""
    rows = Window.objects.filter(_of_same(monitor), ends_at__gt=since)
    return list(rows.order_by("ends_at").defer("reasons"))


def drift_rows(made: list[Cell], measure: str) -> tuple[list[Row], list[Row]]:
    """Rows of features and of outputs for the windows of the cells."""
    place = {cell.window_id: index for index, cell in enumerate(made) if cell.window_id is not None}
    features: dict[str, Row] = {}
    outputs: dict[str, Row] = {}
    for score in (
        DriftScore.objects.filter(window__in=list(place)).exclude(state="unscored").order_by("window__ends_at")
    ):
        rows = outputs if score.role == "prediction" else features
        row = rows.setdefault(score.column, Row(score.column, score.weight, [None] * len(made)))
        row.values[place[score.window_id]] = getattr(score, measure)
        row.weight, row.latest = score.weight, score
    return list(features.values()), list(outputs.values())


def counts_of(
    monitor: Monitor, columns: Iterable[str], start: datetime, end: datetime, segment: str = ""
) -> dict[str, Counts]:
    """Counts of some columns between two moments, of all requests or one segment, where they fit the reference."""
    grids = {column: monitor.reference[column] for column in columns if column in monitor.reference}
    found = history.counts_of(monitor, start, end, segment=segment, columns=list(grids))
    return {column: counts for column, counts in found.items() if shape.fits(grids[column], counts)}


def requests_between(monitor: Monitor, since: datetime, until: datetime) -> tuple[int, int]:
    """Requests and failures of an endpoint, or of one variant of it, between two moments.

    They are counted where requests are shipped to, so that what no window judged yet is counted as well.
    """
    whole = Q(monitor__project=monitor.project_id, monitor__endpoint=monitor.endpoint)
    asked = Q(monitor=monitor) if monitor.variant else whole
    rows = Bucket.objects.filter(asked, column=shape.TRAFFIC, hour__gte=since, hour__lt=until)
    failed = Cast(KeyTextTransform("nulls", "counts"), BigIntegerField())
    sums = rows.aggregate(requests=Sum("rows"), errors=Sum(failed))
    return sums["requests"] or 0, sums["errors"] or 0


# --- alerts ----------------------------------------------------------------------------------------


def _tabs(at: datetime) -> dict[str, Q]:
    shown = Q(state__in=SHOWN)
    return {
        "open": shown & Q(acknowledged_by=None, silenced=False),
        "acknowledged": shown & Q(acknowledged_by__isnull=False, silenced=False),
        "silenced": shown & Q(silenced=True),
        "resolved": Q(state=AlertState.RESOLVED, resolved_at__gt=at - RESOLVED_FOR),
    }


def alerts_in(project: Project, tab: str) -> AlertQuerySet:
    """Alerts of one tab, worst first, with all that a line shows."""
    at = timezone.now()
    rows = Alert.objects.in_project(project).annotate(silenced=Silence.objects.condition(at))
    found = rows.filter(_tabs(at)[tab]).select_related("rule", "assigned_to", "acknowledged_by")
    return found.order_by("-resolved_at", "-pk") if tab == "resolved" else found.worst_first()


def alerts_by_state(project: Project, state: str) -> AlertQuerySet:
    """Alerts of one state for the API; ``open`` is whatever is not over, acknowledged or not."""
    at = timezone.now()
    rows = Alert.objects.in_project(project).annotate(silenced=Silence.objects.condition(at))
    where = {
        "open": Q(state__in=SHOWN),
        "acknowledged": Q(state__in=SHOWN, acknowledged_by__isnull=False),
        "silenced": Q(state__in=SHOWN, silenced=True),
        "resolved": Q(state=AlertState.RESOLVED),
        "all": ~Q(state=AlertState.INACTIVE),
    }
    return rows.filter(where[state]).select_related("project", "rule", "assigned_to", "acknowledged_by", "monitor")


def alert_counts(project: Project) -> dict[str, int]:
    """How many alerts each tab holds; few are open at a time, so those are counted here."""
    at = timezone.now()
    rows = Alert.objects.in_project(project).shown().annotate(silenced=Silence.objects.condition(at))
    found = list(rows.values_list("silenced", "acknowledged_by"))
    silenced = sum(hidden for hidden, _by in found)
    acknowledged = sum(by is not None for hidden, by in found if not hidden)
    recent = Alert.objects.in_project(project).filter(state=AlertState.RESOLVED, resolved_at__gt=at - RESOLVED_FOR)
    return {
        "open": len(found) - silenced - acknowledged,
        "acknowledged": acknowledged,
        "silenced": silenced,
        "resolved": recent.count(),
    }


def evidence(alert: Alert) -> list[tuple[datetime, float | None]]:
    """Values of an alert's metric over the newest windows of its monitor, oldest first; three queries at most."""
    if alert.monitor is None:
        return []
    metric = alert.rule.metric
    if alert.rule.is_about_requests and (pace := alert.rule.pace_on(alert.monitor)):
        return _of_requests(alert, alert.monitor, pace)
    if metric in measures.WORDS:
        return _measured(alert.monitor, metric, alert.rule.segment)
    if alert.rule.segment:
        return _scored(alert, alert.monitor)
    if metric in OF_WINDOW:
        windows = Window.objects.filter(monitor=alert.monitor).defer("reasons").order_by("-ends_at")
        return [(window.ends_at, OF_WINDOW[metric](window)) for window in reversed(windows[:EVIDENCE_WINDOWS])]
    scores = DriftScore.objects.filter(window__monitor=alert.monitor, column=alert.column)
    pairs = scores.order_by("-window__ends_at").values_list("window__ends_at", OF_SCORE.get(metric, "value"))
    return list(reversed(pairs[:EVIDENCE_WINDOWS]))


def _of_requests(alert: Alert, monitor: Monitor, pace: int) -> list[tuple[datetime, float | None]]:
    """Values of a rule about requests over its own windows; the newest that it looked at is the last."""
    last = RuleEvaluation.objects.filter(rule=alert.rule, monitor=monitor).aggregate(last=Max("window_end"))["last"]
    if last is None:
        return []
    ends = [last - timedelta(seconds=pace * number) for number in reversed(range(EVIDENCE_WINDOWS))]
    read = history.requests_between(monitor, ends[0] - monitor.step, last)
    return [(end, _value(alert.rule, monitor, *read.before(end, alert.rule, monitor), end)) for end in ends]


def _value(
    rule: AlertRule, monitor: Monitor, start: datetime, counts: dict[str, Counts], end: datetime
) -> float | None:
    if rule.metric in measures.WORDS:
        held = history.of_requests(counts).get(rule.metric)
        return held.value if held else None
    window = Window(monitor=monitor)
    history.add_requests(window, counts.get(shape.TRAFFIC))
    if rule.metric == "traffic.rps":
        return window.requests / (end - start).total_seconds()
    return OF_WINDOW[rule.metric](window)


def _spans(monitor: Monitor) -> list[tuple[datetime, datetime]]:
    rows = Window.objects.filter(monitor=monitor).order_by("-ends_at")
    return list(rows.values_list("starts_at", "ends_at")[:MEASURED_WINDOWS])[::-1]


def _scored(alert: Alert, monitor: Monitor) -> list[tuple[datetime, float | None]]:
    """Values of one column of a segment over the newest windows, from counts that are read once."""
    grid, spans = monitor.reference.get(alert.column), _spans(monitor)
    if grid is None or not spans:
        return []
    first = min(start for start, _end in spans)
    stored = history.read(monitor, first, spans[-1][1], [alert.column], segment=alert.rule.segment)
    field, found = OF_SCORE.get(alert.rule.metric, "value"), []
    for start, end in spans:
        counts = [counts for _at, _column, counts in stored.within(start, end).buckets]
        whole = {alert.column: history.merged(monitor, alert.column, counts)} if counts else {}
        one = scores_of({alert.column: grid}, whole, min_samples=monitor.min_samples)[0] if whole else None
        found.append((end, getattr(one, field) if one else None))
    return found


def _measured(monitor: Monitor, metric: str, segment: str) -> list[tuple[datetime, float | None]]:
    """Figures of the newest windows from what is stored of all of them, read once."""
    spans = _spans(monitor)
    if not spans:
        return []
    stored = history.read(monitor, min(start for start, _end in spans), spans[-1][1], segment=segment)
    found = [history.figures_of(monitor, stored.within(start, end)).get(metric) for start, end in spans]
    return [(end, one.value if one else None) for (_start, end), one in zip(spans, found, strict=True)]


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else value / 1000


# What a window says of each metric that is not measured by column or from cells.
OF_WINDOW: dict[str, Callable[[Window], float | None]] = {
    "error.rate": lambda window: window.error_share if window.requests else None,
    "latency.p50_ms": lambda window: _milliseconds(window.latency_p50_us),
    "latency.p95_ms": lambda window: _milliseconds(window.latency_p95_us),
    "latency.p99_ms": lambda window: _milliseconds(window.latency_p99_us),
    "traffic.requests": lambda window: float(window.requests),
    "traffic.rps": lambda window: window.requests / window.monitor.step_seconds,
    "drift.share": lambda window: window.weighted_share,
}
OF_SCORE = {"quality.null_share": "null_share", "quality.unseen": "unseen_share", "quality.outside": "outside_share"}


def latest_window(monitor: Monitor) -> Window | None:
    """Return the newest window of a monitor."""
    return Window.objects.filter(monitor=monitor).order_by("-ends_at").first()


def facts_of_scores(window: Window) -> dict[str, Any]:
    """How many features were judged and drifted in a window, and the worst gap."""
    scores = list(window.scores.filter(role="feature"))
    judged = [score for score in scores if score.value is not None]
    worst = max(scores, key=lambda score: score.null_share, default=None)
    return {"judged": len(judged), "drifted": sum(score.state == "alert" for score in judged), "worst_gap": worst}


def alert_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Alerts as things that carry stars and comments."""
    for row in Alert.objects.filter(pk__in=numbers).select_related("project"):
        yield Target(
            "alert", row, row.project_id, row.title, f"/p/{row.project.slug}/alerts/{row.pk}/", Permission.MONITOR_VIEW
        )


def incident_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Incidents as things that carry stars and comments."""
    for row in Incident.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/incidents/{row.pk}/"
        label = f"incident {row.pk}, {row.title}"
        yield Target("incident", row, row.project_id, label, href, Permission.MONITOR_VIEW)


def monitor_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Monitors as things that carry stars and comments: one version at one endpoint, whose page shows the newest."""
    for row in Monitor.objects.filter(pk__in=numbers).select_related("project").defer("reference"):
        href = f"/p/{row.project.slug}/monitoring/?endpoint={quote(row.endpoint, safe='')}"
        yield Target("monitor", row, row.project_id, str(row), href, Permission.MONITOR_VIEW, apart=True)


def rule_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Alert rules as things that carry stars and comments."""
    for row in AlertRule.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/monitoring/rules/{row.pk}/"
        yield Target("rule", row, row.project_id, row.name, href, Permission.MONITOR_VIEW)
