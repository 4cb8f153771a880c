"""What a worker runs for a study of parameter importance: a child process, so that the worker stays small."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from experiments.metricstore import Scope
from experiments.models import Experiment, ImportanceStudy
from experiments.queries import compared
from experiments.services.importance import TASK, Question
from mlportal.lib import forks, lease
from mlportal.lib.lease import Claim, WorkState

SECONDS = 300
PRELOAD = ("sklearn.ensemble", "sklearn.inspection")
CHANGED = "The runs changed while the study waited. Ask again."
Json = dict[str, Any]


def execute(study_id: int, *, worker: str) -> str:
    """Claim a queued study, compute it, store the answer. Returns the state it ended in."""
    rows = ImportanceStudy.objects.all()
    held = lease.claim(rows, study_id, worker=f"{worker}/{os.getpid()}")
    if held is None:
        return "not claimed"
    study = rows.select_related("experiment", "project").get(pk=study_id)
    asked = _question(study)
    if asked.key != study.key:
        lease.finish(rows, held, state=WorkState.FAILED, failure=CHANGED)
        return "changed"
    answer, failure = _compute(held, asked)
    state = WorkState.FAILED if answer is None else WorkState.SUCCEEDED
    if answer is not None:
        answer["computed_at"] = timezone.now().isoformat(timespec="seconds")
    done = lease.finish(rows, held, state=state, failure=failure, result=answer)
    return str(state) if done else "fenced"


def sweep() -> dict[str, int]:
    """Hand on the studies of silent workers, and wake workers for forgotten ones."""
    rows = ImportanceStudy.objects.all()
    moved = lease.sweep(rows, on_end=lambda _: None, on_requeue=lambda _: None)
    return {"moved": moved, "published": lease.republish(rows, task=TASK)}


def _question(study: ImportanceStudy) -> Question:
    dots = compared.dots_of(_scope(study), study.run_ids)
    compared.load(dots, [study.metric])
    return Question(
        study.project, study.experiment, study.metric, [d for d in dots.values() if study.metric in d.metrics]
    )


def _scope(study: ImportanceStudy) -> Scope:
    """Where its runs may lie: in its experiment, or in any of the project that was not deleted since."""
    if study.experiment_id is not None:
        return Scope.of(study.experiment_id)
    rows = Experiment.objects.in_project(study.project).active()
    return Scope(tuple(rows.values_list("pk", flat=True)), study.project_id)


def _compute(held: Claim, asked: Question) -> tuple[Json | None, str]:
    """Run the child and pass its progress on; the claim may be lost meanwhile."""
    request = {"rows": [dict(d.params) for d in asked.dots], "target": [d.metrics[asked.metric] for d in asked.dots]}
    with tempfile.TemporaryDirectory(dir=settings.TEMP_DIR) as name:
        folder = Path(name)
        child = forks.lines(
            "experiments.training.param_importance", json.dumps(request).encode(), folder=folder, seconds=SECONDS,
            environment=forks.bare_environment(folder), preload=PRELOAD,
        )  # fmt: skip
        with closing(child) as lines:
            for told in map(json.loads, lines):
                if "result" in told:
                    return told["result"], ""
                rows = ImportanceStudy.objects.all()
                if not lease.heartbeat(rows, held, progress=told["progress"], phase="computing"):
                    return None, "The claim was lost."
    return None, f"The computation ended without an answer within {SECONDS} s."
