"""What an open page may watch: the runs of an experiment or of all, a run, a job, a dataset version."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse

from experiments.models import Experiment, Run, TrainingJob
from experiments.queries import versions
from mlportal import live
from mlportal.lib.errors import Invalid
from projects.access import ProjectView
from projects.models import DatasetVersion, Project
from projects.permissions import Permission, require

# The topic of all runs of a project names the project, which the address names too.
EVERYTHING = "all-runs"
TOPICS: dict[str, tuple[Any, Permission, Callable[[int], str]]] = {
    "runs": (Experiment, Permission.RUN_VIEW, versions.of_runs),
    EVERYTHING: (Project, Permission.RUN_VIEW, versions.of_project_runs),
    "run": (Run, Permission.RUN_VIEW, versions.of_run),
    "job": (TrainingJob, Permission.RUN_VIEW, versions.of_job),
    "dataset": (DatasetVersion, Permission.DATASET_VIEW, versions.of_dataset_version),
}


class Live(ProjectView):
    """Tells an open page that what it shows has changed, as server-sent events."""

    reads = Run
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Check the right to the topic and answer with its version; `mlportal.live` keeps the line open."""
        kind, number = _topic(request.GET.get("topic", ""))
        model, permission, read = TOPICS[kind]
        require(self.actor, permission, self.project)
        seen = model.objects.visible_to(self.actor)
        mine = seen.filter(pk=self.project.pk) if kind == EVERYTHING else seen.in_project(self.project)
        self.find(mine.only("pk"), pk=number)
        user = self.actor.user
        assert user is not None
        watch = live.Watch(f"{kind}:{number}", user.pk, read(number), partial(read, number))
        return live.answer(watch)


def _topic(text: str) -> tuple[str, int]:
    kind, _, number = text.partition(":")
    if kind not in TOPICS or not (number.isascii() and number.isdigit() and len(number) < 19):
        known = ", ".join(f"{name}:<number>" for name in TOPICS)
        raise Invalid(f"This is no topic. Known: {known}.", field="topic", got=text[:50])
    return kind, int(number)
