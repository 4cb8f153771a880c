"""Keep the cells of labelled predictions up to date: what a label changes belongs to the time of its prediction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from monitoring.drift import performance
from monitoring.drift.performance import Cells, Row
from monitoring.models import GroundTruth, LabelBucket, Monitor, Prediction

Place = tuple[int, datetime, str]
Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Truth:
    """A label as it was or is, apart from its row, which changes."""

    label: str
    observed_at: datetime
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a label did to a prediction (with its chunk): ``before`` is taken away, ``after`` is added."""

    prediction: Prediction
    before: Truth | None
    after: Truth | None


def arrived(prediction: Prediction, truth: GroundTruth) -> Change:
    """Describe the first label of a prediction."""
    return Change(prediction, None, Truth(truth.label, truth.observed_at, truth.number))


def apply(changes: Iterable[Change]) -> None:
    """Change the cells of the windows that these predictions belong to, in the caller's transaction.

    Raises
    ------
    RuntimeError
        Outside a transaction: a label could count twice.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("apply needs the transaction that stores the labels")
    kept = [change for change in changes if change.before != change.after]
    monitors = hold(key(change.prediction) for change in kept)
    for place, cells in sorted(_differences(kept, monitors).items()):
        _add(place, cells)


def apply_segments(changes: Iterable[tuple[Change, Mapping[str, str]]]) -> None:
    """Add labels to the cells of these segments only, in the caller's transaction: the whole has them already."""
    chosen = list(changes)
    monitors = hold(key(change.prediction) for change, _segments in chosen)
    places = {
        change.prediction.pk: [f"{column}={value}" for column, value in segments.items()] for change, segments in chosen
    }
    for place, cells in sorted(_differences([change for change, _segments in chosen], monitors, places).items()):
        _add(place, cells)


def hold(keys: Iterable[Key]) -> dict[Key, Monitor]:
    """Lock the monitors of (project, endpoint, version) in one order, before any label; return them as they are now."""
    found = {key: Monitor.objects.of(*key) for key in sorted(set(keys))}
    numbers = [monitor.pk for monitor in found.values() if monitor]
    locked = {
        row.pk: row for row in Monitor.objects.select_for_update(no_key=True).filter(pk__in=numbers).order_by("pk")
    }
    return {key: locked[monitor.pk] for key, monitor in found.items() if monitor}


def key(prediction: Prediction) -> Key:
    """Return what `hold` takes for a prediction."""
    return prediction.project_id, prediction.endpoint, prediction.chunk.label


def _differences(
    changes: list[Change],
    monitors: dict[Key, Monitor],
    only: Mapping[Any, list[str]] | None = None,
) -> dict[Place, Cells]:
    gone: dict[Place, list[Row]] = {}
    come: dict[Place, list[Row]] = {}
    for change in changes:
        monitor = monitors.get(key(change.prediction))
        if monitor is None:
            continue
        for target, truth in ((gone, change.before), (come, change.after)):
            if truth is not None:
                segments = _segments(change.prediction) if only is None else only[change.prediction.pk]
                for segment in segments:
                    place = (monitor.pk, monitor.bucket_of(change.prediction.at), segment)
                    target.setdefault(place, []).append(_row(monitor, change.prediction, truth))
    numeric = {monitor.pk: monitor.is_regression for monitor in monitors.values()}
    return {
        place: performance.add(
            performance.count(come.get(place, []), regression=numeric[place[0]]),
            performance.count(gone.get(place, []), regression=numeric[place[0]]),
            sign=-1,
        )
        for place in {*gone, *come}
    }


def _segments(prediction: Prediction) -> list[str]:
    return ["", *(f"{column}={value}" for column, value in (prediction.segments or {}).items())]


def _row(monitor: Monitor, prediction: Prediction, truth: Truth) -> Row:
    lag = (truth.observed_at - prediction.at).total_seconds()
    return Row(truth.label, prediction.value, prediction.score, tuple(monitor.classes), lag)


def _add(place: Place, difference: Cells) -> None:
    monitor, hour, segment = place
    where: dict[str, Any] = {"monitor_id": monitor, "hour": hour, "segment": segment}
    held, _made = LabelBucket.objects.get_or_create(**where)
    held.cells = performance.add(held.cells, difference)
    held.save(update_fields=["cells"])
