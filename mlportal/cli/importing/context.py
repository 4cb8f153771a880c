"""What the parts of an import share: the two ends, what corresponds to what, and what was counted."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field

from mlportal.cli.importing.marks import Counts
from mlportal.cli.importing.progress import Progress
from mlportal.cli.importing.target import Door
from mlportal.cli.importing.things import Source


@dataclass
class Known:
    """A run or model that is in the portal."""

    id: str
    root: str
    done: str = ""
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Options:
    """What the command line asks for."""

    only: frozenset[str] = frozenset()
    deleted: bool = False
    verify: bool = False
    registry: bool = True
    skip_versions: bool = False
    jobs: int = 2


class Tally:
    """Counts of both sides by experiment, differences, and remarks. Threads add to it."""

    def __init__(self) -> None:
        self.source: dict[str, Counts] = defaultdict(Counts)
        self.target: dict[str, Counts] = defaultdict(Counts)
        self.versions = {"source": [0, 0], "target": [0, 0]}
        self.differences: list[str] = []
        self.notes: list[str] = []
        self.lock = threading.Lock()

    def add(self, experiment: str, source: Counts, target: Counts) -> None:
        """Count one thing on both sides."""
        with self.lock:
            self.source[experiment] += source
            self.target[experiment] += target

    def differs(self, what: str) -> None:
        """Remember something that is not the same on both sides."""
        with self.lock:
            self.differences.append(what)

    def note(self, what: str) -> None:
        """Remember something to tell that is no difference; once."""
        with self.lock:
            if what not in self.notes:
                self.notes.append(what)


@dataclass
class Context:
    """One import."""

    source: Source
    door: Door
    options: Options
    progress: Progress
    tally: Tally = field(default_factory=Tally)
    runs: dict[str, Known] = field(default_factory=dict)
    models: dict[str, Known] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)  # where a run's or model's files lie in the source -> its id
