"""First step: every experiment and every run exists in the portal, so that all links can be translated.

Each run is created together with the tag that names its source, in one call: a killed import finds it again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from mlportal.cli.importing.context import Context, Known
from mlportal.cli.importing.marks import DONE, DOUBLE, OURS, RUN, SOURCE
from mlportal.cli.importing.target import PAGE, Refused
from mlportal.cli.importing.things import Experiment, Run, Trouble

PREFIX = "mlflow-artifacts:"


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """Return a mapping the way MLflow writes it."""
    return [{"key": key, "value": value} for key, value in values.items()]


def unpaired(listed: list[dict[str, Any]] | None) -> dict[str, str]:
    """Read MLflow's list of keys and values."""
    return {entry["key"]: entry.get("value", "") for entry in listed or []}


def folder(uri: str) -> str:
    """Return the place below the artifact proxy that an address names."""
    if not uri.startswith(PREFIX):
        raise Trouble(f"the target keeps files at {uri}, not behind its own address")
    rest = uri.removeprefix(PREFIX)
    if rest.startswith("//"):
        rest = rest[2:].partition("/")[2]
    return rest.strip("/")


def experiment(here: Context, wanted: Experiment) -> str:
    """Return the portal's experiment of that name, made when there is none."""
    try:
        there = here.door.get("experiments/get-by-name", experiment_name=wanted.name)["experiment"]
    except Refused as refused:
        if refused.status != 404:
            raise
        return _new_experiment(here, wanted)
    found = str(there["experiment_id"])
    if there.get("lifecycle_stage") == "deleted":
        if not wanted.deleted:
            raise Trouble("it is deleted in the portal: restore it there, or rename it, and run this again")
        here.door.post("experiments/restore", {"experiment_id": found})
    has = unpaired(there.get("tags"))
    for key, value in wanted.tags.items():
        if key not in has:
            here.door.post("experiments/set-experiment-tag", {"experiment_id": found, "key": key, "value": value})
    return found


def _new_experiment(here: Context, wanted: Experiment) -> str:
    body = {"name": wanted.name, "tags": pairs(wanted.tags)}
    look = lambda: _id_by_name(here, wanted.name)  # noqa: E731
    return here.door.make("experiments/create", body, look, lambda answer: str(answer["experiment_id"]))


def _id_by_name(here: Context, name: str) -> str | None:
    try:
        return str(here.door.get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])
    except Refused:
        return None


def runs(here: Context, wanted: Experiment, target: str, pool: Executor) -> int:
    """Make what is missing of an experiment's runs; return how many runs there are."""
    known = _known(here, target)
    count = 0
    for page in here.source.pages(wanted):
        asked = [run for run in page if here.options.deleted or not run.deleted]
        make = _maker(here, target, known)
        for run, made in zip(asked, pool.map(make, asked), strict=True):
            here.runs[run.id] = made
            if run.root:
                here.roots[run.root.rstrip("/")] = run.id
        count += len(asked)
    return count


def _maker(here: Context, target: str, known: dict[str, Known]) -> Callable[[Run], Known]:
    def make(run: Run) -> Known:
        return known.get(run.id) or _new_run(here, target, run)

    return make


def _new_run(here: Context, target: str, run: Run) -> Known:
    body = {
        "experiment_id": target,
        "run_name": run.name,
        "start_time": run.start,
        "user_id": run.user,
        "tags": pairs({RUN: run.id, SOURCE: here.source.name}),
    }
    given = {name: value for name, value in body.items() if value != ""}
    look = lambda: _known(here, target, run.id).get(run.id)  # noqa: E731
    return here.door.make("runs/create", given, look, lambda answer: read_run(answer["run"]))


def _known(here: Context, target: str, only: str = "") -> dict[str, Known]:
    """Return the runs that an import made in an experiment, by their id in the source.

    A create whose answer was lost can have made a second one: the first that is complete stays, the other is deleted.
    """
    # Ids hold no double quote: `identified` sees to it.
    condition = f'tags."{RUN}" = "{only}"' if only else f"tags.\"{RUN}\" != ''"
    body = {"experiment_ids": [target], "filter": condition, "run_view_type": "ALL", "max_results": PAGE}
    found: dict[str, Known] = {}
    for answer in here.door.pages("runs/search", body, "runs"):
        tags = unpaired(answer["data"].get("tags"))
        if DOUBLE in tags:
            continue
        name, run = tags[RUN], read_run(answer)
        if name in found:
            kept, run = (run, found[name]) if run.done and not found[name].done else (found[name], run)
            here.door.post("runs/set-tag", {"run_id": run.id, "key": DOUBLE, "value": kept.id})
            here.door.post("runs/delete", {"run_id": run.id})
            run = kept
        found[name] = run
    return found


def read_run(answer: dict[str, Any]) -> Known:
    """Read a run as the portal writes it."""
    info, data = answer["info"], answer.get("data") or {}
    tags = unpaired(data.get("tags"))
    return Known(
        id=info["run_id"],
        root=folder(info["artifact_uri"]),
        done=tags.get(DONE, ""),
        deleted=info.get("lifecycle_stage") == "deleted",
        params=unpaired(data.get("params")),
        tags={key: value for key, value in tags.items() if not key.startswith(OURS)},
    )
