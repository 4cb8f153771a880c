"""Find what a call names inside its project, by one short query."""

from __future__ import annotations

import re

from django.db import connection

from experiments.mlflow.door import Call
from experiments.mlflow.fields import required, wrong
from experiments.models import Lifecycle, Run
from mlportal.lib.errors import Conflict, Missing
from mlportal.lib.sql import Statement

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
# Only plain columns: they need no converter, and the documents of a run may have a megabyte.
_COLUMNS = ["id", "project_id", "experiment_id", "uuid", "name", "state", "source", "lifecycle", "parent_id"]
_RUN = Statement("""
    SELECT id, project_id, experiment_id, uuid, name, state, source, lifecycle, parent_id
    FROM experiments_run WHERE uuid = %s AND project_id = %s
""")


def run_id_of(call: Call) -> str:
    """Return the run id a call names; ``run_uuid`` is its old spelling.

    Raises
    ------
    Invalid
        When there is none, or it is no run id.
    """
    found = call.fields.text("run_id") or call.fields.text("run_uuid")
    if not found:
        raise required("run_id")
    if not _RUN_ID.fullmatch(found):
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
    row = _RUN.row([wanted, call.project.pk])
    if row is None:
        raise Missing(f"Run with id={wanted[:60]} not found.")
    run = Run.from_db(connection.alias, _COLUMNS, row)
    run.project = call.project
    return run


def active_run(call: Call) -> Run:
    """Return the run a call writes to.

    Raises
    ------
    Missing
        When the project has no such run.
    Conflict
        When it is deleted.
    """
    run = find_run(call)
    if run.lifecycle != Lifecycle.ACTIVE:
        raise Conflict(
            f"The run {run.uuid} must be in the 'active' state. Current state is deleted.", code="run_deleted"
        )
    return run
