"""Endpoints of experiments, but for their search."""

from __future__ import annotations

import re
from typing import Any

from experiments.mlflow import wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import required, wrong
from experiments.mlflow.wire import wire_id
from experiments.models import Experiment, Lifecycle
from experiments.queries import slim
from experiments.services import experiments
from mlportal.lib.errors import Missing
from projects.permissions import Permission

__all__ = ["find", "wire_id"]
_BIGGEST_ID = 2**63 - 1
_WHOLE = re.compile(r"-?[0-9]+")


def find(call: Call, text: str) -> Experiment:
    """Return the experiment with this id in the project of the call; no id or "0" is the default one.

    Raises
    ------
    Invalid
        If the id is no whole number.
    Missing
        If the project has none with this id.
    """
    if text in ("", "0"):
        found: Experiment | None = experiments.default(call.actor, project=call.project)
    elif not _WHOLE.fullmatch(text):
        raise wrong("experiment_id", text, "it must be a whole number")
    else:
        found = _numbered(call, int(text) if len(text) < 20 else 0)
    if found is None:
        raise Missing(f"No Experiment with id={text[:40]} exists", field="experiment_id")
    found.project = call.project
    return found


def find_slim(call: Call, text: str) -> Experiment:
    """Return the same as `find` with the columns that a new run needs."""
    number = None if text in ("", "0") else int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    return slim.experiment_in(call.project, number) or find(call, text)


@endpoint(Experiment, Permission.RUN_LOG)
def create(call: Call) -> dict[str, Any]:
    """Create an experiment."""
    name = call.fields.needed("name")
    experiments.default(call.actor, project=call.project)  # its name is taken from the start
    made = experiments.create(
        call.actor, project=call.project, name=name, tags=call.fields.pairs("tags"),
        artifact_location=call.fields.text("artifact_location"),
    )  # fmt: skip
    return {"experiment_id": wire_id(made)}


@endpoint(Experiment, Permission.RUN_VIEW)
def get(call: Call) -> dict[str, Any]:
    """Read an experiment, deleted or not."""
    return {"experiment": wire.experiment(find(call, call.fields.needed("experiment_id")))}


@endpoint(Experiment, Permission.RUN_VIEW)
def get_by_name(call: Call) -> dict[str, Any]:
    """Read the experiment of a name, deleted or not."""
    name = call.fields.needed("experiment_name")
    named = Experiment.objects.filter(project=call.project, name=name)
    found = named.first()
    if found is None and name == experiments.DEFAULT_NAME:
        experiments.default(call.actor, project=call.project)
        found = named.first()
    if found is None:
        raise Missing(f"Could not find experiment with name '{name[:500]}'", field="experiment_name")
    return {"experiment": wire.experiment(found)}


@endpoint(Experiment, Permission.RUN_EDIT)
def update(call: Call) -> dict[str, Any]:
    """Rename an experiment."""
    found = find(call, call.fields.needed("experiment_id"))
    experiments.rename(call.actor, experiment=found, name=call.fields.needed("new_name"))
    return {}


@endpoint(Experiment, Permission.RUN_EDIT)
def delete(call: Call) -> dict[str, Any]:
    """Delete an experiment and its runs."""
    experiments.delete(call.actor, experiment=_in_state(call, Lifecycle.ACTIVE))
    return {}


@endpoint(Experiment, Permission.RUN_EDIT)
def restore(call: Call) -> dict[str, Any]:
    """Restore an experiment and the runs deleted with it."""
    experiments.restore(call.actor, experiment=_in_state(call, Lifecycle.DELETED))
    return {}


@endpoint(Experiment, Permission.RUN_EDIT)
def set_tag(call: Call) -> dict[str, Any]:
    """Set a tag of an experiment."""
    found = find(call, call.fields.needed("experiment_id"))
    key, value = call.fields.needed("key"), _present(call, "value")
    experiments.set_tag(call.actor, experiment=found, key=key, value=value)
    return {}


@endpoint(Experiment, Permission.RUN_EDIT)
def delete_tag(call: Call) -> dict[str, Any]:
    """Remove a tag of an experiment."""
    found = find(call, call.fields.needed("experiment_id"))
    key = call.fields.needed("key")
    if not experiments.drop_tag(call.actor, experiment=found, key=key):
        raise Missing(f"No tag with name: {key[:250]} in experiment with id {wire_id(found)}", field="key")
    return {}


def _in_state(call: Call, lifecycle: str) -> Experiment:
    text = call.fields.needed("experiment_id")
    found = find(call, text)
    if found.lifecycle != lifecycle:
        raise Missing(f"No Experiment with id={text[:40]} exists that is {lifecycle}", field="experiment_id")
    return found


def _numbered(call: Call, number: int) -> Experiment | None:
    return Experiment.objects.filter(project=call.project, pk=number).first() if number <= _BIGGEST_ID else None


def _present(call: Call, name: str) -> str:
    if call.fields.values.get(name) is None:
        raise required(name)
    return call.fields.text(name)
