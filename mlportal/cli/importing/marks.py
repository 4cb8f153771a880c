"""The tags by which an import finds its own work again, so that it can be killed and go on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields

from mlportal.cli.importing.things import Run

OURS = "mlportal.import."
RUN, MODEL, VERSION = OURS + "run_id", OURS + "model_id", OURS + "version"
SOURCE, DONE, CREATED = OURS + "source", OURS + "complete", OURS + "created"
PLACEHOLDER, DOUBLE = OURS + "placeholder", OURS + "double"


@dataclass
class Counts:
    """How much there is of everything that the check at the end compares."""

    runs: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    files: int = 0
    bytes: int = 0
    models: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


def fingerprint(run: Run) -> str:
    """Return a digest of all that is cheap to read of a run: when it is the same, the run has not changed."""
    facts = [run.name, run.status, run.start, run.end, run.user, run.params, run.tags, run.latest]
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def done(print_: str, counts: Counts) -> str:
    """Return the mark of a run that was copied and compared."""
    return f"{print_} points={counts.points} files={counts.files} bytes={counts.bytes}"


def read_done(mark: str) -> tuple[str, Counts]:
    """Return fingerprint and counts of a mark."""
    first, *rest = mark.split(" ") if mark else [""]
    pairs = dict(word.split("=", 1) for word in rest if "=" in word)
    found = {name: int(pairs.get(name, 0)) for name in ("points", "files", "bytes") if pairs.get(name, "0").isdigit()}
    return first, Counts(**found)
