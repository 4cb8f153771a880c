"""Pages of monitoring with 5,000,000 predictions kept: what they need against half a second.

``python -m tests.benchmarks.monitoring_pages [predictions]`` on a throw-away portal, on the database of
``DATABASE_URL``. One endpoint, 30 features, 90 days of hourly counts of all requests and of three segments, windows and
scores of each day. Any window of any segment has a bar of its own: 300 ms.
"""

import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import islice

from tests.benchmarks.budgets import missed, settle, verdict

PREDICTIONS, DAYS, FEATURES = 5_000_000, 90, 30
SEGMENTS = ("plan=a", "plan=b", "plan=c")
PAGE, WINDOW = 500.0, 300.0
ROUNDS = 7


def main() -> None:
    """Fill a portal and ask its pages."""
    os.environ.setdefault("MLPORTAL_DATA_DIR", tempfile.mkdtemp(prefix="mlp-monitoring-"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    os.environ.setdefault("MLPORTAL_LOG_LEVEL", "ERROR")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0)
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else PREDICTIONS)
    settle()


def measure(count: int) -> None:
    """Print a line a page."""
    from django.db import connection
    from django.test import Client

    from tests.factories.projects import make_project, make_user

    project, end = make_project("watched"), datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    monitor = _counts(project, end)
    _windows(monitor, end)
    _predictions(project, count, end)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = Client()
    client.force_login(make_user("ana", role="admin", project=project))
    print(
        f"{count:,} predictions, {FEATURES} features, {DAYS} days of hours, load {os.getloadavg()[0]:.1f}", flush=True
    )
    print(f"{'':40}  wall ms  cpu ms  bar")
    for name, address, bar in pages(end):
        print(line(client, name, f"/p/watched/{address}", bar), flush=True)


def pages(end: datetime) -> list[tuple[str, str, float]]:
    """Name, address and bar in ms of each page."""

    def window(days: int, more: str = "") -> str:
        since, until = (f"{moment:%Y-%m-%dT%H:%M}" for moment in (end - timedelta(days=days), end))
        return f"monitoring/window/?from={since}&to={until}{more}"

    month_ago = f"{end - timedelta(days=DAYS - 10):%Y-%m-%d}"
    return [
        ("overview, 30 days", "monitoring/", PAGE),
        ("overview, 90 days", "monitoring/?range=90d", PAGE),
        ("performance, 30 days", "monitoring/performance/", PAGE),
        ("quality, 30 days", "monitoring/quality/", PAGE),
        ("predictions", "monitoring/predictions/", PAGE),
        ("... until a day long ago", f"monitoring/predictions/?until={month_ago}", PAGE),
        ("... of an endpoint, until a day long ago", f"monitoring/predictions/?endpoint=churn&until={month_ago}", PAGE),
        ("any window: a day", window(1), WINDOW),
        ("any window: a day of a segment", window(1, "&segment=plan%3Da"), WINDOW),
        ("any window: a week", window(7), WINDOW),
        ("any window: 30 days", window(30), WINDOW),
        ("any window: 30 days of a segment", window(30, "&segment=plan%3Da"), WINDOW),
        ("any window: 89 days", window(88), WINDOW),
        ("any window: 89 days of a segment", window(88, "&segment=plan%3Da"), WINDOW),
    ]


def line(client: object, name: str, address: str, bar: float) -> str:
    """Ask a page some times; the better half counts, since other work disturbs."""
    taken, used = [], []
    for _ in range(ROUNDS):
        began, cpu = time.perf_counter(), time.process_time()
        answer = client.get(address)  # type: ignore[attr-defined]
        taken.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.process_time() - cpu))
    wall, cpu = sorted(taken)[ROUNDS // 2], sorted(used)[ROUNDS // 2]
    said = verdict(name, wall, bar)
    if answer.status_code != 200:
        said += f" answered {answer.status_code}"
        missed.append(name + said)
    return f"{name:40}{wall:9.0f}{cpu:8.0f}{bar:6.0f}{said}"


def _counts(project: object, end: datetime) -> object:
    """Make a monitor and its hourly counts; each column's are those of one of a few hours."""
    import numpy as np

    from monitoring import drift
    from monitoring.drift import shape
    from monitoring.models import Bucket, SegmentBucket
    from tests.factories.monitoring import make_monitor

    chance = np.random.default_rng(1)
    names = [f"f{number}" for number in range(FEATURES)]
    sample = {name: chance.normal(0, 1, 5000) for name in names} | {shape.SCORE: chance.beta(2, 5, 5000)}
    grids = drift.reference(sample, dict.fromkeys(sample, "numeric"), dict.fromkeys(names, 1.0))
    pace = {"bucket_seconds": 3600, "step_seconds": 86400, "window_seconds": 86400, "min_samples": 200}
    since = end - timedelta(days=DAYS)
    monitor = make_monitor(
        project, endpoint="churn", version="churn v1", reference_grids=grids, pace=pace, since=since
    )  # fmt: skip
    hours = [drift.fill(grids["f0"], chance.normal(0.05, 1, PREDICTIONS // DAYS // 24)) for _ in range(5)]
    by_column = {
        name: [{**held, "counts": held["counts"][: len(grid["counts"])], "sums": held["sums"][: len(grid["counts"])]}
               for held in hours]
        for name, grid in grids.items() if len(grid["counts"]) <= len(hours[0]["counts"])
    }  # fmt: skip

    def rows(made: type, **more: str) -> object:
        for hour in range(DAYS * 24):
            for name, held in by_column.items():
                counts = held[hour % 5]
                yield made(
                    monitor=monitor, hour=since + timedelta(hours=hour), column=name, counts=counts,
                    rows=shape.size(counts), **more,
                )  # fmt: skip

    for made, more in ((Bucket, {}), *((SegmentBucket, {"segment": name}) for name in SEGMENTS)):
        waiting = iter(rows(made, **more))
        while part := list(islice(waiting, 2000)):
            made.objects.bulk_create(part)
    _sum_days(monitor, since)
    return monitor


def _sum_days(monitor: object, since: datetime) -> None:
    """Add the days up as the worker does; ``NO_DAYS`` in the environment leaves them as they are."""
    from monitoring.models import Day
    from monitoring.services import days

    if "NO_DAYS" in os.environ:
        return
    for day in range(DAYS + 1):
        days.touch(monitor, since + timedelta(days=day))  # type: ignore[arg-type]
    cpu = time.process_time()
    done = days.sum_left(datetime.now(UTC) + days.QUIET)
    print(f"{done} of {Day.objects.count()} days summed in {time.process_time() - cpu:.1f} s of processor", flush=True)


def _windows(monitor: object, end: datetime) -> None:
    from monitoring.models import DriftScore, Window

    for day in range(DAYS):
        ends_at = end - timedelta(days=DAYS - 1 - day)
        window = Window.objects.create(
            monitor=monitor, starts_at=ends_at - timedelta(days=1), ends_at=ends_at, rows=50_000, requests=50_000,
            verdict="ok", computed_at=ends_at, settled_at=ends_at, latency_p50_us=300, latency_p99_us=1000,
        )  # fmt: skip
        DriftScore.objects.bulk_create(
            DriftScore(
                window=window, column=name, kind="numeric", role=grid["role"], weight=grid.get("weight", 0.0),
                measure="psi", state="ok", samples=50_000, value=0.01, psi=0.01, q_value=0.5,
            )
            for name, grid in monitor.reference.items()  # type: ignore[attr-defined]
        )  # fmt: skip


def _predictions(project: object, count: int, end: datetime) -> None:
    """Write rows as the shipper does, beside it: it would take an hour."""
    from django.db import connection

    from monitoring.models import IngestedSegment, PredictionChunk

    segment = IngestedSegment.objects.create(name="bench", rows=count)
    chunk = PredictionChunk.objects.create(
        segment=segment, project=project, source=1, endpoint="churn", model="churn", version=1, label="churn v1",
        revision=1, backend="exact", columns=[], sha256="0" * 64, rows=count,
    )  # fmt: skip
    first = int((end - timedelta(days=DAYS)).timestamp() * 1000)
    step = DAYS * 86_400_000 // count
    head = "id, project_id, endpoint, chunk_id, row, at, latency_us, value, score, protocol"
    fixed = f"{project.pk}, 'churn', {chunk.pk}"  # type: ignore[attr-defined]
    if connection.vendor == "sqlite":
        moment = f"({first} + n * {step})"
        query = f"""
            WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n < {count - 1})
            INSERT INTO monitoring_prediction ({head})
            SELECT printf('%012x70008%015x', {moment}, n), {fixed}, n,
                strftime('%Y-%m-%d %H:%M:%S', {moment} / 1000, 'unixepoch'), 300, 'yes', 0.5, '' FROM t"""
    else:
        moment = f"({first} + n * {step}::bigint)"
        query = f"""
            INSERT INTO monitoring_prediction ({head})
            SELECT (lpad(to_hex({moment}), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid, {fixed}, n,
                to_timestamp({moment} / 1000.0), 300, 'yes', 0.5, '' FROM generate_series(0, {count - 1}) AS n"""
    with connection.cursor() as cursor:
        cursor.execute(query)


if __name__ == "__main__":
    main()
