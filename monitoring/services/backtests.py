"""Play a rule back over stored windows before it is saved: when it would have fired, and whether that was real."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from monitoring.drift import evaluate, measures, series
from monitoring.drift.evaluate import Facts, Finding, Question
from monitoring.drift.lifecycle import Life, Policy, step
from monitoring.drift.series import Comparison
from monitoring.models import Alert, AlertRule, DriftScore, Incident, Monitor, Window
from monitoring.models.windows import spoken
from monitoring.services.course import facts_of_all, facts_of_requests, own_facts, question_of
from monitoring.services.waiting import OF_THE_WHOLE, delay_of, of_one_version
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

DAYS = 90
MOST_SCORES = 150_000
MOST_WINDOWS = 26_000  # 90 days in steps of five minutes
MOST_MEASURED = 400  # cells of a window are read for each
MOST_OF_SEGMENT = 120  # counts of all columns are read and compared for each
NEAR = timedelta(hours=1)
DAY = 86_400


@dataclass(frozen=True)
class Firing:
    """One time the rule would have fired, and what people said of that time: real, false or nothing."""

    at: datetime
    until: datetime | None
    endpoint: str
    title: str
    level: str
    judgement: str = ""
    incident: int | None = None


@dataclass
class Played:
    """The outcome; ``since`` is later than asked for when there are too many scores to look at at once.

    ``undecided`` counts windows with too little data for a verdict: a rule that never had one is not a quiet one.
    ``every_seconds`` says that not each window was looked at, but one in this time.
    """

    since: datetime
    until: datetime
    windows: int = 0
    undecided: int = 0
    every_seconds: int = 0
    firings: list[Firing] = field(default_factory=list)
    missed: int = 0

    @property
    def real(self) -> int:
        """How many fell into trouble that people called real."""
        return sum(one.judgement == Alert.Judgement.REAL for one in self.firings)

    @property
    def false(self) -> int:
        """How many fell into what people called a false alarm."""
        return sum(one.judgement == Alert.Judgement.FALSE for one in self.firings)

    @property
    def precision(self) -> float | None:
        """Share of the judged ones that were real."""
        judged = self.real + self.false
        return self.real / judged if judged else None

    @property
    def every(self) -> str:
        """One window in which time was looked at, in words; empty when each was."""
        return spoken(self.every_seconds) if self.every_seconds else ""

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        days = max(round((self.until - self.since) / timedelta(days=1)), 1)
        times = f"{len(self.firings)} time{'s' if len(self.firings) != 1 else ''}"
        said = f"; {self.real} inside real trouble, {self.false} false" if self.real + self.false else ""
        missed = f"; {self.missed} real incident{'s' if self.missed != 1 else ''} without it" if self.missed else ""
        return f"Would have fired {times} in {days} day{'s' if days != 1 else ''}{said}{missed}."


def play(by: Actor, *, project: Project, rule: AlertRule, days: int = DAYS, now: datetime | None = None) -> Played:
    """Apply a rule, stored or not, to every stored window of the last days; nothing is changed.

    Returns
    -------
    Played
        Firings, oldest first, joined with what people said of alerts and incidents of those times.
    """
    require(by, Permission.MONITOR_VIEW, project)
    now = now or timezone.now()
    monitors = _monitors(project, rule)
    since = _since(monitors, rule, now - timedelta(days=days))
    played = Played(since, now)
    for monitor in monitors:
        _play_one(played, monitor, rule)
    played.firings.sort(key=lambda one: one.at)
    _judge(played, project, rule)
    return played


def _monitors(project: Project, rule: AlertRule) -> list[Monitor]:
    rows = Monitor.objects.in_project(project)
    rows = rows.filter(endpoint=rule.endpoint) if rule.endpoint else rows
    rows = rows.filter(version=rule.version) if rule.version else rows
    rows = rows.main() if rule.metric in OF_THE_WHOLE and not of_one_version(rule) else rows
    return [one for one in rows.defer("reference").order_by("endpoint", "valid_from") if rule.concerns(one)]


def _scored(rule: AlertRule) -> bool:
    return not rule.segment and rule.metric not in evaluate.TRAFFIC and rule.metric not in measures.WORDS


def _since(monitors: Sequence[Monitor], rule: AlertRule, since: datetime) -> datetime:
    """Begin later when the scores would be too many to read while somebody waits."""
    if not _scored(rule):
        return since
    rows = DriftScore.objects.filter(window__monitor__in=[one.pk for one in monitors], window__ends_at__gt=since)
    rows = rows.filter(column=rule.column) if rule.column else rows
    count = rows.count()
    if count <= MOST_SCORES:
        return since
    return timezone.now() - (timezone.now() - since) * (MOST_SCORES / count)


def _play_one(played: Played, monitor: Monitor, rule: AlertRule) -> None:
    ends, course = _course(played, monitor, rule)
    played.windows += len(ends)
    lives: dict[str, Life] = {}
    open_: dict[str, Firing] = {}
    policy = Policy(rule.needed, rule.of, rule.keep_firing)
    for ends_at, finding in zip(ends, _findings(rule, course), strict=True):
        played.undecided += finding.outcome not in ("ok", "breach")
        for sample in finding.samples:
            key = sample.labels.get("column", "")
            lives[key], moves = step(lives.get(key, Life()), sample.signal, policy)
            for move in moves:
                if move.notice == "trigger" or (move.before == "resolved" and move.after == "firing"):
                    open_[key] = Firing(ends_at, None, monitor.endpoint, sample.title, move.level)
                elif move.notice == "resolve" and key in open_:
                    played.firings.append(_ended(open_.pop(key), ends_at))
    played.firings += open_.values()


def _course(played: Played, monitor: Monitor, rule: AlertRule) -> tuple[list[datetime], list[Facts]]:
    """Moments at which a rule looked at a monitor, and what it saw; where those are too many, the newest of them."""
    ready = played.until - timedelta(seconds=delay_of(rule, monitor))
    if rule.window_seconds and rule.is_about_requests:
        ends = _ends(monitor, rule, max(played.since, monitor.valid_from), ready)
        ends = _newest(played, ends, MOST_WINDOWS)
        return ends, facts_of_requests(rule, monitor, ends)
    rows = Window.objects.filter(monitor=monitor, ends_at__gt=played.since, ends_at__lte=ready)
    if rule.segment:
        return _of_segment(played, monitor, rule, list(rows.order_by("ends_at").values_list("ends_at", flat=True)))
    counted = rule.metric in measures.WORDS or rule.window_seconds
    most = MOST_MEASURED if counted else MOST_WINDOWS
    windows = list(rows.order_by("-ends_at").defer("reasons")[: most + 1])[::-1]
    ends = _newest(played, [window.ends_at for window in windows], most)
    if rule.window_seconds:
        return ends, [own_facts(rule, monitor, end) for end in ends]
    return ends, facts_of_all(monitor, windows[-len(ends) :], rule=rule)


def _of_segment(
    played: Played, monitor: Monitor, rule: AlertRule, ends: list[datetime]
) -> tuple[list[datetime], list[Facts]]:
    """Look at one window in a while where there are many: nothing is stored of a segment but its counts."""
    step = monitor.step_seconds
    paces = [step * number for number in range(1, DAY // step + 1) if DAY % (step * number) == 0]
    fits = (pace for pace in paces if len(ends) * step <= MOST_OF_SEGMENT * pace)
    pace = next(fits, max(paces, default=step))
    if pace > step:
        ends = [end for end in ends if int(end.timestamp()) % pace == 0]
        played.every_seconds = max(played.every_seconds, pace)
    ends = _newest(played, ends, MOST_OF_SEGMENT)
    return ends, [own_facts(rule, monitor, end) for end in ends]


def _newest(played: Played, ends: list[datetime], most: int) -> list[datetime]:
    """Keep the newest; that not all were looked at is told by a later begin."""
    if len(ends) > most:
        played.since = max(played.since, ends[-most])
    return ends[-most:]


def _ends(monitor: Monitor, rule: AlertRule, since: datetime, ready: datetime) -> list[datetime]:
    """When a rule about requests with a window of its own looked between two moments."""
    pace = rule.pace_on(monitor) or monitor.step_seconds
    ready = min(ready, monitor.valid_to) if monitor.valid_to else ready
    numbers = range(int(since.timestamp()) // pace + 1, int(ready.timestamp()) // pace + 1)
    return [datetime.fromtimestamp(number * pace, tz=UTC) for number in numbers]


def _ended(one: Firing, at: datetime) -> Firing:
    return Firing(one.at, at, one.endpoint, one.title, one.level)


def _findings(rule: AlertRule, course: Sequence[Facts]) -> list[Finding]:
    """Findings of each window; a rule that compares sees only what was before."""
    question, comparison = question_of(rule), Comparison(rule.compare, rule.over)
    if not comparison.needs_past:
        return [_ask(question, facts) for facts in course]
    bare = series.without_limits(question)
    past: dict[str, list[float]] = {}
    found = []
    for facts in course:
        finding = _ask(bare, facts)
        series.remember(past, finding)
        usable = finding.outcome in ("ok", "breach")
        recent = {key: values[-comparison.reach :] for key, values in past.items()} if usable else {}
        found.append(series.judged(question.limits, comparison, finding, recent) if usable else finding)
    return found


def _ask(question: Question, facts: Facts) -> Finding:
    try:
        return evaluate.ask(question, facts)
    except (ValueError, ArithmeticError, KeyError) as error:
        return Finding("error", reason=str(error)[:200])


# --- was it real ---------------------------------------------------------------------------------


def _judge(played: Played, project: Project, rule: AlertRule) -> None:
    """Join firings with incidents and alerts of their endpoint that were judged and were open around that time."""
    spans = _spans(project, rule, played.since)
    found: list[Firing] = []
    hit: set[int] = set()
    for one in played.firings:
        near = [span for span in spans.get(one.endpoint, []) if span[0] - NEAR <= one.at <= span[1] + NEAR]
        best = next((span for span in near if span[2] == Alert.Judgement.REAL), near[0] if near else None)
        hit |= {span[3] for span in near if span[3]}
        judged = (best[2], best[3] or None) if best else ("", None)
        found.append(Firing(one.at, one.until, one.endpoint, one.title, one.level, *judged))
    played.firings = found
    real = {span[3] for held in spans.values() for span in held if span[3] and span[2] == Alert.Judgement.REAL}
    played.missed = len(real - hit)


Span = tuple[datetime, datetime, str, int]


def _spans(project: Project, rule: AlertRule, since: datetime) -> dict[str, list[Span]]:
    """When an endpoint was in trouble that people judged: begin, end, judgement, number of the incident or 0."""
    spans: dict[str, list[Span]] = {}
    incidents = Incident.objects.in_project(project).exclude(outcome="").filter(closed_at__gt=since)
    alerts = Alert.objects.in_project(project).exclude(judgement="").filter(changed_at__gt=since, incident=None)
    if rule.endpoint:
        incidents, alerts = incidents.filter(endpoint=rule.endpoint), alerts.filter(endpoint=rule.endpoint)
    for one in incidents:
        end = one.quiet_at or one.closed_at or one.opened_at
        spans.setdefault(one.endpoint, []).append((one.opened_at, max(end, one.opened_at), one.outcome, one.pk))
    for alert in alerts:
        end = alert.resolved_at or alert.changed_at
        spans.setdefault(alert.endpoint, []).append((alert.opened_at, max(end, alert.opened_at), alert.judgement, 0))
    return spans


# --- how the rules of a project do ----------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """What came of the alerts of a rule: fired, called real, called false."""

    fired: int = 0
    real: int = 0
    false: int = 0

    @property
    def precision(self) -> float | None:
        """Share of the judged ones that were real."""
        return self.real / (self.real + self.false) if self.real + self.false else None


def records(project: Project, *, days: int = DAYS) -> dict[int, Record]:
    """Count the alerts of every rule by judgement; one query."""
    since = timezone.now() - timedelta(days=days)
    rows = Alert.objects.in_project(project).filter(opened_at__gt=since).exclude(state__in=("pending", "inactive"))
    counts: dict[int, dict[str, int]] = {}
    for rule, judgement, count in rows.values_list("rule", "judgement").annotate(count=Count("pk")).order_by():
        counts.setdefault(rule, {})[judgement] = count
    return {
        rule: Record(sum(held.values()), held.get("real", 0), held.get("false", 0)) for rule, held in counts.items()
    }


def days_of(played: Played) -> list[tuple[datetime, int, int]]:
    """Firings a day for a picture: day, how many, how many of them real."""
    begin = played.since.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [begin + timedelta(days=number) for number in range((played.until - begin).days + 1)]
    total, real = [0] * len(days), [0] * len(days)
    for one in played.firings:
        place = bisect_right(days, one.at) - 1
        total[place] += 1
        real[place] += one.judgement == Alert.Judgement.REAL
    return list(zip(days, total, real, strict=True))
