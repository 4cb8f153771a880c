"""Runs and experiments with their plain columns only, for the busy routes.

Such columns need no converter, and the documents of a run, which may have a megabyte, are read when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from experiments.models import Experiment, Run
from mlportal.lib.sql import Statement
from projects.models import Project

_COLUMNS = ["id", "project_id", "experiment_id", "uuid", "name", "state", "source", "lifecycle", "parent_id"]
_EXPERIMENT = ["id", "project_id", "name", "is_default", "artifact_location", "primary_metric", "lifecycle"]
# What an answer writes of a run beside its metrics: plain columns too, in the model's order as `from_db` wants them.
_WHOLE = [
    "id", "project_id", "experiment_id", "uuid", "name", "state", "source", "lifecycle", "params", "tags", "user_name",
    "started_ms", "ended_ms",
]  # fmt: skip
_SELECT = "SELECT id, project_id, experiment_id, uuid, name, state, source, lifecycle, parent_id FROM experiments_run "
_BY_UUID = Statement(_SELECT + "WHERE uuid = %s AND project_id = %s")
_BY_ID = Statement(_SELECT + "WHERE id = %s AND project_id = %s")
_SELECT_EXPERIMENT = """
    SELECT id, project_id, name, is_default, artifact_location, primary_metric, lifecycle FROM experiments_experiment
"""
_DEFAULT = Statement(_SELECT_EXPERIMENT + "WHERE project_id = %s AND is_default")
_NUMBERED = Statement(_SELECT_EXPERIMENT + "WHERE project_id = %s AND id = %s")
_WHOLE_BY_UUID = Statement(f"""
    SELECT {", ".join(f"r.{name}" for name in _WHOLE)}, e.is_default, e.artifact_location,
        EXISTS (SELECT 1 FROM experiments_runinput i WHERE i.run_id = r.id),
        EXISTS (SELECT 1 FROM experiments_runmodel m WHERE m.run_id = r.id)
    FROM experiments_run r JOIN experiments_experiment e ON e.id = r.experiment_id
    WHERE r.uuid = %s AND r.project_id = %s
""")  # noqa: S608 - the names above only
_PLACED_BY_UUID = Statement(f"""
    SELECT {", ".join(f"r.{name}" for name in _COLUMNS)}, e.is_default, e.artifact_location
    FROM experiments_run r JOIN experiments_experiment e ON e.id = r.experiment_id
    WHERE r.uuid = %s AND r.project_id = %s
""")  # noqa: S608 - the names above only


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run with its documents and its experiment's place, and whether anything is linked to it."""

    run: Run
    has_inputs: bool
    has_models: bool


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


def whole_run_by_uuid(project: Project, uuid: str) -> WholeRun | None:
    """Return all of a run but its metrics and links, by one statement."""
    found = _WHOLE_BY_UUID.row([uuid, project.pk])
    if found is None:
        return None
    *row, is_default, location, inputs, models = found
    run = _placed(Run.from_db(connection.alias, _WHOLE, row), project, is_default, location)
    return WholeRun(run, bool(inputs), bool(models))


def placed_run_by_uuid(project: Project, uuid: str) -> Run | None:
    """Return the project's run with this id and with its experiment's place, deleted or not, by one statement."""
    found = _PLACED_BY_UUID.row([uuid, project.pk])
    if found is None:
        return None
    *row, is_default, location = found
    return _placed(Run.from_db(connection.alias, _COLUMNS, row), project, is_default, location)


def _placed(run: Run, project: Project, is_default: object, location: object) -> Run:
    run.project = project
    run.experiment = Experiment(
        pk=run.experiment_id, project=project, is_default=bool(is_default), artifact_location=str(location)
    )  # fmt: skip
    return run


def _run(project: Project, row: tuple[object, ...] | None) -> Run | None:
    if row is None:
        return None
    run = Run.from_db(connection.alias, _COLUMNS, row)
    run.project = project
    return run
