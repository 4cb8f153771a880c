"""Counters of the serving process in the Prometheus text format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from deployments.serve.follower import Follower
from deployments.serve.tables import EndpointRow
from monitoring import spool

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LABELS = ("project", "endpoint")


@dataclass(slots=True)
class _Answers:
    """Answers of one endpoint: those that the counters were not told of, and the latencies of all."""

    fresh: int = 0
    rows: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))


class Metrics:
    """What `/metrics` tells."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers: dict[tuple[str, str], _Answers] = {}
        labels = list(LABELS)
        self._requests = Counter(
            "mlportal_predict_requests", "Requests by status.", [*labels, "status"], registry=self.registry
        )
        self._rows = Counter("mlportal_predict_rows", "Rows predicted.", labels, registry=self.registry)
        self.registry.register(self)  # see `collect`
        self._errors = Counter(
            "mlportal_predict_errors", "Refused or failed requests.", ["code"], registry=self.registry
        )
        self._dropped = Counter(
            "mlportal_predict_log_dropped", "Rows answered without a log line.", labels, registry=self.registry
        )
        self._spool = Gauge("mlportal_spool_bytes", "Bytes that wait for the shipper.", registry=self.registry)
        self._quota = Gauge(
            "mlportal_spool_quota_bytes", "Bytes that may wait; beyond them nothing is logged.", registry=self.registry
        )
        self._live = Gauge("mlportal_endpoint_version", "Version that answers.", labels, registry=self.registry)
        self._trouble = Gauge(
            "mlportal_endpoint_behind", "1 while another revision than the wanted one answers.", labels,
            registry=self.registry,
        )  # fmt: skip
        self._failures = Gauge("mlportal_load_failures", "Versions that could not be loaded.", registry=self.registry)

    def answered(self, row: EndpointRow, *, rows: int, seconds: float) -> None:
        """Count an answer."""
        held = self._answers.get((row.project, row.name))
        if held is None:
            held = self._answers[(row.project, row.name)] = _Answers()
        held.fresh += 1
        held.rows += rows
        held.seconds += seconds
        held.buckets[bisect_left(BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """Give the latencies, for the registry; what the library counts itself costs each answer some 6 us."""
        found = HistogramMetricFamily("mlportal_predict_latency_seconds", "Time to an answer.", labels=LABELS)
        for labels, held in self._answers.items():
            sums = list(accumulate(held.buckets))
            named = [floatToGoString(end) for end in (*BUCKETS, inf)]
            found.add_metric(labels, list(zip(named, sums, strict=True)), held.seconds)
        yield found

    def _settle(self) -> None:
        """Hand the answers since the last look to the counters."""
        for (project, name), held in self._answers.items():
            self._requests.labels(project, name, "200").inc(held.fresh)
            self._rows.labels(project, name).inc(held.rows)
            held.fresh = held.rows = 0

    def refused(self, row: EndpointRow | None, *, status: int, code: str) -> None:
        """Count a refusal; without an endpoint it is counted by its code only, so names of strangers cost nothing."""
        self._errors.labels(code).inc()
        if row is not None:
            self._requests.labels(row.project, row.name, str(status)).inc()

    def dropped(self, row: EndpointRow, rows: int) -> None:
        """Count rows that were answered, or refused, without a log line."""
        self._dropped.labels(row.project, row.name).inc(rows)

    def text(self, follower: Follower, writer: spool.Writer) -> bytes:
        """Everything as Prometheus text."""
        self._settle()
        self._live.clear()
        self._trouble.clear()
        for route in follower.routes.values():
            labels = (route.row.project, route.row.name)
            self._live.labels(*labels).set(route.live.row.version or 0 if route.live else 0)
            self._trouble.labels(*labels).set(1 if route.trouble else 0)
        self._failures.set(follower.load_failures)
        self._quota.set(writer.quota_bytes)
        try:
            self._spool.set(spool.used_bytes(writer.folder))
        except OSError:
            self._spool.set(0)
        return generate_latest(self.registry)
