"""Ship closed segments: thin rows, a Parquet file of features, and grid counts, in one transaction a segment.

A kill at any point is safe: before the commit nothing happened; after it the segment's name is known, so the
next pass only removes the file.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from mlportal.lib import blobs, rowfile
from mlportal.lib.failpoints import failpoint
from monitoring import spool
from monitoring.drift import shape
from monitoring.models import GroundTruth, IngestedSegment, Monitor, Prediction, PredictionChunk
from monitoring.pipeline import counting, variants
from monitoring.services import chunks, performance, units
from projects.actor import Actor
from projects.models import ApiToken, Project
from projects.services import events, legal_holds

log = structlog.get_logger(__name__)

BATCH_ROWS = 2_000
MOST_SEGMENTS = 200
VALUE_LENGTH = 200
WAIT_FOR_PREDICTION = timedelta(days=30)
NUMBERS = frozenset({"numeric", "integer"})


@dataclass(slots=True)
class Draft:
    """Predictions of one source in one segment, column by column."""

    header: dict[str, Any]
    ids: list[str] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    probabilities: list[list[float] | None] = field(default_factory=list)
    external_ids: list[str | None] = field(default_factory=list)
    columns: list[list[Any]] = field(default_factory=list)
    requests: list[tuple[int, int]] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    tokens: set[int] = field(default_factory=set)
    kept: list[bool] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    units: list[int | None] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    protocols: list[str] = field(default_factory=list)

    @property
    def is_split(self) -> bool:
        """Whether several versions shared the revision, so that each is counted by itself."""
        return "revision_id" in self.header

    def add(self, record: dict[str, Any]) -> None:
        """Take one line."""
        if self.is_split:
            self.told.append(record)
        if record["kind"] in variants.BESIDE:
            return
        if record["kind"] == "refusal":
            self.refusals.append((record["at"], record.get("code", "")))
            return
        if record["kind"] == "gap":
            self.gaps.append(record)
            return
        count = len(record["ids"])
        self.requests.append((record["at"], record["us"]))
        self.ids += record["ids"]
        self.at_ms += [record["at"]] * count
        self.kept += [record.get("kept", True)] * count
        self.latencies += [record["us"]] * count
        self.units += [record.get("unit")] * count
        self.protocols += [record.get("via", "")] * count
        self.values += record["y"]
        self.scores += record["s"]
        self.probabilities += record["p"] or [None] * count
        self.external_ids += record["ref"] or [None] * count
        self.columns = self.columns or [[] for _ in self.header["columns"]]
        for held, added in zip(self.columns, record["x"], strict=True):
            held.extend(added)
        if record["token"]:
            self.tokens.add(record["token"])

    def by_column(self) -> dict[str, list[Any]]:
        """Features and answers by the name of their column."""
        features = dict(zip(self.header["columns"], self.columns, strict=True)) if self.columns else {}
        return features | {shape.PREDICTION: self.values, shape.SCORE: self.scores}


def ship(folder: Path) -> int:
    """Ship every closed segment of a folder, oldest first; returns how many rows came in.

    A segment that cannot be shipped is left for the next pass and does not hold up the others.
    """
    rows = 0
    with _alone(folder) as alone:
        for path in spool.closed_segments(folder)[:MOST_SEGMENTS] if alone else ():
            try:
                rows += ship_segment(path)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                log.exception("a segment could not be shipped", segment=path.name)
    return rows


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process ships this folder now. Two would be safe, only wasteful."""
    if not folder.is_dir():
        yield False
        return
    with (folder / "shipper.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def ship_segment(path: Path) -> int:
    """Ship one segment exactly once; returns how many rows came in now."""
    name = path.stem
    if IngestedSegment.objects.filter(name=name).exists():
        path.unlink(missing_ok=True)
        return 0
    try:
        reading = spool.read(path)
    except FileNotFoundError:
        return 0  # another shipper was faster
    drafts, strays = _drafts(reading)
    files = {draft.header["source"]: store(draft) for draft in drafts if draft.ids}
    failpoint("ship.files")
    try:
        with transaction.atomic():
            rows = sum(len(draft.ids) for draft in drafts)
            segment = IngestedSegment.objects.create(name=name, rows=rows, damaged=reading.damaged + strays)
            insert(segment, drafts, files)
            failpoint("ship.commit")
    except IntegrityError:
        if not IngestedSegment.objects.filter(name=name).exists():
            raise
        rows = 0  # another shipper was faster
    failpoint("ship.unlink")
    path.unlink(missing_ok=True)
    if reading.damaged or strays:
        log.error("lines of the prediction log were lost", segment=name, lines=reading.damaged + strays)
    return rows


def _drafts(reading: spool.Reading) -> tuple[list[Draft], int]:
    """Lines by source; the second result counts lines of projects that are gone."""
    living = set(Project.objects.values_list("pk", flat=True))
    drafts = {source: Draft(header) for source, header in reading.headers.items() if header["project"] in living}
    strays = 0
    for record in reading.records:
        draft = drafts.get(record["source"])
        if draft is None:
            strays += 1
        else:
            draft.add(record)
    # Always the same order, so that two shippers cannot wait for each other's monitors.
    ordered = sorted(drafts.values(), key=lambda draft: (draft.header["project"], str(draft.header["source"])))
    return [draft for draft in ordered if draft.ids or draft.refusals or draft.gaps or draft.told], strays


def insert(segment: IngestedSegment, drafts: list[Draft], files: Mapping[int | str, str]) -> None:
    """Store the rows of a segment, give them the labels that waited, and count them.

    Monitors are locked before labels, as in `predictions.record_truth`; from then on their settings stay as they are.
    """
    held = performance.hold(_key(draft.header) for draft in drafts)
    watched = [_learned(held.get(_key(draft.header)), draft.header) for draft in drafts]
    apart = [
        counting.segments_of(monitor, draft.by_column()) if monitor and draft.ids else {}
        for monitor, draft in zip(watched, drafts, strict=True)
    ]
    changes: list[performance.Change] = []
    for draft, segments in zip(drafts, apart, strict=True):
        if draft.ids:
            chunk = _chunk(segment, draft, files[draft.header["source"]])
            Prediction.objects.bulk_create(_rows(chunk, draft, segments), batch_size=BATCH_ROWS)
            changes += _match(chunk, draft)
            ApiToken.objects.filter(pk__in=draft.tokens).update(last_used_at=timezone.now())
    for monitor, draft, segments in zip(watched, drafts, apart, strict=True):
        if monitor:
            _count(monitor, draft, segments)
    performance.apply(changes)
    divided = [draft for draft in drafts if draft.is_split]
    units.count((draft.header, draft.told) for draft in divided)
    units.apply(changes)
    for draft in divided:
        variants.count(draft.header, draft.told)
    for draft in drafts:
        _report_gaps(draft)


def _key(header: dict[str, Any]) -> performance.Key:
    return header["project"], header["endpoint"], header["label"]


def _learned(monitor: Monitor | None, header: dict[str, Any]) -> Monitor | None:
    """Tell a monitor what its model can answer, which the first request says."""
    if monitor and header["classes"] and not monitor.classes:
        monitor.classes = [as_text(value) for value in header["classes"]]
        Monitor.objects.filter(pk=monitor.pk).update(classes=monitor.classes)
    return monitor


def _chunk(segment: IngestedSegment, draft: Draft, sha256: str) -> PredictionChunk:
    header = draft.header
    return PredictionChunk.objects.create(
        segment=segment, project_id=header["project"], source=header.get("revision_id", header["source"]),
        endpoint=header["endpoint"], model=header["model"], version=header["version"], label=header["label"],
        revision=header["revision"], variant=header.get("variant", variants.ALONE),
        backend=header["backend"], columns=_kept_columns(header), sha256=sha256, rows=len(draft.ids),
    )  # fmt: skip


def _report_gaps(draft: Draft) -> None:
    """Rows that were answered without a log line become an event: audit log, mail and webhooks hear of it."""
    endpoint, label = draft.header["endpoint"], draft.header["label"]
    for gap in draft.gaps:
        project = Project.objects.get(pk=draft.header["project"])
        monitor = Monitor.objects.of(project.pk, endpoint, label)
        data = {
            "severity": "critical", "endpoint": endpoint, "version": label, "rows": gap["rows"],
            "since": counting.moment(gap["since"]).isoformat(),
            "until": counting.moment(gap["at"]).isoformat(),
        }  # fmt: skip
        by = Actor.system("serving", project=project)
        events.record(by, "predictions.unlogged", project=project, target=monitor, data=data)


def _rows(chunk: PredictionChunk, draft: Draft, segments: Mapping[str, list[str]]) -> Iterable[Prediction]:
    for row, identifier in enumerate(draft.ids):
        yield Prediction(
            id=uuid.UUID(identifier), project_id=chunk.project_id, endpoint=chunk.endpoint, chunk=chunk, row=row,
            at=counting.moment(draft.at_ms[row]), latency_us=draft.latencies[row], value=as_text(draft.values[row]),
            score=draft.scores[row], external_id=draft.external_ids[row],
            segments={column: values[row] for column, values in segments.items()} or None,
            unit=draft.units[row] if draft.units else None,
            protocol=draft.protocols[row] if draft.protocols else "",
        )  # fmt: skip


def _match(chunk: PredictionChunk, draft: Draft) -> list[performance.Change]:
    """Give labels that came before their predictions what they waited for."""
    waiting = GroundTruth.objects.filter(project_id=chunk.project_id, prediction=None)
    if not waiting.exists():
        return []
    own = {row.pk: row for row in Prediction.objects.filter(chunk=chunk).select_related("chunk")}
    named = {row.external_id: row for row in sorted(own.values(), key=lambda row: row.pk) if row.external_id}
    wanted = Q(prediction_key__in=list(own)) | Q(external_id__in=list(named))
    found = list(waiting.filter(wanted).select_for_update(no_key=True).order_by("pk"))
    for truth in found:
        truth.prediction = own[truth.prediction_key] if truth.prediction_key else named[str(truth.external_id)]
    GroundTruth.objects.bulk_update(found, ["prediction"], batch_size=500)
    return [performance.arrived(truth.prediction, truth) for truth in found if truth.prediction]


def _count(monitor: Monitor, draft: Draft, segments: Mapping[str, list[str]]) -> None:
    counting.add_rows(monitor, draft.at_ms, draft.by_column(), segments)
    counting.add_traffic(monitor, draft.requests, draft.refusals, draft.gaps)


def _kept_columns(header: dict[str, Any]) -> list[str]:
    return [] if header["log_mode"] == "none" else list(header["columns"])


def store(draft: Draft) -> str:
    """Write features and full outputs as Parquet; the same segment always gives the same file."""
    import pyarrow as pa

    header = draft.header
    names = _kept_columns(header)
    arrays: dict[str, Any] = {}
    for name, kind, values in zip(header["columns"], header["kinds"], draft.columns, strict=True):
        if name in names:
            hashed = header["log_mode"] == "hashed" or name in header.get("masked", ())
            sample = [value if kept else None for value, kept in zip(values, draft.kept, strict=True)]
            arrays[name] = _array(sample, kind, hashed=hashed, salt=f"{header['project']}|{name}")
    arrays["__prediction__"] = pa.array([as_text(value) for value in draft.values])
    arrays["__probability__"] = pa.array(draft.probabilities, type=pa.list_(pa.float64()))
    arrays["__id__"] = pa.array(draft.ids)
    table = pa.table(arrays)
    table = table.replace_schema_metadata({"classes": "\x1f".join(as_text(value) for value in header["classes"])})
    return blobs.put_bytes(rowfile.packed(table)).sha256


def _array(values: list[Any], kind: str, *, hashed: bool, salt: str) -> Any:
    import pyarrow as pa

    if hashed:
        return pa.array([None if value is None else _hash(salt, value) for value in values])
    if kind in NUMBERS:
        return pa.array(values, type=pa.float64())
    if kind == "boolean":
        return pa.array(values, type=pa.bool_())
    return pa.array([None if value is None else as_text(value) for value in values], type=pa.string())


def _hash(salt: str, value: Any) -> str:
    return chunks.hashed(salt, as_text(value))


def as_text(value: Any) -> str:
    """An answer or a feature as text, one spelling a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)[:VALUE_LENGTH] if not isinstance(value, float) else repr(value)


def forget_unmatched(now: datetime) -> int:
    """Drop labels that found no prediction in 30 days, but for those of projects under a legal hold."""
    before = now - WAIT_FOR_PREDICTION
    held = Project.objects.filter(legal_holds.held_projects())
    waited = GroundTruth.objects.filter(prediction=None, recorded_at__lt=before)
    dropped, _ = waited.exclude(project__in=held).delete()
    return dropped
