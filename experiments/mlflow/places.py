"""Where files lie, as the client knows it: addresses of runs and logged models, and back to their owner."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from experiments.mlflow import wire
from experiments.mlflow.door import Call
from experiments.models import Experiment, FormerPlace, LoggedModel, Run
from experiments.queries.slim import placed_run_by_uuid
from experiments.services import artifacts, labels
from mlportal.lib.errors import Missing

SCHEME = "mlflow-artifacts"
# <root of the experiment>/<run>/artifacts/<label>, or <root>/models/<model>/artifacts/<label>
_OWNED = re.compile(
    r"(?P<root>.*?)/(?:models/(?P<model>m-[0-9a-f]{32})|(?P<run>[0-9a-f]{32}))/artifacts(?:/(?P<label>.*))?", re.DOTALL
)


def run_uri(run: Run) -> str:
    """Return the address of a run's files."""
    return wire.below(wire.location(run.experiment), f"{run.uuid}/artifacts")


def model_uri(model: LoggedModel) -> str:
    """Return the address of a logged model's files."""
    return wire.below(wire.location(model.experiment), f"models/{model.uuid}/artifacts")


def find_run(call: Call, uuid: str) -> Run:
    """Return a run of the project with its experiment, deleted or not."""
    found = placed_run_by_uuid(call.project, uuid)
    if found is None:
        raise Missing(f"Run with id={uuid[:60]} not found.")
    return found


def find_model(call: Call, uuid: str) -> LoggedModel:
    """Return a logged model of the project with its experiment, deleted or not."""
    rows = LoggedModel.objects.in_project(call.project).select_related("experiment", "source_run")
    rows = rows.defer("source_run__params", "source_run__tags", "source_run__notes", "source_run__latest")
    found: LoggedModel | None = rows.filter(uuid=uuid).first()
    if found is None:
        raise missing_model(uuid)
    found.project = call.project
    return found


def missing_model(uuid: str) -> Missing:
    """Return the error of a logged model that is not there."""
    return Missing(f"Logged model with ID '{uuid[:60]}' not found.")


def owner_of(call: Call, path: str) -> tuple[artifacts.Owner, str]:
    """Return who owns a path of the proxy, and the label below its root.

    The first words of the path must be those of the owner's address, now or before it moved to another experiment.

    Raises
    ------
    Missing
        When the path names no run or model of the project, or not by the address of its experiment, now or before.
    """
    clean = labels.clean_path(path, limit=False)
    found = _OWNED.fullmatch(clean)
    if found is None:
        raise Missing(f"{clean[:200]!r} is not below the files of a run or a model.")
    words = found.groupdict(default="")
    owner = find_model(call, words["model"]) if words["model"] else find_run(call, words["run"])
    if words["root"] != _root_path(owner.experiment) and words["root"] not in _former_roots(owner):
        raise Missing(f"{clean[:200]!r} is not below the files of a run or a model.")
    return owner, words["label"]


def _former_roots(owner: artifacts.Owner) -> set[str | None]:
    """Where the owner was before it moved: a client that began then goes on with that address."""
    run_id = owner.pk if isinstance(owner, Run) else owner.source_run_id
    places = FormerPlace.objects.filter(run=run_id).select_related("place")
    return {_root_path(former.place) for former in places}


def _root_path(experiment: Experiment) -> str | None:
    """Return the proxy path of an experiment, None when its files are kept elsewhere."""
    parts = urlsplit(wire.location(experiment))
    return parts.path.strip("/") if parts.scheme == SCHEME else None
