"""Ask which parameters matter for a metric; the answer is computed by a worker and kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from experiments.models import Experiment, ImportanceStudy
from experiments.queries import experiment_of
from experiments.queries.compared import Comparison, Dot
from mlportal.lib import lease, queue
from mlportal.lib.errors import Invalid, TooMany
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

TASK = "experiments.study_importance"
FEWEST_RUNS = 20
MOST_WAITING = 20


@dataclass(frozen=True, slots=True)
class Question:
    """Runs with parameters and the metric's values."""

    project: Project
    experiment: Experiment | None  # None for runs of several
    metric: str
    dots: list[Dot]

    @property
    def key(self) -> str:
        """Digest of what the answer depends on."""
        rows = [[d.id, sorted(d.params.items()), repr(d.metrics[self.metric])] for d in self.dots]
        text = json.dumps(
            [self.experiment and self.experiment.pk, self.metric, sorted(rows, key=lambda r: int(str(r[0])))]
        )
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def refusal(self) -> str:
        """Why it cannot be answered; empty when it can."""
        if len(self.dots) < FEWEST_RUNS:
            return f"{len(self.dots)} of the runs have {self.metric}; at least {FEWEST_RUNS} are needed."
        names = {n for d in self.dots for n in d.params}
        if not any(len({d.params.get(n) for d in self.dots}) > 1 for n in names):
            return "No parameter varies among these runs."
        if len({d.metrics[self.metric] for d in self.dots}) < 2:
            return f"{self.metric} is the same in all of these runs."
        return ""


def question_of(made: Comparison, metric: str) -> Question:
    """The question a comparison asks: over all its runs, and over those around a few."""
    made.load([metric])
    dots = [made.dots[pk] for pk in (made.compared if len(made.compared) >= FEWEST_RUNS else made.dots)]
    return Question(made.place.project, experiment_of(made.place), metric, [d for d in dots if metric in d.metrics])


def found(by: Actor, *, asked: Question) -> ImportanceStudy | None:
    """The study of exactly these runs and values, if there is one."""
    require(by, Permission.RUN_VIEW, asked.project)
    return ImportanceStudy.objects.filter(project=asked.project, key=asked.key).first()


def ask(by: Actor, *, asked: Question) -> ImportanceStudy:
    """Have it computed; the same question again gives the same study.

    Raises
    ------
    Invalid
        If there are fewer than 20 runs, or nothing varies.
    TooMany
        If 20 studies of the project wait already.
    """
    require(by, Permission.RUN_EDIT, asked.project)
    if asked.refusal:
        raise Invalid(asked.refusal, field="runs", got=len(asked.dots), limit=FEWEST_RUNS)
    project = asked.project
    with transaction.atomic():
        old = ImportanceStudy.objects.filter(project=project, key=asked.key).first()
        if old is not None and old.state not in (WorkState.FAILED, WorkState.CANCELLED, WorkState.TIMED_OUT):
            return old
        waiting = ImportanceStudy.objects.filter(project=project).exclude(state__in=lease.TERMINAL).count()
        if waiting >= MOST_WAITING:
            raise TooMany("Too many studies wait in this project; try again when they are done.", limit=MOST_WAITING)
        if old is not None:
            old.delete()
        study = ImportanceStudy.objects.create(
            project=project, experiment=asked.experiment, key=asked.key, metric=asked.metric,
            run_ids=[d.id for d in asked.dots], created_by=by.user, created_at=timezone.now(),
        )  # fmt: skip
        data = {"metric": asked.metric, "runs": len(asked.dots)}
        events.record(by, "importance.asked", project=project, target=study, data=data)
        queue.enqueue(TASK, study.pk)
    return study
