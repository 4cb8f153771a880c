"""Marks of columns where monitoring quotes their values: groups and segments of a hidden column have codes."""

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


def hidden_from(by: Actor, *, monitor: Monitor) -> marks.Hidden:
    """Columns whose marks, on the data the version learned from, hide their values from the actor."""
    dataset = _dataset(monitor)
    return marks.hidden_from(by, dataset=dataset) if dataset else marks.Hidden()


def column_of(segment: str, columns: Collection[str]) -> str:
    """Return which of the columns a segment such as ``region=north`` is of; empty for none."""
    return max((name for name in columns if segment.startswith(f"{name}=")), key=len, default="")


def called(segments: Iterable[str], hidden: marks.Hidden) -> dict[str, str]:
    """Return segments by what the reader is told they are; those of hidden columns by the code of their value."""
    columns = {segment: column_of(segment, hidden) for segment in sorted(segments)}
    return {
        f"{column}={hidden.called(column, segment.removeprefix(f'{column}='))}" if column else segment: segment
        for segment, column in columns.items()
    }


def _dataset(monitor: Monitor) -> Dataset | None:
    name = monitor.links.get("dataset")
    return Dataset.objects.filter(project=monitor.project_id, name_key=names.key(name)).first() if name else None
