"""A large project for trials of speed: the rows that services would have written, put in by bulk.

The first run and the first dataset are made by the services and the profiler; the others are copies of their rows
with values of their own. What is left out: one audit event and one notification check for each copy, and the digest
of each run's results. The files of all dataset versions are the same two.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Model

from experiments import metricstore
from experiments.metricstore import codec, keys
from experiments.metricstore.meaning import number
from experiments.models import Experiment, MetricChunk, Run, RunMetric, RunParam, RunTag
from experiments.services import experiments, runs
from mlportal.lib import names
from mlportal.lib.errors import Conflict
from projects import tasks
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.services import datasets

COMMON = ("accuracy", "auc", "f1", "loss", "val_loss")
RARE_A_RUN, STEPS = 5, 3
PARAMS: dict[str, tuple[str, ...]] = {
    "optimizer": ("adam", "sgd"),
    "depth": tuple(str(depth) for depth in range(2, 22)),
    "learning_rate": ("0.3", "0.1", "0.03", "0.01", "0.003"),
    "batch_size": ("32", "64", "128"),
    "seed": tuple(str(seed) for seed in range(100)),
}
TAGS = {"team": ("churn", "fraud", "pricing"), "note": ("first try", "retry", "for the report")}
FIRST_MS, APART_MS, TOOK_MS = 1_760_000_000_000, 1000, 60_000
TOOK = timedelta(milliseconds=TOOK_MS)
SLICE = 2000
TABLE = b"customer,plan,age,spend,churned\n" + b"".join(
    f"c-{row},{('basic', 'plus')[row % 2]},{20 + row % 50},{row / 4},{('true', 'false')[row % 3 == 0]}\n".encode()
    for row in range(200)
)
Say = Callable[[str], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is made.

    Parameters
    ----------
    runs, metric_names, datasets, experiments : int
        All runs but one of each further experiment go into the first, ``everything``.
    """

    runs: int = 100_000
    metric_names: int = 10_000
    datasets: int = 1000
    experiments: int = 1000


def fill(by: Actor, project: Project, size: Size, say: Say = lambda step: None) -> Experiment:
    """Fill an empty project; return the experiment that holds most of its runs.

    Raises
    ------
    Conflict
        When the project holds an experiment with runs, or a dataset.
    """
    if Run.objects.in_project(project).exists() or Dataset.objects.filter(project=project).exists():
        raise Conflict(f"{project.slug} holds runs or datasets; the fixture is for an empty project.")
    first = experiments.ensure(by, project=project, name="everything")
    others = max(0, min(size.experiments, size.runs) - 1)
    say(f"{others + 1:,} experiments")
    places = [first, *_experiments(first, others)]
    for done in _runs(by, places, size):
        say(f"{done:,} runs")
    say(f"{size.datasets:,} datasets")
    _datasets(by, project, size.datasets)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return first


def _experiments(pattern: Experiment, count: int) -> list[Experiment]:
    rows = [_copy(pattern, name=f"study-{at:04}", is_default=False) for at in range(count)]
    return Experiment.objects.bulk_create(rows, batch_size=500)


def _copy(pattern: Any, **changes: Any) -> Any:
    """Make an unsaved row that differs from another in some columns and in its key."""
    fields = [field.attname for field in pattern._meta.concrete_fields if not field.primary_key]
    return type(pattern)(**{name: getattr(pattern, name) for name in fields if name not in changes}, **changes)


# ---------------------------------------------------------------- runs


@dataclass
class _Drawn:
    """One run to be."""

    pk: int
    place: int
    uuid: str
    started_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[float]]


def _runs(by: Actor, places: Sequence[Experiment], size: Size) -> Iterator[int]:
    """Make the runs in parts, each in one transaction; tell after each how many there are."""
    pattern = _first_run(by, places[0])
    rare = [f"layer_{at:05}/norm" for at in range(max(0, size.metric_names - len(COMMON)))]
    with metricstore.writing():
        ids: dict[str, int] = {}
        for part in _parts([*COMMON, *PARAMS, *TAGS, *rare]):
            ids |= keys.ids(part)
    mixed, done = random.Random(1), 1  # noqa: S311 - the same values each time
    where = [*(place.pk for place in places[1:]), *[places[0].pk] * (size.runs - len(places))]
    for part in _parts(where):
        with metricstore.writing():
            drawn = [
                _draw(mixed, pk, place, done + at, rare)
                for at, (pk, place) in enumerate(zip(_run_ids(len(part)), part, strict=True))
            ]
            _write(pattern, drawn, ids)
        done += len(part)
        yield done


def _parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(items)
    while part := list(islice(waiting, SLICE)):
        yield part


def _first_run(by: Actor, experiment: Experiment) -> Run:
    run = runs.create(
        by, experiment=experiment, name="first", params={"depth": "3"}, tags={"team": "churn"}, running=True
    )
    metrics = [(name, 0.5, FIRST_MS, step) for name in COMMON for step in range(STEPS)]
    runs.log_batch(by, run=run, metrics=metrics)
    return runs.finish(by, run=run, state=Run.State.FINISHED)


def _draw(mixed: random.Random, pk: int, place: int, at: int, rare: Sequence[str]) -> _Drawn:
    own = [rare[(at * RARE_A_RUN + nth) % len(rare)] for nth in range(RARE_A_RUN)] if rare else []
    return _Drawn(
        pk, place, uuid.uuid4().hex, FIRST_MS + APART_MS * at,
        {key: mixed.choice(values) for key, values in PARAMS.items()},
        {key: mixed.choice(values) for key, values in TAGS.items()},
        {name: [mixed.random() for _ in range(STEPS)] for name in dict.fromkeys([*COMMON, *own])},
    )  # fmt: skip


def _run_ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence('experiments_run', 'id')) FROM generate_series(1, %s)", [count]
            )
            return [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT coalesce(max(id), 0) FROM experiments_run")
        last = int(cursor.fetchone()[0])
        return list(range(last + 1, last + count + 1))


def _write(pattern: Run, drawn: list[_Drawn], ids: dict[str, int]) -> None:
    _insert(Run, [_run_row(pattern, run) for run in drawn])
    _insert(RunParam, [
        {"run_id": r.pk, "key_id": ids[k], "experiment_id": r.place, "value": v, "number": number(v)}
        for r in drawn for k, v in r.params.items()
    ])  # fmt: skip
    _insert(RunTag, [
        {"run_id": r.pk, "key_id": ids[k], "experiment_id": r.place, "value": v}
        for r in drawn for k, v in r.tags.items()
    ])  # fmt: skip
    _insert(RunMetric, [
        {"run_id": r.pk, "key_id": ids[k], "experiment_id": r.place, "value": v[-1], "is_nan": False,
         "step": STEPS - 1, "stamp_ms": r.started_ms + STEPS - 1, "low": min(v), "high": max(v)}
        for r in drawn for k, v in r.metrics.items()
    ])  # fmt: skip
    _insert(MetricChunk, [
        {"run_id": r.pk, "key_id": ids[k], "experiment_id": r.place, "points": STEPS, "first_step": 0,
         "last_step": STEPS - 1, "data": _segment(r.started_ms, v)}
        for r in drawn for k, v in r.metrics.items()
    ])  # fmt: skip


def _segment(started_ms: int, values: list[float]) -> bytes:
    steps = np.arange(STEPS, dtype=np.int64)
    return codec.pack_segment(codec.Points(np.empty(0, np.int32), steps, started_ms + steps, np.array(values)))


def _latest(run: _Drawn) -> str | None:
    stamp = run.started_ms + STEPS - 1
    return metricstore.packed((name, values[-1], False, STEPS - 1, stamp) for name, values in run.metrics.items())


def _run_row(pattern: Run, run: _Drawn) -> Row:
    began = runs.EPOCH + timedelta(milliseconds=run.started_ms)
    made = _copy(
        pattern, id=run.pk, uuid=run.uuid, experiment_id=run.place, name=f"run-{run.pk}", digest="",
        params=json.dumps(run.params), tags=json.dumps(run.tags), latest=_latest(run), created_at=began,
        started_at=began, started_ms=run.started_ms, ended_at=began + TOOK, ended_ms=run.started_ms + TOOK_MS,
    )  # fmt: skip
    return {
        str(field.column): field.get_db_prep_save(getattr(made, field.attname), connection)
        for field in Run._meta.concrete_fields
    }


def _insert(model: type[Model], rows: list[Row]) -> None:
    columns = list(rows[0])
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{model._meta.db_table}" ({names}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row([*row.values()])
            return
        marks = ", ".join(["%s"] * len(columns))
        query = f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({marks})'  # noqa: S608 - our own tables
        cursor.executemany(query, [[*row.values()] for row in rows])


# ---------------------------------------------------------------- datasets


def _datasets(by: Actor, project: Project, count: int) -> None:
    if not count:
        return
    first = datasets.register_upload(by, project=project, name="table-0000", stream=[TABLE], filename="table.csv")
    tasks.profile_version.apply(args=[first.pk], throw=True)
    first.refresh_from_db()
    for part in _parts(range(1, count)):
        with metricstore.writing():
            made = Dataset.objects.bulk_create([
                _copy(first.dataset, name=f"table-{at:04}", name_key=names.key(f"table-{at:04}")) for at in part
            ])  # fmt: skip
            DatasetVersion.objects.bulk_create(
                [_copy(first, dataset_id=dataset.pk) for dataset in made], batch_size=200
            )
