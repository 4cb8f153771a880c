"""Forget predictions that are older than they are kept: rows, labels and files. Counts, cells and windows stay."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import CASCADE

from monitoring.models import Backfill, GroundTruth, Prediction, PredictionChunk
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, legal_holds

BATCH = 5_000
MOST_BATCHES = 100


@dataclass(frozen=True)
class Forgotten:
    """How much went."""

    predictions: int = 0
    labels: int = 0
    files: int = 0


def forget(by: Actor, *, project: Project, endpoint: str, before: datetime) -> Forgotten:
    """Delete the predictions of an endpoint that were answered before a moment, in batches of 5,000 and at most 100.

    Each batch is a transaction with its event, so a killed worker loses nothing and the next call goes on. What the
    next call leaves is taken by the one after. A chunk that somebody still counts is left until that is done. While a
    legal hold covers the project nothing goes.
    """
    require(by, Permission.MONITOR_EDIT, project)
    total = Forgotten()
    for _batch in range(MOST_BATCHES):
        try:
            gone = _batch_of(by, project, endpoint, before)
        except IntegrityError:  # a label came for one of them in between
            break
        if not gone.predictions:
            break
        total = Forgotten(total.predictions + gone.predictions, total.labels + gone.labels, total.files + gone.files)
    return total


def first_id(before: datetime) -> uuid.UUID:
    """Return the least id that a prediction of this moment can have: ids are UUIDv7."""
    return uuid.UUID(int=int(before.timestamp() * 1000) << 80)


def _batch_of(by: Actor, project: Project, endpoint: str, before: datetime) -> Forgotten:
    with transaction.atomic():
        if legal_holds.stands(project, alone=True):
            return Forgotten()
        rows = Prediction.objects.filter(project=project, endpoint=endpoint, id__lt=first_id(before))
        if counted := _first_counted(project, endpoint):
            rows = rows.filter(chunk__lt=counted)
        found = list(rows.order_by("id").values_list("id", "chunk")[:BATCH])
        if not found:
            return Forgotten()
        keys = [key for key, _chunk in found]
        labels, _ = GroundTruth.objects.filter(prediction__in=keys).delete()
        drop_what_hangs_on(keys)
        rows = Prediction.objects.filter(pk__in=keys)
        gone = rows._raw_delete(rows.db)  # its labels are gone; collecting relations again would read every row
        chunks = PredictionChunk.objects.filter(pk__in={chunk for _key, chunk in found}, predictions=None)
        files, _ = chunks.delete()
        done = Forgotten(int(gone or 0), labels, files)
        data: dict[str, Any] = {
            "endpoint": endpoint, "before": before.isoformat(timespec="seconds"), "predictions": done.predictions,
            "labels": done.labels, "files": done.files,
        }  # fmt: skip
        events.record(by, "predictions.forgotten", project=project, data=data)
    return done


def drop_what_hangs_on(keys: list[uuid.UUID]) -> None:
    """Delete what other apps keep of these predictions, such as explanations, which hold their values."""
    for relation in Prediction._meta.get_fields(include_hidden=True):
        if getattr(relation, "on_delete", None) is CASCADE:
            model, place = relation.related_model, relation.field.attname  # type: ignore[union-attr]
            model._base_manager.filter(**{f"{place}__in": keys}).delete()  # type: ignore[union-attr]


def _first_counted(project: Project, endpoint: str) -> int | None:
    """Return the first chunk that a backfill has not counted yet."""
    rows = Backfill.objects.filter(monitor__project=project, monitor__endpoint=endpoint)
    done = rows.order_by("done_chunk").values_list("done_chunk", flat=True).first()
    return None if done is None else done + 1
