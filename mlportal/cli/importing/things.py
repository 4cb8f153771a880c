"""What an import carries, whatever tool it comes from: the words are MLflow's, since the door speaks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Point = tuple[str, float, int, int]  # metric, value, milliseconds, step

FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"
ENDED = {FINISHED, FAILED, KILLED}


class Trouble(Exception):
    """One thing of the source cannot be read or kept; the import goes on with the others and names it at the end."""


@dataclass
class Experiment:
    """An experiment of the source."""

    id: str
    name: str
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False


@dataclass
class Run:
    """A run of the source without its histories and files."""

    id: str
    name: str
    status: str = FINISHED
    start: int = 0
    end: int | None = None
    user: str = ""
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)
    root: str = ""


@dataclass
class Links:
    """Datasets and models that went into a run or came out of it."""

    datasets: list[dict[str, Any]] = field(default_factory=list)
    models_in: list[str] = field(default_factory=list)
    models_out: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class File:
    """A file below a run or a model; the size is unknown with some stores."""

    path: str
    size: int | None


@dataclass
class Model:
    """A logged model (MLflow 3)."""

    id: str
    name: str
    run: str = ""
    kind: str = ""
    status: str = "READY"
    root: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Registered:
    """A registered model."""

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


@dataclass
class Version:
    """A version of a registered model."""

    number: int
    source: str = ""
    run: str = ""
    model: str = ""
    link: str = ""
    description: str = ""
    stage: str = "None"
    created: int = 0
    tags: dict[str, str] = field(default_factory=dict)


class Source(Protocol):
    """A reader of one tool's runs. Its methods are called from several threads."""

    name: str
    notes: list[str]

    def experiments(self) -> list[Experiment]:
        """Return all experiments."""

    def pages(self, experiment: Experiment) -> Iterator[list[Run]]:
        """Yield the experiment's runs, page by page, oldest first."""

    def links(self, run: Run) -> Links:
        """Return a run's datasets and models."""

    def points(self, run: Run) -> Iterable[list[Point]]:
        """Yield all points of a run in pieces."""

    def files(self, root: str) -> list[File]:
        """List all files of a run or model."""

    def fetched(self, root: str, file: File) -> AbstractContextManager[Path]:
        """Give a local copy of a file for the time of the context."""

    def models(self, experiment: Experiment) -> Iterable[Model]:
        """Yield the experiment's logged models."""

    def registered(self) -> Iterable[tuple[Registered, list[Version]]]:
        """Yield the registered models with their versions by number."""

    def close(self) -> None:
        """Release what the reader holds."""


def is_safe(path: str) -> bool:
    """Tell whether a path from a source stays inside the folder it is put under."""
    parts = path.split("/")
    return bool(path) and "\0" not in path and not any(part in ("", ".", "..") for part in parts)
