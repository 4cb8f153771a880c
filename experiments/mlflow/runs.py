"""Endpoints of runs: create, read, change, delete and restore."""

from __future__ import annotations

import secrets
import time
from typing import Any

from experiments import metricstore
from experiments.metricstore.limits import TAG_CHARS
from experiments.mlflow import experiments, wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import wrong
from experiments.mlflow.lookup import find_run, run_id_of
from experiments.models import Lifecycle, Run, RunInput, RunModel
from experiments.queries.slim import whole_run_by_uuid
from experiments.services import runs
from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.permissions import Permission

_ADJECTIVES = (
    "able", "amber", "brave", "bright", "calm", "clever", "crisp", "eager", "fair", "fresh", "gentle", "glad", "grand",
    "keen", "kind", "lively", "lucky", "mellow", "merry", "neat", "noble", "quick", "quiet", "rare", "silent", "smooth",
    "steady", "sunny", "swift", "tidy", "warm", "wise",
)  # fmt: skip
_NOUNS = (
    "ant", "bear", "bee", "bird", "carp", "crane", "crow", "deer", "dove", "duck", "elk", "finch", "fish", "fox",
    "goat", "hare", "hawk", "heron", "horse", "lark", "lynx", "mole", "moose", "otter", "owl", "ram", "seal", "shrew",
    "stag", "swan", "wren",
)  # fmt: skip


@endpoint(Run, Permission.RUN_LOG)
def create(call: Call) -> dict[str, Any]:
    """Create a run that runs from now on."""
    fields = call.fields
    given, tags = fields.text("run_name"), {key: value[:TAG_CHARS] for key, value in fields.pairs("tags").items()}
    name = _name(given, tags.get(runs.NAME_TAG, ""))
    place = _active(experiments.find_slim(call, fields.text("experiment_id")))
    run = runs.create(
        call.actor, experiment=place, source=Run.Source.MLFLOW, running=True, name=name,
        tags={**tags, runs.NAME_TAG: name}, user_name=fields.text("user_id", limit=250), started_ms=_moment(call),
    )  # fmt: skip
    return {"run": wire.run(run, {})}


@endpoint(Run, Permission.RUN_VIEW)
def get(call: Call) -> dict[str, Any]:
    """Read a run, deleted or not."""
    named = run_id_of(call)
    found = whole_run_by_uuid(call.project, named)
    if found is None:
        raise _missing(named)
    run = found.run
    latest = metricstore.latest([run.pk])[run.pk]
    inputs = RunInput.objects.filter(run=run).select_related("dataset").order_by("pk") if found.has_inputs else ()
    models = RunModel.objects.filter(run=run).select_related("logged_model").order_by("pk") if found.has_models else ()
    return {"run": wire.run(run, latest, inputs, models)}


@endpoint(Run, Permission.RUN_LOG)
def update(call: Call) -> dict[str, Any]:
    """Change a run's state, end or name; what is not sent stays."""
    named = run_id_of(call)
    run = Run.objects.filter(project=call.project, uuid=named).select_related("experiment").first()
    if run is None:
        raise _missing(named)
    run.project = run.experiment.project = call.project
    state = call.fields.choice("status", _STATUSES)
    name = call.fields.text("run_name")
    ended = _not_negative(call, "end_time")
    _check_active(run)
    changed = runs.amend(call.actor, run=run, state=state, ended_ms=ended, name=name or None)
    return {"run_info": wire.run_info(changed)}


@endpoint(Run, Permission.RUN_EDIT)
def delete(call: Call) -> dict[str, Any]:
    """Delete a run; again is fine."""
    runs.delete(call.actor, run=find_run(call))
    return {}


@endpoint(Run, Permission.RUN_EDIT)
def restore(call: Call) -> dict[str, Any]:
    """Restore a run; an active one stays."""
    runs.restore(call.actor, run=find_run(call))
    return {}


# Proto JSON also takes the number of an enum.
_STATUSES = wire.STATES | {
    "1": Run.State.RUNNING, "2": Run.State.QUEUED, "3": Run.State.FINISHED, "4": Run.State.FAILED,
    "5": Run.State.CANCELLED,
}  # fmt: skip


def _name(given: str, tagged: str) -> str:
    if given and tagged and given != tagged:
        raise Invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{given[:100]}', mlflow.runName='{tagged[:100]}').",
            field="run_name",
        )
    return given or tagged or random_name()


def random_name() -> str:
    """Return a name for what its client did not name."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(1000)}"


def _moment(call: Call) -> int:
    given = _not_negative(call, "start_time")
    return time.time_ns() // 1_000_000 if given is None else given


def _not_negative(call: Call, name: str) -> int | None:
    found = call.fields.whole(name)
    if found is not None and found < 0:
        raise wrong(name, found, "it must not be negative")
    return found


def _active(place: Any) -> Any:
    if place.lifecycle == Lifecycle.DELETED:
        raise Conflict(
            f"The experiment {wire.wire_id(place)} must be in the 'active' state. Current state is deleted.",
            code="experiment_deleted",
        )
    return place


def _missing(named: str) -> Missing:
    return Missing(f"Run with id={named[:60]} not found", field="run_id")


def _check_active(run: Run) -> None:
    if run.lifecycle == Lifecycle.DELETED:
        raise Conflict(
            f"The run {run.uuid} must be in the 'active' state. Current state is deleted.", code="run_deleted"
        )
