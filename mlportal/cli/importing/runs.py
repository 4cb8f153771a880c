"""Copying one run: parameters, tags, all points, datasets, files; then reading it back and comparing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlportal.cli.importing import files, points
from mlportal.cli.importing.context import Context, Known
from mlportal.cli.importing.marks import DONE, Counts, done, fingerprint, read_done
from mlportal.cli.importing.shells import pairs, read_run
from mlportal.cli.importing.target import Refused
from mlportal.cli.importing.things import ENDED, Experiment, Links, Run, Trouble

BATCH_POINTS, BATCH_PAIRS, BATCH_TEXT = 1000, 100, 200_000
NAME, PARENT, HISTORY = "mlflow.runName", "mlflow.parentRunId", "mlflow.log-model.history"
SHOWN = 5


def copy(here: Context, experiment: Experiment, run: Run) -> None:
    """Copy a run, unless it is complete and unchanged; count it and note what differs."""
    target = here.runs[run.id]
    try:
        if not _skipped(here, experiment, run, target):
            _copied(here, experiment, run, target)
        _lifecycle(here, run, target)
    except (Trouble, Refused) as problem:
        here.tally.add(
            experiment.name, Counts(runs=1, params=len(run.params), tags=len(kept(here, run))), Counts(runs=1)
        )
        here.tally.differs(f"{called(experiment, run)}: {problem}")
    here.progress.add(runs=1)


def called(experiment: Experiment, run: Run) -> str:
    """Name a run for people."""
    return f"{experiment.name}, run {run.name or run.id} ({run.id})"


def kept(here: Context, run: Run) -> dict[str, str]:
    """Return the tags that go along, with the ids in them translated."""
    found = {key: value for key, value in run.tags.items() if key != NAME}
    parent = here.runs.get(found.get(PARENT, ""))
    if parent:
        found[PARENT] = parent.id
    if HISTORY in found and run.id in here.runs:
        found[HISTORY] = found[HISTORY].replace(run.id, here.runs[run.id].id)
    return found


def _skipped(here: Context, experiment: Experiment, run: Run, target: Known) -> bool:
    """Count a run that an earlier import finished; tags changed in the portal since then stay as they are."""
    print_, measured = read_done(target.done)
    if here.options.verify or run.status not in ENDED or print_ != fingerprint(run):
        return False
    wanted = kept(here, run)
    source = measured + Counts(runs=1, params=len(run.params), tags=len(wanted))
    has = Counts(
        runs=1, params=len(run.params.keys() & target.params.keys()), tags=len(wanted.keys() & target.tags.keys())
    )
    here.tally.add(experiment.name, source, measured + has)
    missing = [*(run.params.keys() - target.params.keys()), *(wanted.keys() - target.tags.keys())]
    if missing:
        here.tally.differs(f"{called(experiment, run)}: no longer in the portal: {', '.join(sorted(missing)[:SHOWN])}")
    return True


def _copied(here: Context, experiment: Experiment, run: Run, target: Known) -> None:
    if target.deleted:
        here.door.post("runs/restore", {"run_id": target.id})
        target.deleted = False
    tags, links = kept(here, run), here.source.links(run)
    refused = _log_params(here, target.id, run.params)
    for batch in batches(tags):
        here.door.post("runs/log-batch", {"run_id": target.id, "tags": pairs(batch)})
    sums = _log_points(here, run, target.id)
    _log_links(here, target.id, links)
    count, size, problems = files.copy(here, run.root, target.root)
    _end(here, run, target.id)
    there = read_run(here.door.get("runs/get", run_id=target.id)["run"])
    read_back = points.stored(here.door, target.id, sums.keys())
    problems += [*refused.values(), *_pairs_differ(run, tags, there, refused), *sums.differences(read_back)]
    source = Counts(1, len(run.params), len(tags), sums.count, count, size)
    lacking = sum(problem.startswith("file ") for problem in problems)
    has = Counts(
        1,
        len(run.params.keys() & there.params.keys()),
        len(tags.keys() & there.tags.keys()),
        read_back.count,
        count - lacking,
        size,
    )
    here.tally.add(experiment.name, source, has)
    for problem in problems:
        here.tally.differs(f"{called(experiment, run)}: {problem}")
    if not problems:
        mark = done(fingerprint(run), source)
        here.door.post("runs/set-tag", {"run_id": target.id, "key": DONE, "value": mark})


def _pairs_differ(run: Run, tags: dict[str, str], there: Known, told: dict[str, str]) -> Iterator[str]:
    for word, mine, its in (("parameter", run.params, there.params), ("tag", tags, there.tags)):
        for key, value in mine.items():
            if word == "parameter" and key in told:
                continue
            if key not in its:
                yield f"{word} {key}: missing in the portal"
            elif its[key] != value:
                yield f"{word} {key}: {value[:60]!r} in the source, {its[key][:60]!r} in the portal"


def _log_params(here: Context, run: str, values: dict[str, str]) -> dict[str, str]:
    """Write parameters; return by name why one was refused, such as another value than an earlier import found."""
    refused: dict[str, str] = {}
    for batch in batches(values):
        try:
            here.door.post("runs/log-batch", {"run_id": run, "params": pairs(batch)})
        except Refused:
            for key, value in batch.items():
                try:
                    here.door.post("runs/log-batch", {"run_id": run, "params": pairs({key: value})})
                except Refused as problem:
                    refused[key] = f"parameter {key}: {problem}"
    return refused


def batches(values: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield pieces that a request may hold, by number and by length."""
    batch: dict[str, str] = {}
    length = 0
    for key, value in values.items():
        if batch and (len(batch) == BATCH_PAIRS or length + len(key) + len(value) > BATCH_TEXT):
            yield batch
            batch, length = {}, 0
        batch[key] = value
        length += len(key) + len(value)
    if batch:
        yield batch


def _log_points(here: Context, run: Run, target: str) -> points.Sums:
    sums = points.Sums()
    batch: list[dict[str, Any]] = []
    for piece in here.source.points(run):
        for point in piece:
            if sums.add(point):
                batch.append(points.wire(point))
            if len(batch) == BATCH_POINTS:
                _send(here, target, batch)
                batch = []
    _send(here, target, batch)
    return sums


def _send(here: Context, run: str, batch: list[dict[str, Any]]) -> None:
    if batch:
        here.door.post("runs/log-batch", {"run_id": run, "metrics": batch})
        here.progress.add(points=len(batch))


def _log_links(here: Context, run: str, links: Links) -> None:
    for dataset in links.datasets:
        here.door.post("runs/log-inputs", {"run_id": run, "datasets": [dataset]})
    inputs = [{"model_id": here.models[model].id} for model in links.models_in if model in here.models]
    if inputs:
        here.door.post("runs/log-inputs", {"run_id": run, "models": inputs})
    outputs = [{"model_id": here.models[m].id, "step": step} for m, step in links.models_out if m in here.models]
    if outputs:
        here.door.post("runs/outputs", {"run_id": run, "models": outputs})


def _end(here: Context, run: Run, target: str) -> None:
    body: dict[str, Any] = {"run_id": target, "status": run.status}
    if run.end is not None and run.status in ENDED:
        body["end_time"] = run.end
    here.door.post("runs/update", body)


def _lifecycle(here: Context, run: Run, target: Known) -> None:
    if run.deleted and not target.deleted:
        here.door.post("runs/delete", {"run_id": target.id})
