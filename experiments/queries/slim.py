"""Runs and experiments with their plain columns only, for the busy routes.

Such columns need no converter, and the documents of a run, which may have a megabyte, are read when asked for.
"""

from __future__ import annotations

from django.db import connection

from experiments.models import Experiment, Run
from mlportal.lib.sql import Statement
from projects.models import Project

_COLUMNS = ["id", "project_id", "experiment_id", "uuid", "name", "state", "source", "lifecycle", "parent_id"]
_EXPERIMENT = ["id", "project_id", "name", "is_default", "artifact_location", "primary_metric", "lifecycle"]
_SELECT = "SELECT id, project_id, experiment_id, uuid, name, state, source, lifecycle, parent_id FROM experiments_run "
_BY_UUID = Statement(_SELECT + "WHERE uuid = %s AND project_id = %s")
_BY_ID = Statement(_SELECT + "WHERE id = %s AND project_id = %s")
_SELECT_EXPERIMENT = """
    SELECT id, project_id, name, is_default, artifact_location, primary_metric, lifecycle FROM experiments_experiment
"""
_DEFAULT = Statement(_SELECT_EXPERIMENT + "WHERE project_id = %s AND is_default")
_NUMBERED = Statement(_SELECT_EXPERIMENT + "WHERE project_id = %s AND id = %s")


def experiment_in(project: Project, pk: int | None) -> Experiment | None:
    """Return the project's experiment with this number, or with None its default one; deleted or not."""
    row = _DEFAULT.row([project.pk]) if pk is None else _NUMBERED.row([project.pk, pk])
    if row is None:
        return None
    found = Experiment.from_db(connection.alias, _EXPERIMENT, row)
    found.project = project
    return found


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
