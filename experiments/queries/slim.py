"""Runs with their plain columns only, for the busy routes.

Such columns need no converter, and the documents of a run, which may have a megabyte, are read when asked for.
"""

from __future__ import annotations

from django.db import connection

from experiments.models import Run
from mlportal.lib.sql import Statement
from projects.models import Project

_COLUMNS = ["id", "project_id", "experiment_id", "uuid", "name", "state", "source", "lifecycle", "parent_id"]
_SELECT = "SELECT id, project_id, experiment_id, uuid, name, state, source, lifecycle, parent_id FROM experiments_run "
_BY_UUID = Statement(_SELECT + "WHERE uuid = %s AND project_id = %s")
_BY_ID = Statement(_SELECT + "WHERE id = %s AND project_id = %s")


def run_by_uuid(project: Project, uuid: str) -> Run | None:
    """Return the project's run with this id of tracking clients, deleted or not."""
    return _run(project, _BY_UUID.row([uuid, project.pk]))


def run_by_id(project: Project, pk: int) -> Run | None:
    """Return the project's run with this number, deleted or not."""
    return _run(project, _BY_ID.row([pk, project.pk]))


def _run(project: Project, row: tuple[object, ...] | None) -> Run | None:
    if row is None:
        return None
    run = Run.from_db(connection.alias, _COLUMNS, row)
    run.project = project
    return run
