"""Watch models that are served elsewhere: make their monitor, take in their predictions."""

from collections.abc import Sequence
from typing import IO, Any

import orjson
from django.db import transaction

from mlportal.lib import blobs, names, queue
from mlportal.lib.errors import Conflict, Invalid, TooLarge
from monitoring.models import Monitor, PredictionUpload
from monitoring.services import monitors
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

TASK = "monitoring.take_upload"
TASKS = ("classification", "regression")
ELSEWHERE = {"served": "elsewhere"}
MOST_BYTES = 256 << 20
MOST_ITEMS = 10_000
MOST_CLASSES = 100


def create(
    by: Actor, *, project: Project, endpoint: str, version: str, task: str, classes: Sequence[str] = ()
) -> Monitor:
    """Watch a version of a model that is served elsewhere; its first 5,000 predictions become the reference.

    Parameters
    ----------
    classes : sequence of str
        What it answers, the class selected for last; needed for precision, recall, ROC AUC and fairness.

    Raises
    ------
    Invalid
        Naming the field.
    Conflict
        When an endpoint of this portal has that name.
    """
    require(by, Permission.MONITOR_EDIT, project)
    if task not in TASKS:
        raise Invalid(f"task must be one of: {', '.join(TASKS)}.", field="task", got=str(task)[:50], limit=list(TASKS))
    if not isinstance(classes, (list, tuple)) or len(classes) > MOST_CLASSES:
        raise Invalid(f"classes must be a list of at most {MOST_CLASSES}.", field="classes", limit=MOST_CLASSES)
    named = [names.clean_text(one, field="classes", limit=200, required=True) for one in classes]
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        before = Monitor.objects.live().main().in_project(project).filter(endpoint=endpoint).first()
        if before is not None and before.links != ELSEWHERE:
            raise Conflict(
                f"{before.endpoint!r} is an endpoint of this portal and is watched already.", field="endpoint"
            )
        made = monitors.bind(by, project=project, endpoint=endpoint, version=version, links=ELSEWHERE, task=task)
        if named:
            Monitor.objects.filter(pk=made.pk).update(classes=named)
            made.classes = named
    return made


def take(by: Actor, *, monitor: Monitor, file: IO[bytes], format: str) -> PredictionUpload:  # noqa: A002 - the field
    """Take in a file of predictions; the same content again is the same upload and counts once.

    Columns: ``prediction``, and where there are any ``score``, ``id`` (yours, for labels) and ``at``; all others are
    features.

    Raises
    ------
    Conflict
        When the monitor belongs to an endpoint of this portal, which logs by itself.
    TooLarge
        Over 256 MiB.
    """
    require(by, Permission.MONITOR_EDIT, monitor.project)
    if monitor.links != ELSEWHERE:
        raise Conflict("This endpoint is served here: its predictions are logged by themselves.", field="monitor")
    if format not in PredictionUpload.Format.values:
        raise Invalid("The format is csv, parquet or jsonl.", field="format", limit=PredictionUpload.Format.values)
    stored = blobs.put(file, limit_bytes=MOST_BYTES)
    with transaction.atomic():
        where = {"monitor": monitor, "sha256": stored.sha256}
        made, fresh = PredictionUpload.objects.get_or_create(
            **where, defaults={"format": format, "created_by": by.user}
        )
        if not fresh and made.state == PredictionUpload.State.FAILED:
            fresh = bool(PredictionUpload.objects.filter(pk=made.pk, state="failed").update(state="queued", failure=""))
            made.refresh_from_db()
        if fresh:
            data = {"upload": made.pk, "format": format, "size_bytes": stored.size_bytes}
            events.record(by, "predictions.received", project=monitor.project, target=monitor, data=data)
            queue.enqueue(TASK, made.pk)
    return made


def lines(items: Any) -> bytes:
    """Return a list of predictions as JSON lines.

    Raises
    ------
    Invalid
        When it is no list of objects.
    TooLarge
        With more than 10,000.
    """
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise Invalid("items must be a list of objects with at least one prediction.", field="items")
    if len(items) > MOST_ITEMS:
        raise TooLarge(f"At most {MOST_ITEMS:,} predictions at once; send a file.", field="items", limit=MOST_ITEMS)
    return b"".join(orjson.dumps(item) + b"\n" for item in items)
