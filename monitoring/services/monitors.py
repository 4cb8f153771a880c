"""Bind a monitor to what an endpoint serves, and take in counts of what it was asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from monitoring.drift import shape
from monitoring.drift.shape import Counts, Grid
from monitoring.models import Bucket, Monitor, SegmentBucket
from monitoring.services import alerts, backfills, days, rules, segments
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

PACE_FIELDS = ("bucket_seconds", "step_seconds", "window_seconds", "min_samples")
WATCH_FIELDS = ("segment_columns", "sensitive_columns", "label_delay_seconds")
LONGEST_SECONDS = 90 * 24 * 3600
MOST_WATCHED = 10


def bind(
    by: Actor,
    *,
    project: Project,
    endpoint: str,
    version: str,
    reference_grids: dict[str, Grid] | None = None,
    importance: Mapping[str, float] | None = None,
    links: dict[str, Any] | None = None,
    pace: Mapping[str, int] | None = None,
    task: str = "",
) -> Monitor:
    """Watch a version from the moment it goes live on an endpoint; the monitor before it ends.

    Binding what is bound already changes nothing. A new monitor keeps the pace (window, step, bucket, minimum) of
    the one before unless ``pace`` says otherwise, its segments and its label delay, and gets the default alert rules
    when the endpoint has none.

    Parameters
    ----------
    reference_grids : dict of column name to Grid, optional
        From ``monitoring.drift.reference``, made in a worker. Without it every window says "cannot compute".
    importance : mapping of column name to weight, optional
        Taken over the weights in the grids.
    links : dict, optional
        Plain data for next steps: ``{"run": 12, "model": "churn", "number": 3, "dataset": "subscriptions"}``.

    Raises
    ------
    Forbidden
        Without ``MONITOR_EDIT``. A promotion binds as ``Actor.system`` with that grant, on behalf of the approver.
    """
    require(by, Permission.MONITOR_EDIT, project)
    endpoint = names.clean_text(endpoint, field="endpoint", limit=210, required=True)
    version = names.clean_text(version, field="version", limit=200, required=True)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        before = Monitor.objects.live().main().filter(project=project, endpoint=endpoint).first()
        if before is not None and before.version == version:
            return before
        now = timezone.now()
        if before is not None:
            end(by, monitor=before)
        monitor = Monitor.objects.create(
            project=project,
            endpoint=endpoint,
            version=version,
            reference=weighted(reference_grids or {}, importance or {}),
            links=links or {},
            created_by=by.user,
            valid_from=now,
            task=task,
            **kept(before),
            **pace_of(before, pace),
        )
        added = rules.add_defaults(by, project=project)
        data = {"endpoint": endpoint, "version": version, "default_rules": added}
        events.record(by, "monitor.bound", project=project, target=monitor, data=data)
    return monitor


def set_reference(
    by: Actor,
    *,
    monitor: Monitor,
    reference_grids: dict[str, Grid],
    importance: Mapping[str, float] | None = None,
    source: str = "",
) -> Monitor:
    """Give a monitor the reference that was not ready when it was bound.

    Raises
    ------
    Conflict
        When it has one: counts are made on its grids, so a reference is never replaced.
    """
    require(by, Permission.MONITOR_EDIT, monitor.project)
    with transaction.atomic():
        rows = Monitor.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
        held = rows.get(pk=monitor.pk)
        if held.reference:
            raise Conflict("This monitor has its reference. Bind the version again to start over.")
        held.reference = weighted(reference_grids, importance or {})
        held.links = held.links | ({"reference": source} if source else {})
        held.save(update_fields=["reference", "links"])
        backfills.ask(held, columns=held.watched_columns, whole=True)
        events.record(by, "monitor.referenced", project=held.project, target=held)
    return held


def update_pace(by: Actor, *, monitor: Monitor, **pace: int) -> Monitor:
    """Change how often, over how much and from how many rows on a monitor judges.

    Raises
    ------
    Invalid
        Naming the field: whole numbers of seconds from 1 to 90 days; the window at least a step, the step a
        multiple of the bucket.
    """
    require(by, Permission.MONITOR_EDIT, monitor.project)
    checked = check_pace({field: getattr(monitor, field) for field in PACE_FIELDS} | pace)
    with transaction.atomic():
        Monitor.objects.filter(pk=monitor.pk).update(**checked)
        monitor.refresh_from_db()
        events.record(by, "monitor.updated", project=monitor.project, target=monitor, data=checked)
    return monitor


def update_watch(
    by: Actor,
    *,
    monitor: Monitor,
    segment_columns: Sequence[str] | None = None,
    sensitive_columns: Sequence[str] | None = None,
    label_delay_seconds: int | None = None,
) -> Monitor:
    """Choose which columns are counted apart and compared for fairness, and say how long labels take.

    Requests from now on are counted by the new columns at once; a worker counts what is stored.

    Raises
    ------
    Conflict
        When a rule looks at a segment of a column that would be counted apart no longer.
    Invalid
        Naming the column that the reference does not have or that is free text, more than 10 columns together, or
        a delay over 90 days.
    """
    require(by, Permission.MONITOR_EDIT, monitor.project)
    with transaction.atomic():
        held = Monitor.objects.select_for_update(no_key=True, of=("self",)).select_related("project").get(pk=monitor.pk)
        before = held.watched_columns
        if segment_columns is not None:
            held.segment_columns = _watched(held, segment_columns, "segment_columns")
        if sensitive_columns is not None:
            held.sensitive_columns = _watched(held, sensitive_columns, "sensitive_columns")
        if label_delay_seconds is not None:
            held.label_delay_seconds = _delay(label_delay_seconds)
        if len(held.watched_columns) > MOST_WATCHED:
            raise Invalid(
                f"At most {MOST_WATCHED} columns are counted apart.", field="segment_columns", limit=MOST_WATCHED,
                got=len(held.watched_columns),
            )  # fmt: skip
        segments.check_free(held, [name for name in before if name not in held.watched_columns])
        data = {field: getattr(held, field) for field in WATCH_FIELDS}
        held.save(update_fields=list(WATCH_FIELDS))
        events.record(by, "monitor.updated", project=held.project, target=held, data=data)
        added = [name for name in held.watched_columns if name not in before]
        backfills.ask(held, columns=added)
    return held


def _watched(monitor: Monitor, names_: Sequence[str], field: str) -> list[str]:
    usable = [name for name, grid in monitor.reference.items() if grid["role"] == "feature" and grid["kind"] != "text"]
    if not isinstance(names_, (list, tuple)):
        raise Invalid(f"{field} must be a list of columns.", field=field)
    for name in names_:
        if name not in usable:
            raise Invalid(f"{str(name)[:100]!r} cannot be counted apart.", field=field, limit=usable[:50])
    return list(dict.fromkeys(names_))


def _delay(seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= LONGEST_SECONDS:
        raise Invalid(
            f"label_delay_seconds must be a whole number from 0 to {LONGEST_SECONDS:,}.", field="label_delay_seconds",
            limit=LONGEST_SECONDS,
        )  # fmt: skip
    return seconds


def add_counts(
    monitor: Monitor, hour: datetime, counts: Mapping[str, Counts], *, segment: str = "", length: int | None = None
) -> None:
    """Add counts of requests to the bucket of their time; call it inside the transaction that marks them counted.

    Parameters
    ----------
    monitor : Monitor
        ``Monitor.objects.of(project_id, endpoint, version)``.
    segment : str
        Of one segment only, ``region=north``; empty for all.
    hour : datetime
        When the requests came. Any moment; group requests by ``monitor.bucket_of(moment)``, because a monitor may
        keep minutes instead of hours.
    counts : mapping of column name to Counts
        ``monitoring.drift.fill(monitor.reference[column], values)`` of each column, ``__prediction__`` and
        ``__score__`` included, and ``__traffic__`` from ``monitoring.drift.shape.traffic``.
    length : int, optional
        Of the bucket in seconds; else ``monitor.bucket_seconds``.

    Raises
    ------
    RuntimeError
        Outside a transaction: counting twice could not be ruled out.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("add_counts needs the transaction of the segment it counts")
    # one shipper at a time for a monitor: two that make the same bucket would collide on its unique key
    Monitor.objects.select_for_update(no_key=True).only("pk").get(pk=monitor.pk)
    start = monitor.bucket_of(hour, length)
    kind: Any = SegmentBucket if segment else Bucket
    where = {"monitor": monitor, "hour": start} | ({"segment": segment} if segment else {})
    held = {bucket.column: bucket for bucket in kind.objects.filter(**where)}
    new, changed = [], []
    for column, added in counts.items():
        bucket = held.get(column)
        if bucket is None:
            new.append(kind(**where, column=column, counts=added, rows=shape.size(added)))
            continue
        bucket.counts = _sum(bucket.counts, added)
        bucket.rows = shape.size(bucket.counts)
        changed.append(bucket)
    kind.objects.bulk_create(new)
    kind.objects.bulk_update(changed, ["counts", "rows"])
    days.touch(monitor, start)


def weighted(grids: Mapping[str, Grid], importance: Mapping[str, float]) -> dict[str, Grid]:
    """Copy grids, with their weights replaced by these shares of importance when any is given."""
    copies = {name: Grid(**grid) for name, grid in grids.items()}
    usable = {name: max(float(importance.get(name, 0.0)), 0.0) for name in copies}
    total = sum(usable.values())
    if total:
        for name, grid in copies.items():
            grid["weight"] = usable[name] / total
    return copies


def check_pace(pace: Mapping[str, object]) -> dict[str, int]:
    """Check seconds and minimum of a monitor; raises Invalid with the field."""
    checked: dict[str, int] = {}
    for field, value in pace.items():
        if field not in PACE_FIELDS:
            raise Invalid(f"There is no setting {field!r}.", field=field, limit=list(PACE_FIELDS))
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_SECONDS:
            raise Invalid(
                f"{field} must be a whole number from 1 to {LONGEST_SECONDS:,}.", field=field, limit=LONGEST_SECONDS
            )
        checked[field] = value
    if {"step_seconds", "bucket_seconds", "window_seconds"} <= set(checked):
        _check_order(checked)
    return checked


def _check_order(pace: Mapping[str, int]) -> None:
    if pace["step_seconds"] % pace["bucket_seconds"]:
        raise Invalid("step_seconds must be a multiple of bucket_seconds.", field="step_seconds")
    if pace["window_seconds"] % pace["step_seconds"]:
        raise Invalid("window_seconds must be a multiple of step_seconds.", field="window_seconds")


def pace_of(before: Monitor | None, given: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the pace of a new monitor: that of the one before unless something else is given."""
    source = before or Monitor()
    return check_pace({field: getattr(source, field) for field in PACE_FIELDS} | dict(given or {}))


def kept(before: Monitor | None) -> dict[str, Any]:
    """Return what a new monitor takes over from the one before: segments, groups, delay of labels."""
    source = before or Monitor()
    return {field: getattr(source, field) for field in WATCH_FIELDS}


def end(by: Actor, *, monitor: Monitor) -> None:
    """Stop watching, in the caller's transaction; what its alerts were about answers no more."""
    require(by, Permission.MONITOR_EDIT, monitor.project)
    Monitor.objects.filter(pk=monitor.pk).update(valid_to=timezone.now())
    alerts.close_of_monitor(by, monitor=monitor)


def _sum(held: Counts, added: Counts) -> Counts:
    """Add; counts made on another grid start over, because they cannot be compared with what came before."""
    return shape.merge([held, added]) if len(held["counts"]) == len(added["counts"]) else added
