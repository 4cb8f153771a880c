"""What retrainings brought, and what versions showed against their promise: measured by a worker, kept on rows.

Pages read the rows, so a list costs the same however long the past is, and a figure outlives the log it came from.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet, Sum
from django.utils import timezone

from deployments.models import EndpointInterval, ModelVersion, RegisteredModel, RetrainTrigger, VersionGap
from deployments.proof import gap
from deployments.services import promised
from monitoring.models import Monitor
from monitoring.services import realised
from projects.models import Project

State = RetrainTrigger.State
WEEK = timedelta(days=7)
MONTH = timedelta(days=30)
LEAST_GAPS = 2
UNDECIDED = ("pending",)


# --- what a retraining brought -----------------------------------------------------------------------


def measure(now: datetime | None = None) -> int:
    """Measure what finished retrainings brought, each until its week is over. Returns how many rows changed."""
    now = now or timezone.now()
    rows = RetrainTrigger.objects.filter(state=State.REQUESTED, measured_at=None).select_related(
        "request__version__model", "automation__endpoint"
    )
    return sum(_measure_one(row, now) for row in rows.order_by("pk").iterator(chunk_size=100))


def _measure_one(row: RetrainTrigger, now: datetime) -> bool:
    request = row.request
    assert request is not None  # the state says so
    first = _first_live(row)
    if first is None:
        if request.state in UNDECIDED or request.state == "approved":
            return False
        return _write(row, effect=RetrainTrigger.Effect.UNKNOWN, measured_at=now)  # it will never answer
    monitor = Monitor.objects.main().filter(
        project=row.automation.project_id, endpoint=row.automation.endpoint.name, version=request.version.label
    ).order_by("valid_from").first()  # fmt: skip
    if monitor is None:
        return False
    end = min(monitor.valid_to or now, monitor.valid_from + WEEK)
    due = end + timedelta(seconds=monitor.label_delay_seconds)
    metric = row.before.get("metric") or promised.metric_of(request.version)
    after = realised.figures(monitor, metric=metric, since=monitor.valid_from, until=min(end, now))
    changed = gap.change(metric, row.before, after)
    ended = now if now >= due and (end < now) else None
    return _write(row, live_at=first, after=after, effect=changed.verdict, measured_at=ended)


def _first_live(row: RetrainTrigger) -> datetime | None:
    rows = EndpointInterval.objects.filter(
        endpoint=row.automation.endpoint_id, revision__version=row.request.version if row.request else None
    )
    return rows.order_by("valid_from").values_list("valid_from", flat=True).first()


def _write(row: RetrainTrigger, **values: Any) -> bool:
    return bool(RetrainTrigger.objects.filter(pk=row.pk).update(**values))


def of_model(model: RegisteredModel) -> QuerySet[RetrainTrigger]:
    """Return the retrainings of a model that cost something, with all that a line of the ledger shows."""
    return RetrainTrigger.objects.filter(model=model).began().with_story()


@dataclass(frozen=True)
class Balance:
    """Whether retraining a model helps."""

    trained: int = 0
    failed: int = 0
    live: int = 0
    better: int = 0
    same: int = 0
    worse: int = 0
    cpu_minutes: float = 0.0

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if not self.trained:
            return "No alert has retrained this model yet."
        told = self.better + self.same + self.worse
        said = f"{self.trained} retraining{'s' if self.trained != 1 else ''}, {self.live} went live"
        if not told:
            return f"{said}; whether they helped is not known yet: too few labels."
        return f"{said}; {self.better} of {told} measured ones made labelled performance better, {self.worse} worse."


def balance(model: RegisteredModel) -> Balance:
    """Count a model's retrainings by what came of them; one query."""
    found = of_model(model).aggregate(
        trained=Count("pk"), failed=Count("pk", filter=Q(state=State.FAILED)),
        live=Count("pk", filter=Q(live_at__isnull=False)), seconds=Sum("cpu_seconds"),
        **{name: Count("pk", filter=Q(effect=name)) for name in ("better", "same", "worse")},
    )  # fmt: skip
    seconds = found.pop("seconds") or 0.0
    return Balance(**found, cpu_minutes=seconds / 60)


# --- promised and realised -------------------------------------------------------------------------


def measure_gaps(now: datetime | None = None) -> int:
    """Measure every version that answers, or answered within a month, against its promise. Returns how many."""
    now = now or timezone.now()
    rows = Monitor.objects.main().filter(Q(valid_to=None) | Q(valid_to__gt=now - MONTH), links__has_key="number")
    return sum(_measure_gap(pk, now) for pk in list(rows.order_by("pk").values_list("pk", flat=True)))


def _measure_gap(number: int, now: datetime) -> bool:
    monitor = Monitor.objects.select_related("project").get(pk=number)
    version = ModelVersion.objects.filter(
        model__project=monitor.project_id, model__name=monitor.links.get("model", ""), number=monitor.links["number"]
    ).select_related("model", "run").first()  # fmt: skip
    if version is None:
        return False
    metric = promised.metric_of(version)
    end = min(monitor.valid_to or now, realised.due_until(monitor, now))
    since = max(monitor.valid_from, end - MONTH)
    if end <= since:
        return False
    then, found = promised.of_version(version, metric), realised.figures(monitor, metric=metric, since=since, until=end)
    moved = gap.change(metric, then, found)
    VersionGap.objects.update_or_create(
        version=version, endpoint=monitor.endpoint,
        defaults={
            "project": monitor.project, "metric": metric, "algorithm": version.algorithm[:60],
            "promised": then.get("value"), "promised_low": then.get("low"), "promised_high": then.get("high"),
            **{name: found[name] for name in ("estimated", "value", "low", "high", "labelled", "answered")},
            "gain": moved.gain, "gain_low": moved.low, "gain_high": moved.high, "verdict": moved.verdict,
            "since": since, "until": end, "measured_at": now,
        },
    )  # fmt: skip
    return True


def gaps_of(versions: Iterable[ModelVersion]) -> QuerySet[VersionGap]:
    """Return what the versions showed, newest version first."""
    rows = VersionGap.objects.filter(version__in=[one.pk for one in versions])
    return rows.select_related("version__model").order_by("-version__number", "endpoint")


@dataclass(frozen=True)
class Bias:
    """How much versions lose on average between approval and production; less than zero is a loss."""

    metric: str
    versions: int
    gain: float
    algorithm: str = ""

    @property
    def sentence(self) -> str:
        """In words, for the review page."""
        of = f" of {self.algorithm}" if self.algorithm else ""
        word = "lost" if self.gain < 0 else "gained"
        return (
            f"{self.versions} versions{of} in this project {word} {abs(self.gain):.3f} {self.metric} on average "
            "between approval and labelled predictions."
        )

    def plain(self) -> dict[str, Any]:
        """Return it for the API."""
        return asdict(self) | {"sentence": self.sentence}


def bias(project: Project, metric: str, algorithm: str = "") -> Bias | None:
    """Average the gaps of a project's versions whose labels came, or of one algorithm's; None of fewer than two."""
    rows = VersionGap.objects.in_project(project).filter(metric=metric, gain__isnull=False).exclude(verdict="unknown")
    rows = rows.filter(algorithm=algorithm) if algorithm else rows
    found = rows.aggregate(gain=Avg("gain"), versions=Count("version", distinct=True))
    if found["versions"] < LEAST_GAPS:
        return None
    return Bias(metric, found["versions"], found["gain"], algorithm)
