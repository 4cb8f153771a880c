"""Find what a call names inside its project, by one short query."""

from __future__ import annotations

import re

from experiments.mlflow.door import Call
from experiments.mlflow.fields import required, wrong
from experiments.models import Lifecycle, Run
from experiments.queries.slim import run_by_uuid
from mlportal.lib.errors import Conflict, Missing

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")


def run_id_of(call: Call, *, strict: bool = False) -> str:
    """Return the run id a call names; ``run_uuid`` is its old spelling.

    Parameters
    ----------
    call : Call
    strict : bool
        Whether a text that is no run id is refused as such, as MLflow does where it takes batches and inputs; elsewhere
        it is the id of a run that is not there.

    Raises
    ------
    Invalid
        When there is none, or, if asked for, it is no run id.
    """
    found = call.fields.text("run_id") or call.fields.text("run_uuid")
    if not found:
        raise required("run_id")
    if strict and not _RUN_ID.fullmatch(found):
        raise wrong("run_id", found, "it is no run id")
    return found


def find_run(call: Call, run_id: str = "") -> Run:
    """Return the run a call names, deleted or not; its documents are read when asked for.

    Raises
    ------
    Missing
        When the project has no such run.
    """
    wanted = run_id or run_id_of(call)
    run = run_by_uuid(call.project, wanted)
    if run is None:
        raise Missing(f"Run with id={wanted[:60]} not found.")
    return run


def active_run(call: Call, *, strict: bool = False) -> Run:
    """Return the run a call writes to; with ``strict`` as of `run_id_of`.

    Raises
    ------
    Missing
        When the project has no such run.
    Conflict
        When it is deleted.
    """
    run = find_run(call, run_id_of(call, strict=strict))
    if run.lifecycle != Lifecycle.ACTIVE:
        raise Conflict(
            f"The run {run.uuid} must be in the 'active' state. Current state is deleted.", code="run_deleted"
        )
    return run
