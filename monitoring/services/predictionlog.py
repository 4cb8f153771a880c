"""Search the prediction log, and take what was found along as a CSV."""

import csv
import io
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Subquery

from mlportal.lib import moments
from mlportal.lib.errors import Invalid
from monitoring.models import GroundTruth, Prediction, PredictionChunk
from monitoring.models.predictions import PredictionQuerySet
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events
from projects.tabular.export import safe

LABELS = {"any": "with a label", "none": "without a label", "right": "right", "wrong": "wrong"}
FIELDS = ("endpoint", "q", "version", "variant", "protocol", "answer", "label", "since", "until")
MOST_EXPORTED = 100_000
PART_ROWS = 500
CLOCKS_APART = timedelta(hours=1)
ELSEWHERE = 0  # the source of chunks that no revision of ours answered
HEADS = (
    "prediction_id", "at", "endpoint", "model", "version", "variant", "revision", "backend", "prediction",
    "score", "latency_us", "inference_id", "label", "observed_at", "protocol",
)  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """What is looked for; empty for anything."""

    endpoint: str = ""
    q: str = ""
    version: str = ""
    variant: str = ""
    protocol: str = ""
    answer: str = ""
    label: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Chosen":
        """Read the fields of an address.

        Raises
        ------
        Invalid
            Naming the field: a time that is none, a state of labels or a protocol that there is not.
        """
        words = {name: given.get(name, "").strip()[:210] for name in FIELDS}
        if words["label"] and words["label"] not in LABELS:
            raise Invalid(f"label is one of: {', '.join(LABELS)}.", field="label", limit=list(LABELS))
        if words["protocol"] not in Prediction.Protocol.values:
            known = [value for value in Prediction.Protocol.values if value]
            raise Invalid(f"protocol is one of: {', '.join(known)}.", field="protocol", limit=known)
        since = moments.read(words["since"], field="since").start if words["since"] else None
        until = moments.read(words["until"], field="until").end if words["until"] else None
        plain = {name: value for name, value in words.items() if name not in ("since", "until")}
        return cls(**plain, since=since, until=until)

    def narrow(self, rows: PredictionQuerySet) -> PredictionQuerySet:
        """Keep the rows that are looked for."""
        if self.endpoint:
            rows = rows.filter(endpoint=self.endpoint)
        if self.q:
            key = identifier(self.q)
            rows = rows.filter(pk=key) if key else rows.filter(external_id=self.q)
        if self.version:
            rows = rows.filter(chunk__label=self.version)
        if self.variant:
            rows = rows.filter(chunk__variant=self.variant)
        if self.protocol:
            rows = rows.filter(protocol=self.protocol)
        if self.answer:
            rows = rows.filter(value=self.answer)
        if self.since:
            # An id tells when it was made, never before its answer, so that the search ends by the index.
            rows = rows.filter(at__gte=self.since, pk__gte=_least(self.since - CLOCKS_APART))
        if self.until:
            rows = rows.filter(at__lte=self.until)
        return self._labelled(rows) if self.label else rows

    def _labelled(self, rows: PredictionQuerySet) -> PredictionQuerySet:
        own = GroundTruth.objects.filter(prediction=OuterRef("pk"))
        if self.label == "none":
            return rows.filter(~Exists(own))
        if self.label == "right":
            return rows.filter(Exists(own.filter(label=OuterRef("value"))))
        if self.label == "wrong":
            return rows.filter(Exists(own.exclude(label=OuterRef("value"))))
        return rows.filter(Exists(own))


def found(by: Actor, *, project: Project, chosen: Chosen) -> PredictionQuerySet:
    """Return the predictions that are looked for, in no order."""
    require(by, Permission.PREDICTION_VIEW, project)
    rows = chosen.narrow(Prediction.objects.visible_to(by).in_project(project).with_origin())
    if chosen.until and not _has_late_ids(project, chosen.endpoint):
        # Newer rows are passed over by the index: without this a search with an end alone reads all of them.
        rows = rows.filter(pk__lt=_least(chosen.until + CLOCKS_APART))
    return rows


def _has_late_ids(project: Project, endpoint: str) -> bool:
    """Whether there are predictions of models served elsewhere: their ids are made when they are sent, long after."""
    chunks = PredictionChunk.objects.filter(project=project, source=ELSEWHERE)
    return (chunks.filter(endpoint=endpoint) if endpoint else chunks).exists()


def export(by: Actor, *, project: Project, chosen: Chosen) -> Iterator[str]:
    """Return what was found as lines of a CSV, newest first, at most 100,000; who took it is in the audit log.

    Features are not in it: they are read one prediction at a time, where marks of their columns hold.
    """
    require(by, Permission.PREDICTION_VIEW, project)
    events.record(
        by, "predictions.exported", project=project,
        data={name: str(getattr(chosen, name)) for name in FIELDS if getattr(chosen, name)},
    )  # fmt: skip
    truths = GroundTruth.objects.filter(prediction=OuterRef("pk")).order_by("-observed_at", "-pk")
    rows = found(by, project=project, chosen=chosen).annotate(
        told=Subquery(truths.values("label")[:1]), told_at=Subquery(truths.values("observed_at")[:1])
    )
    values = rows.order_by("-id").values_list(
        "id", "at", "endpoint", "chunk__model", "chunk__label", "chunk__variant", "chunk__revision", "chunk__backend",
        "value", "score", "latency_us", F("external_id"), "told", "told_at",
        "protocol",
    )[:MOST_EXPORTED]  # fmt: skip
    return _lines(values)


def identifier(text: str) -> uuid.UUID | None:
    """Return an id that came as text, None when it is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _lines(rows: Any) -> Iterator[str]:
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(HEADS)
    for count, row in enumerate(rows.iterator(chunk_size=PART_ROWS), start=1):
        writer.writerow([_cell(value) for value in row])
        if count % PART_ROWS == 0:
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return safe(value) if isinstance(value, str) else value


def _least(moment: datetime) -> uuid.UUID:
    """Return an id that is not above any made at that moment or later."""
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
