"""Look at what was predicted, and record what turned out to be true."""

import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from mlportal.lib import blobs, names
from mlportal.lib.errors import Invalid, TooLarge
from monitoring.models import GroundTruth, Monitor, Prediction
from monitoring.services import marked, performance, units
from monitoring.services.performance import Change, Truth
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, marks

MOST_LABELS = 10_000
ROW_GROUP = 10_000
ID_LENGTH = 200
FIELDS = ("prediction_id", "inference_id", "label", "observed_at")


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many labels found their prediction, and how many wait for it."""

    matched: int
    waiting: int


@dataclass(frozen=True, slots=True)
class _Truth:
    key: uuid.UUID | None
    external_id: str | None
    label: str
    number: float | None
    observed_at: datetime

    @property
    def identity(self) -> tuple[uuid.UUID | None, str | None]:
        return self.key, self.external_id


@dataclass(frozen=True, slots=True)
class Content:
    """Features and outputs of one prediction; values of ``masked`` columns are hidden from who reads."""

    features: dict[str, Any]
    probability: dict[str, float]
    masked: frozenset[str] = frozenset()


def record_truth(by: Actor, *, project: Project, items: Any) -> Recorded:
    """Store what turned out to be true; sending the same again, or a correction, replaces what was there.

    Parameters
    ----------
    items : list of mapping
        ``{"prediction_id" or "inference_id", "label", "observed_at"?}``, at most 10,000.

    Raises
    ------
    Invalid
        Naming the item and the field.
    TooLarge
        With more than 10,000 items.
    """
    require(by, Permission.PREDICTION_LABEL, project)
    truths = {truth.identity: truth for truth in _read(items)}
    for attempt in (1, 2):
        try:
            with transaction.atomic():
                rows = _upsert(by, project, truths)
                break
        except IntegrityError:
            if attempt == 2:
                raise  # the same label came twice at once twice in a row
    matched = sum(row.prediction_id is not None for row in rows)
    return Recorded(matched=matched, waiting=len(rows) - matched)


def check(item: Any, *, where: str) -> None:
    """Read an item without storing it; a fault names ``where``, such as a line of a file."""
    _read_item(item, where)


def content(by: Actor, *, prediction: Prediction) -> Content:
    """Read the features and all outputs of a prediction from its chunk; who read them is an entry of the audit log.

    Raises
    ------
    Missing
        When the file is gone.
    """
    require(by, Permission.PREDICTION_VIEW, prediction.project)
    found = stored(prediction)
    with transaction.atomic():
        told = {"prediction": str(prediction.pk), "endpoint": prediction.endpoint}
        events.record(by, "prediction.read", project=prediction.project, data=told)
    hidden = _hidden(by, prediction) & set(found.features)
    shown = {name: marks.MASK if name in hidden else value for name, value in found.features.items()}
    return Content(shown, found.probability, hidden)


def stored(prediction: Prediction) -> Content:
    """Read what the log holds of a prediction; for workers, and for those whose right was checked."""
    from pyarrow import parquet

    chunk = prediction.chunk
    with parquet.ParquetFile(blobs.local_path(chunk.sha256)) as file:
        part = file.read_row_group(prediction.row // ROW_GROUP)
        row = part.slice(prediction.row % ROW_GROUP, 1).to_pylist()[0]
        classes = (file.schema_arrow.metadata or {}).get(b"classes", b"").decode().split("\x1f")
    shares = row["__probability__"] or []
    return Content({name: row[name] for name in chunk.columns}, dict(zip(classes, shares, strict=False)))


def _hidden(by: Actor, prediction: Prediction) -> frozenset[str]:
    """Columns whose marks, on the data the version learned from, hide them from who reads."""
    monitor = Monitor.objects.of(prediction.project_id, prediction.endpoint, prediction.chunk.label)
    return marked.hidden_from(by, monitor=monitor) if monitor else frozenset()


def _upsert(by: Actor, project: Project, truths: Mapping[Any, _Truth]) -> list[GroundTruth]:
    found = _predictions(project, truths)
    performance.hold(performance.key(prediction) for prediction in found.values())
    known = _held(project, truths)
    created, changed = [], []
    changes: list[Change] = []
    for identity, truth in truths.items():
        row = known.get(identity)
        if row is None:
            row = GroundTruth(project=project, prediction_key=truth.key, external_id=truth.external_id)
            created.append(row)
        else:
            changed.append(row)
        changes += _changes(row, truth, found.get(identity))
        row.prediction = found.get(identity)
        row.label, row.number, row.observed_at = truth.label, truth.number, truth.observed_at
        row.recorded_by, row.recorded_at = by.user, timezone.now()
    GroundTruth.objects.bulk_create(created, batch_size=500)
    fields = ["prediction", "label", "number", "observed_at", "recorded_by", "recorded_at"]
    GroundTruth.objects.bulk_update(changed, fields, batch_size=500)
    performance.apply(changes)
    units.apply(changes)
    return created + changed


def _changes(row: GroundTruth, truth: _Truth, prediction: Prediction | None) -> Iterator[Change]:
    """Tell what the label changes about its prediction, and about the one it belonged to before."""
    after = Truth(truth.label, truth.observed_at, truth.number)
    before = Truth(row.label, row.observed_at, row.number) if row.pk and row.prediction else None
    if before and row.prediction and row.prediction != prediction:
        yield Change(row.prediction, before, None)
        before = None
    if prediction:
        yield Change(prediction, before, after)


def _held(project: Project, truths: Mapping[Any, _Truth]) -> dict[Any, GroundTruth]:
    keys, others = _identities(truths)
    wanted = Q(prediction_key__in=keys) | Q(external_id__in=others)
    # locked, so that two corrections of one label are taken one after the other
    rows = GroundTruth.objects.in_project(project).filter(wanted).order_by("pk")
    held = rows.select_for_update(of=("self",), no_key=True).select_related("prediction__chunk")
    return {(row.prediction_key, row.external_id): row for row in held}


def _predictions(project: Project, truths: Mapping[Any, _Truth]) -> dict[Any, Prediction]:
    """Prediction of each label; of several with one caller's id the newest."""
    rows = Prediction.objects.in_project(project).select_related("chunk")
    keys, others = _identities(truths)
    found: dict[Any, Prediction] = {(row.pk, None): row for row in rows.filter(pk__in=keys)}
    named = rows.filter(external_id__in=others).order_by("id")
    return found | {(None, row.external_id): row for row in named}


def _identities(truths: Mapping[Any, _Truth]) -> tuple[list[uuid.UUID], list[str]]:
    keys = [truth.key for truth in truths.values() if truth.key is not None]
    return keys, [truth.external_id for truth in truths.values() if truth.external_id is not None]


def _read(items: Any) -> list[_Truth]:
    if not isinstance(items, list) or not items:
        raise Invalid("items must be a list with at least one label.", field="items")
    if len(items) > MOST_LABELS:
        raise TooLarge(
            f"{len(items):,} labels sent, at most {MOST_LABELS:,} are taken at once.",
            field="items",
            limit=MOST_LABELS,
            got=len(items),
        )
    return [_read_item(item, f"items[{place}]") for place, item in enumerate(items)]


def _read_item(item: Any, where: str) -> _Truth:
    if not isinstance(item, dict):
        raise Invalid(f"{where} must be an object.", field=where)
    if unknown := sorted(set(item) - set(FIELDS)):
        raise Invalid(f"{where} has an unknown field {unknown[0][:50]!r}.", field=where, limit=list(FIELDS))
    if ("prediction_id" in item) == ("inference_id" in item):
        raise Invalid(f"{where} needs either prediction_id or inference_id.", field=where)
    label, number = _read_label(item.get("label"), f"{where}.label")
    key = _read_key(item["prediction_id"], f"{where}.prediction_id") if "prediction_id" in item else None
    external_id = None
    if key is None:
        field = f"{where}.inference_id"
        external_id = names.clean_text(item["inference_id"], field=field, limit=ID_LENGTH, required=True)
    return _Truth(key, external_id, label, number, _read_moment(item.get("observed_at"), f"{where}.observed_at"))


def _read_key(value: Any, field: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(f"{field} must be the id that came with a prediction.", field=field) from None


def _read_label(value: Any, field: str) -> tuple[str, float | None]:
    if isinstance(value, bool):
        return ("true" if value else "false"), float(value)
    if isinstance(value, str):
        return names.clean_text(value, field=field, limit=ID_LENGTH, required=True), None
    if isinstance(value, (int, float)) and abs(value) < 1e300 and math.isfinite(value):
        whole = float(value).is_integer() and abs(value) < 1e15
        return (str(int(value)) if whole else repr(float(value))), float(value)
    raise Invalid(f"{field} must be a text, a finite number, true or false.", field=field)


def _read_moment(value: Any, field: str) -> datetime:
    if value is None:
        return timezone.now()
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Invalid(f"{field} must be an ISO 8601 moment such as 2026-05-31T08:00:00Z.", field=field) from None
