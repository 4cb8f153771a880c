"""The order of an import: all runs as shells, then models, then each run's content, then the registry.

In this order whatever one thing says of another (parent, source run, output, version) is there when it is said.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

from mlportal.cli.errors import MISSING, Failure
from mlportal.cli.importing import files, models, registry, runs, shells
from mlportal.cli.importing.context import Context
from mlportal.cli.importing.marks import Counts
from mlportal.cli.importing.points import Sums
from mlportal.cli.importing.target import Refused
from mlportal.cli.importing.things import Experiment, Run, Trouble

FORBIDDEN = 403


def run(here: Context) -> None:
    """Import everything that is asked for."""
    pool = ThreadPoolExecutor(here.options.jobs, thread_name_prefix="import")
    try:
        targets = _shells(here, pool)
        complete = not here.tally.differences
        for experiment, target in targets:
            _models(here, experiment, target)
        for experiment, _target in targets:
            _runs(here, experiment, pool)
        if here.options.registry and complete:
            registry.copy(here)
        elif here.options.registry:
            here.tally.differs("the registry was not copied: its versions need all experiments")
        _delete(here, targets)
        here.progress.end()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def chosen(here: Context) -> list[Experiment]:
    """Return the source's experiments that are asked for."""
    found = [one for one in here.source.experiments() if here.options.deleted or not one.deleted]
    if unknown := here.options.only - {one.name for one in found}:
        names = ", ".join(sorted(one.name for one in found)[:20])
        raise Failure(f"the source has no experiment {min(unknown)!r}; it has: {names}", MISSING)
    return [one for one in found if not here.options.only or one.name in here.options.only]


def _shells(here: Context, pool: Executor) -> list[tuple[Experiment, str]]:
    found, total = [], 0
    for experiment in chosen(here):
        here.tally.add(experiment.name, Counts(), Counts())
        try:
            target = shells.experiment(here, experiment)
            total += shells.runs(here, experiment, target, pool)
        except (Trouble, Refused) as problem:
            if isinstance(problem, Refused) and problem.status == FORBIDDEN:
                raise  # without the right to log nothing will go better
            here.tally.differs(f"experiment {experiment.name}: {problem}")
            continue
        found.append((experiment, target))
    here.progress.expect(total)
    return found


def _models(here: Context, experiment: Experiment, target: str) -> None:
    try:
        models.all_of(here, experiment, target)
    except (Trouble, Refused) as problem:
        here.tally.differs(f"experiment {experiment.name}, its models: {problem}")


def _runs(here: Context, experiment: Experiment, pool: Executor) -> None:
    for page in here.source.pages(experiment):
        # A run that began after the first look has no shell yet: the next import takes it.
        asked = [one for one in page if one.id in here.runs]
        for _done in pool.map(partial(runs.copy, here, experiment), asked):
            pass


def _delete(here: Context, targets: list[tuple[Experiment, str]]) -> None:
    for experiment, target in targets:
        if experiment.deleted:
            here.door.post("experiments/delete", {"experiment_id": target})


def count(here: Context) -> None:
    """Count the source without writing anything."""
    pool = ThreadPoolExecutor(here.options.jobs, thread_name_prefix="import")
    try:
        for experiment in chosen(here):
            here.tally.add(experiment.name, Counts(), Counts())
            for page in here.source.pages(experiment):
                asked = [one for one in page if here.options.deleted or not one.deleted]
                for _done in pool.map(partial(_count_run, here, experiment), asked):
                    pass
            for model in here.source.models(experiment):
                number, size = files.count(here, model.root)
                here.tally.add(experiment.name, Counts(models=1, files=number, bytes=size), Counts())
        if here.options.registry:
            for _model, versions in here.source.registered():
                here.tally.versions["source"][0] += 1
                here.tally.versions["source"][1] += len(versions)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _count_run(here: Context, experiment: Experiment, one: Run) -> None:
    try:
        sums = Sums()
        for piece in here.source.points(one):
            for point in piece:
                sums.add(point)
        number, size = files.count(here, one.root)
        counts = Counts(1, len(one.params), len(runs.kept(here, one)), sums.count, number, size)
        here.tally.add(experiment.name, counts, Counts())
    except Trouble as problem:
        here.tally.differs(f"{runs.called(experiment, one)}: {problem}")
