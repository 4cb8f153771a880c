"""Rules of 50 endpoints with 500 features each: seconds to judge the newest window of all of them.

Run it on a throw-away portal: ``python -m tests.benchmarks.rules``. The bar is one minute.
"""

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta

ENDPOINTS, FEATURES, ROUNDS = 50, 500, 3
BAR_SECONDS = 60.0


def main() -> None:
    """Make the windows, apply the rules, say how long it took."""
    os.environ.setdefault("MLPORTAL_DATA_DIR", tempfile.mkdtemp(prefix="mlp-rules-"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    measure()


def measure() -> None:
    """Judge a few windows, some quiet and one with a tenth of the features drifted."""
    from monitoring import pipeline
    from monitoring.models import Alert, Monitor, RuleEvaluation, Window

    monitors = _monitors()
    print(f"{len(monitors)} endpoints, {FEATURES} features, rules by column and by endpoint")
    for round_ in range(ROUNDS):
        for monitor in monitors:
            _window(monitor, round_, drifted=FEATURES // 10 if round_ else 0)
        wall, cpu = time.perf_counter(), time.process_time()
        for monitor in Monitor.objects.select_related("project").order_by("pk"):
            pipeline._settle_left(monitor)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        done, opened = RuleEvaluation.objects.count(), Alert.objects.count()
        print(f"window {round_}: {wall:6.1f} s, {cpu:6.1f} s of processor; {done} verdicts, {opened} alerts")
        print("within the bar" if wall <= BAR_SECONDS else "over the bar")
    assert not Window.objects.filter(settled_at=None).exists()


def _monitors() -> list:
    from monitoring.models import Monitor
    from monitoring.services import rules
    from tests.factories.monitoring import watcher
    from tests.factories.projects import make_project

    project = make_project("rules")
    by = watcher(project)
    rules.add_defaults(by, project=project)
    rules.create(
        by, project=project, name="Each feature", metric="drift.psi", warn=0.1, critical=0.25, group_by="column",
        needed=1, of=1,
    )  # fmt: skip
    grid = {"kind": "numeric", "role": "feature", "edges": [0.0, 1.0], "counts": [0, 1, 0], "nulls": 0, "weight": 0.002}
    reference = {f"f{number}": grid for number in range(FEATURES)}
    now = datetime.now(UTC)
    return [
        Monitor.objects.create(
            project=project, endpoint=f"e{number}", version="v1", reference=reference, valid_from=now, rolled_to=now
        )
        for number in range(ENDPOINTS)
    ]


def _window(monitor: object, number: int, *, drifted: int) -> None:
    from monitoring.models import DriftScore, Window

    end = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    window = Window.objects.create(
        monitor=monitor, starts_at=end - timedelta(hours=1), ends_at=end, rows=1000, requests=1000, verdict="ok",
        computed_at=end, latency_p99_us=1000,
    )  # fmt: skip
    DriftScore.objects.bulk_create(
        DriftScore(
            window=window, column=f"f{place}", kind="numeric", role="feature", weight=1 / FEATURES, measure="psi",
            state="alert" if place < drifted else "ok", samples=1000,
            value=0.4 if place < drifted else 0.01, q_value=0.0,
        )
        for place in range(FEATURES)
    )  # fmt: skip


if __name__ == "__main__":
    main()
