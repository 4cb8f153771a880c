"""Marks of columns where monitoring quotes their values: groups and segments of a hidden column are numbered."""

from collections.abc import Collection, Iterable

from mlportal.lib import names
from monitoring.models import Monitor
from projects.actor import Actor
from projects.models import Dataset
from projects.services import marks


def columns(monitor: Monitor) -> frozenset[str]:
    """Columns whose values not everybody may see, for words that are written for everybody."""
    dataset = _dataset(monitor)
    return frozenset(dataset.marks) if dataset else frozenset()


def hidden_from(by: Actor, *, monitor: Monitor) -> frozenset[str]:
    """Columns whose marks, on the data the version learned from, hide their values from the actor."""
    dataset = _dataset(monitor)
    return marks.hidden_from(by, dataset=dataset) if dataset else frozenset()


def column_of(segment: str, columns: Collection[str]) -> str:
    """Return which of the columns a segment such as ``region=north`` is of; empty for none."""
    return max((name for name in columns if segment.startswith(f"{name}=")), key=len, default="")


def called(segments: Iterable[str], hidden: Collection[str]) -> dict[str, str]:
    """Return segments by what the reader is told they are; those of hidden columns are numbered by name."""
    found: dict[str, str] = {}
    counted: dict[str, int] = {}
    for segment in sorted(segments):
        column = column_of(segment, hidden)
        counted[column] = counted.get(column, 0) + 1
        found[f"{column}=group {counted[column]}" if column else segment] = segment
    return found


def _dataset(monitor: Monitor) -> Dataset | None:
    name = monitor.links.get("dataset")
    return Dataset.objects.filter(project=monitor.project_id, name_key=names.key(name)).first() if name else None
