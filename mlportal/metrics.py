"""Prometheus metrics of the web and worker processes, and of the tables.

Processes write to files in ``PROMETHEUS_MULTIPROC_DIR``; one scrape of any web process adds
them up. ``/metrics`` answers this machine, and others only with ``MLPORTAL_METRICS_TOKEN``.
"""

import hmac
import os
import time
from collections.abc import Callable, Iterable
from functools import lru_cache

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from mlportal.lib.lease import ACTIVE, TERMINAL, WorkState
from mlportal.lib.public import public

WAITING = (WorkState.QUEUED, *ACTIVE)
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
REQUESTS = Counter("mlportal_http_requests", "Requests answered.", ["method", "route", "status"])
LATENCY = Histogram(
    "mlportal_http_request_seconds",
    "Seconds from the first byte in to the answer's start.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TASKS = Counter("mlportal_tasks", "Celery tasks ended in a worker.", ["task", "state"])
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Middleware that counts and times by route pattern, never by address, so series stay few."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer and count."""
        start = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        route = match.route if match else "none"
        method = request.method if request.method in METHODS else "other"
        count(method, route, response.status_code, time.perf_counter() - start)
        return response


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    requests, latency = _series(method, route, status)
    requests.inc()
    latency.observe(seconds)


@lru_cache(maxsize=4096)
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method=method, route=route, status=status), LATENCY.labels(route=route)


class TableCollector(Collector):
    """Gauges read from the database at each scrape."""

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges."""
        from experiments.models import TrainingJob
        from monitoring.models import Alert
        from projects.models import EventDelivery

        jobs = GaugeMetricFamily("mlportal_training_jobs", "Training jobs that have not ended.", labels=["state"])
        found = dict(TrainingJob.objects.exclude(state__in=TERMINAL).values_list("state").annotate(Count("pk")))
        for state in WAITING:
            jobs.add_metric([state], found.get(state, 0))
        yield jobs
        alerts = Alert.objects.shown().count()
        yield GaugeMetricFamily("mlportal_open_alerts", "Alerts that people see as open.", alerts)
        yield from _watching()
        waiting = EventDelivery.objects.filter(done_at=None).count()
        yield GaugeMetricFamily("mlportal_undelivered_events", "Events that a consumer has not taken.", waiting)


def _watching() -> Iterable[Metric]:
    """Alerts by severity and state, incidents, monitors, messages: few series, whatever the number of endpoints."""
    from django.utils import timezone

    from monitoring.models import Alert, AlertGroup, Incident, Monitor, Window
    from projects.models import Delivery

    alerts = GaugeMetricFamily("mlportal_alerts", "Alerts that are not over.", labels=["severity", "state"])
    rows = Alert.objects.open().order_by().values_list("severity", "state").annotate(count=Count("pk"))
    for severity, state, count_ in rows:
        alerts.add_metric([severity, state], count_)
    yield alerts
    yield GaugeMetricFamily("mlportal_open_incidents", "Incidents that nobody closed.", Incident.objects.open().count())
    yield GaugeMetricFamily(
        "mlportal_live_monitors", "Endpoints that are watched.", Monitor.objects.live().main().count()
    )
    unsettled = Window.objects.filter(settled_at=None).count()
    yield GaugeMetricFamily("mlportal_unsettled_windows", "Windows that rules wait to be applied to.", unsettled)
    late = AlertGroup.objects.filter(due_at__lt=timezone.now()).count()
    yield GaugeMetricFamily("mlportal_alert_groups_due", "Groups of alerts whose channel is to be told now.", late)
    messages = GaugeMetricFamily("mlportal_messages", "Messages of channels by state.", labels=["state"])
    for state, count_ in Delivery.objects.order_by().values_list("state").annotate(count=Count("pk")):
        messages.add_metric([state], count_)
    yield messages


def forget_process(pid: int) -> None:
    """Drop the live gauges of a process that ended."""
    if os.environ.get(MULTIPROCESS):
        mark_process_dead(pid)


def may_read(request: HttpRequest) -> bool:
    """Tell whether this scraper may see the metrics."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        return hmac.compare_digest(given.encode(), token.encode())
    # Behind a proxy every client seems to be on this machine, so only a token will do.
    return not settings.TRUSTED_PROXIES and request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")


@public
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scrape."""
    if not may_read(request):
        return HttpResponse("Metrics need the metrics token.\n", status=403, content_type="text/plain")
    if os.environ.get(MULTIPROCESS):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    else:
        registry = REGISTRY
    tables = CollectorRegistry()
    tables.register(TableCollector())
    body = generate_latest(registry) + generate_latest(tables)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)
