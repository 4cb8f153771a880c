"""Logged models of MLflow 3: what they are, their parameters, metrics and files."""

from __future__ import annotations

from typing import Any

from mlportal.cli.importing import files, points
from mlportal.cli.importing.context import Context, Known
from mlportal.cli.importing.marks import DONE, MODEL, OURS, SOURCE, Counts
from mlportal.cli.importing.runs import BATCH_PAIRS, BATCH_POINTS
from mlportal.cli.importing.shells import folder, pairs, unpaired
from mlportal.cli.importing.target import Refused
from mlportal.cli.importing.things import Experiment, Model, Trouble

SERVERS_OWN = {"mlflow.modelVersions"}  # written by the server when a version of the model is registered
PAGE = 50


def all_of(here: Context, experiment: Experiment, target: str) -> None:
    """Copy the logged models of an experiment; their runs are in the portal already."""
    known: dict[str, Known] | None = None
    for model in here.source.models(experiment):
        if model.run and model.run not in here.runs:
            here.tally.note(f"{experiment.name}: models of runs that were not copied are left out")
            continue
        known = _known(here, target) if known is None else known
        try:
            _one(here, experiment, target, model, known)
        except (Trouble, Refused) as problem:
            here.tally.add(experiment.name, Counts(models=1), Counts())
            here.tally.differs(f"{experiment.name}, model {model.name} ({model.id}): {problem}")


def _one(here: Context, experiment: Experiment, target: str, model: Model, known: dict[str, Known]) -> None:
    there = known.get(model.id) or _new(here, target, model)
    here.models[model.id] = there
    if model.root:
        here.roots[model.root.rstrip("/")] = model.id
    count, size, problems = files.copy(here, model.root, there.root)
    if there.done:
        _ready(here, there.id, model)
    else:
        _finish(here, there.id, model, known=model.id in known)
    here.tally.add(
        experiment.name,
        Counts(models=1, files=count, bytes=size),
        Counts(models=1, files=count - len(problems), bytes=size),
    )
    for problem in problems:
        here.tally.differs(f"{experiment.name}, model {model.name} ({model.id}): {problem}")


def _known(here: Context, target: str) -> dict[str, Known]:
    body = {"experiment_ids": [target], "max_results": PAGE}
    found: dict[str, Known] = {}
    for answer in here.door.pages("logged-models/search", body, "models"):
        known = _read(answer)
        if MODEL in known.tags:
            found.setdefault(known.tags[MODEL], known)
    return found


def _read(answer: dict[str, Any]) -> Known:
    info = answer["info"]
    tags = unpaired(info.get("tags"))
    params = unpaired((answer.get("data") or {}).get("params"))
    return Known(
        id=info["model_id"], root=folder(info["artifact_uri"]), done=tags.get(DONE, ""), params=params, tags=tags
    )


def _new(here: Context, target: str, model: Model) -> Known:
    tags = {key: value for key, value in model.tags.items() if key not in SERVERS_OWN and not key.startswith(OURS)}
    body: dict[str, Any] = {
        "experiment_id": target,
        "name": model.name,
        "model_type": model.kind,
        "source_run_id": here.runs[model.run].id if model.run else "",
        "tags": pairs(tags | {MODEL: model.id, SOURCE: here.source.name}),
    }
    given = {name: value for name, value in body.items() if value != ""}
    look = lambda: _known(here, target).get(model.id)  # noqa: E731
    return here.door.make("logged-models", given, look, lambda answer: _read(answer["model"]))


def _finish(here: Context, target: str, model: Model, *, known: bool) -> None:
    """Write parameters and metrics, mark it complete, then give it its state: after that it cannot be changed."""
    has = _read(here.door.get(f"logged-models/{target}")["model"]).params if known else {}
    missing = [(key, value) for key, value in model.params.items() if key not in has]
    for start in range(0, len(missing), BATCH_PAIRS):
        batch = dict(missing[start : start + BATCH_PAIRS])
        here.door.post(f"logged-models/{target}/params", {"model_id": target, "params": pairs(batch)})
    _metrics(here, target, model)
    here.door.post(f"logged-models/{target}/tags", {"model_id": target, "tags": pairs({DONE: "yes"})}, "PATCH")
    _ready(here, target, model)


def _metrics(here: Context, target: str, model: Model) -> None:
    by_run: dict[str, list[dict[str, Any]]] = {}
    for metric in model.metrics:
        run = here.runs.get(metric.get("run") or model.run)
        if run is None:
            continue
        point = points.wire((metric["key"], metric["value"], metric["timestamp"], metric["step"]))
        data = {key: metric[key] for key in ("dataset_name", "dataset_digest") if metric.get(key)}
        by_run.setdefault(run.id, []).append(point | {"model_id": target} | data)
    for run_id, found in by_run.items():
        for start in range(0, len(found), BATCH_POINTS):
            here.door.post("runs/log-batch", {"run_id": run_id, "metrics": found[start : start + BATCH_POINTS]})


def _ready(here: Context, target: str, model: Model) -> None:
    if model.status in ("READY", "FAILED"):
        status = "LOGGED_MODEL_READY" if model.status == "READY" else "LOGGED_MODEL_UPLOAD_FAILED"
        here.door.post(f"logged-models/{target}", {"model_id": target, "status": status}, "PATCH")
