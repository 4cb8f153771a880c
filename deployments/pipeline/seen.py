"""Held-out rows that production was trained on: comparing on them would flatter it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.models import ModelVersion
from experiments.models import TrainingJob
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError
from projects.services import tables

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 2_000_000  # of production's dataset; more would not fit into a worker
LEAST_LEFT = 30  # rows; fewer say more of single rows than of the models
CUTS = ("target", "missing_target", "test_share", "seed", "stratify")
PART = "rows production was trained on"


@dataclass(frozen=True)
class Seen:
    """What is known about the rows both models are compared on.

    Attributes
    ----------
    frame
        The rows to compare on.
    excluded
        How many were left out because production was trained on them; None when nobody can know.
    note
        Why there is nothing to compare on, or an empty text.
    why
        What a reader of the evidence has to know, or an empty text.
    """

    frame: "pd.DataFrame"
    excluded: int | None = 0
    note: str = ""
    why: str = ""

    def plain(self) -> dict[str, Any]:
        """Return what the stored result says of it."""
        return {"excluded": self.excluded, "kept": len(self.frame), "why": self.why or self.note}


def leave_out(frame: "pd.DataFrame", candidate: ModelVersion, production: ModelVersion | None) -> Seen:
    """Leave the rows out that production was trained on, found by dataset version, recipe of the split or value."""
    if production is None:
        return Seen(frame)
    ours, theirs = _job(candidate), _job(production)
    if theirs is None:
        return Seen(frame, None, why=f"{production} was not trained here, so it may have been trained on these rows")
    if ours is not None and _same_cut(ours, theirs):
        return Seen(frame)
    if (theirs.dataset_version.row_count or 0) > MOST_ROWS:
        why = f"{production} was trained on more than {MOST_ROWS:,} rows, too many to look these up among them"
        return Seen(frame, None, why=why)
    try:
        return _without(frame, _learned(theirs), production)
    except (DomainError, KeyError, ValueError, TypeError) as error:
        text = error.message if isinstance(error, DomainError) else str(error).splitlines()[0][:200]
        return Seen(frame, None, why=f"the rows {production} was trained on cannot be told: {text}")


def _job(version: ModelVersion) -> TrainingJob | None:
    rows = TrainingJob.objects.select_related("dataset_version__dataset", "split")
    return rows.filter(run=version.run_id).first() if version.run_id else None


def _same_cut(one: TrainingJob, other: TrainingJob) -> bool:
    """Whether both trainings held the same rows out, by construction."""
    if (one.dataset_version_id, one.split_id) != (other.dataset_version_id, other.split_id):
        return False
    names = ("target", "missing_target") if one.split_id else CUTS
    return all(one.spec.get(name) == other.spec.get(name) for name in names)


def _learned(job: TrainingJob) -> "pd.DataFrame":
    from experiments.training import seen
    from experiments.training.load import load
    from experiments.training.spec import validate_spec

    version = job.dataset_version
    spec = validate_spec(job.spec, version.schema)
    with tempfile.TemporaryDirectory() as folder:
        # A stored file has no ending, and readers go by it.
        link = Path(folder) / "data.parquet"
        found = tables.one_file(version, link)
        if found != link:
            link.symlink_to(found)
        frame = load(link, spec)
    saved = blobs.local_path(job.split.rows_sha256) if job.split else None
    return seen.rows(spec, frame, version.schema, saved)


def _without(frame: "pd.DataFrame", learned: "pd.DataFrame", production: ModelVersion) -> Seen:
    from experiments.training import seen

    missing = sorted(set(learned) - set(frame))
    if missing:
        return Seen(frame, None, why=f"{production} learned from {missing[0]}, which these rows do not hold")
    known = seen.among(frame, learned)
    count, kept = int(known.sum()), frame[~known].reset_index(drop=True)
    if not count:
        return Seen(frame)
    if len(kept) < LEAST_LEFT:
        note = f"{production} was trained on {count:,} of these {len(frame):,} rows, which leaves too few to compare on"
        return Seen(frame, count, note=note)
    return Seen(
        kept, count, why=f"{count:,} of {len(frame):,} rows are left out because {production} was trained on them"
    )
