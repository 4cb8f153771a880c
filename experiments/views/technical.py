"""Tags that clients write for themselves, in words: where a run's code came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from experiments import queries
from experiments.models import Run

WORDS = {
    "mlflow.user": "User",
    "mlflow.source.name": "Source",
    "mlflow.source.type": "Kind",
    "mlflow.project.entryPoint": "Entry point",
    "mlflow.source.git.repoURL": "Repository",
    "mlflow.source.git.branch": "Branch",
    "mlflow.source.git.commit": "Commit",
    "mlflow.source.git.dirty": "Uncommitted changes",
    "mlflow.autologging": "Autologged by",
    "mlflow.docker.image.uri": "Image",
}
# Shown elsewhere on the page, in a better form.
PLACED = frozenset(
    {"mlflow.runName", "mlflow.parentRunId", "mlflow.loggedArtifacts", "mlflow.loggedImages", queries.LOGGED_MODELS}
)
CODE = frozenset({"mlflow.source.git.commit", "mlflow.source.name", "mlflow.source.git.branch"})


@dataclass(frozen=True, slots=True)
class Technical:
    """Facts in words, and the tags that have none."""

    facts: list[tuple[str, str, bool]]
    others: list[tuple[str, str]]


def technical(tags: Mapping[str, str], run: Run | None = None) -> Technical:
    """Sort a client's own tags; the user name of the run stands in where no tag tells it."""
    given = queries.technical_tags(tags)
    if run is not None and run.user_name:
        given = {"mlflow.user": run.user_name, **given}
    facts = [(words, given[name], name in CODE) for name, words in WORDS.items() if given.get(name)]
    others = [(name, value) for name, value in sorted(given.items()) if name not in WORDS and name not in PLACED]
    return Technical(facts, others)
