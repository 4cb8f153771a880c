"""What a version showed while it answered: labelled performance with its interval, its estimate, and drift."""

from datetime import datetime, timedelta
from typing import Any

from monitoring import history
from monitoring.drift import interval, shape
from monitoring.models import DriftScore, LabelBucket, Monitor, Window

COLUMNS = (*history.OF_ROWS, shape.ERROR)
MOST_COLUMNS = 10


def figures(monitor: Monitor, *, metric: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Measure a stretch of a version's time: plain data, None for what cannot be told; six queries.

    Parameters
    ----------
    metric
        Name as in `monitoring.drift.measures.PERFORMANCE`.
    """
    since = monitor.bucket_of(since)  # the bucket a version went live in is its own
    held = history.measured(monitor, since, until, COLUMNS)
    rows = LabelBucket.objects.filter(monitor=monitor, hour__gte=since, hour__lt=until, segment="")
    parts = list(rows.order_by("hour").values_list("cells", flat=True))
    real, estimate = held.get(f"performance.{metric}"), held.get(f"performance.estimated.{metric}")
    coverage = held.get("label.coverage")
    bounds = interval.bounds(parts, metric)
    return {
        "metric": metric,
        "value": real.value if real else None,
        "low": bounds[0] if bounds else None,
        "high": bounds[1] if bounds else None,
        "labelled": real.samples if real else 0,
        "answered": coverage.samples if coverage else 0,
        "estimated": estimate.value if estimate else None,
        "since": since.isoformat(timespec="seconds"),
        "until": until.isoformat(timespec="seconds"),
        "drift": drift_until(monitor, until),
    }


def drift_until(monitor: Monitor, until: datetime) -> dict[str, Any]:
    """Tell the drift of the newest window with requests that ended by then; empty without one."""
    rows = Window.objects.filter(monitor=monitor, rows__gt=0, ends_at__lte=until)
    window = rows.defer("reasons").order_by("-ends_at").first()
    if window is None:
        return {}
    scores = DriftScore.objects.filter(window=window, value__isnull=False).order_by("-value", "column")
    columns = [
        {
            "column": shape.display(one.column), "value": one.value, "measure": one.measure, "weight": one.weight,
            "state": one.state, "role": one.role,
        }
        for one in scores[:MOST_COLUMNS]
    ]  # fmt: skip
    return {
        "window": window.pk, "ends_at": window.ends_at.isoformat(timespec="seconds"), "rows": window.rows,
        "verdict": window.verdict, "share": window.weighted_share, "drifted": window.drifted, "columns": columns,
    }  # fmt: skip


def labelled_rows(monitor: Monitor) -> int:
    """Count the predictions of a version whose label came."""
    rows = LabelBucket.objects.filter(monitor=monitor, segment="")
    return sum(int(count or 0) for count in rows.values_list("cells__n", flat=True))


def due_until(monitor: Monitor, now: datetime) -> datetime:
    """Return up to when predictions should have their label by now."""
    return now - timedelta(seconds=monitor.label_delay_seconds)
