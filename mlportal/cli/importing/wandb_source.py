"""Folders of W&B runs, offline or synced, read without the wandb package."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlportal.cli.errors import MISSING, Failure
from mlportal.cli.importing import wandb_log as log
from mlportal.cli.importing.names import Names
from mlportal.cli.importing.things import (
    FAILED,
    FINISHED,
    KILLED,
    Experiment,
    File,
    Links,
    Model,
    Point,
    Registered,
    Run,
    Version,
)

# Fields of a Record, and of the messages in them.
HISTORY, SUMMARY, CONFIG, STATS, ARTIFACT, RUN, EXIT, ENVIRONMENT = 2, 3, 5, 7, 8, 17, 18, 26
UPDATE, REMOVE, KEY, NESTED, VALUE = 1, 2, 1, 2, 16
WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
PIECE, MAX_PARAM, MAX_TAG = 1000, 6000, 8000
PLACES = ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb")


@dataclass
class Found:
    """What is known of a run after one reading of its files."""

    logs: list[Path]
    project: str = ""
    run: bytes = b""
    environment: bytes = b""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    final_step: int = 0
    final_time: int = 0
    exit: int | None = None
    runtime: int = 0


class WandB:
    """The source of ``mlportal import wandb``.

    Parameters
    ----------
    folder
        A ``wandb`` folder, the one around it, or that of one run.
    follow
        Whether links that lead out of a run's folder are followed.
    """

    def __init__(self, folder: Path, *, follow: bool = False) -> None:
        self.name = str(folder.resolve())
        self.notes: list[str] = []
        self._follow = follow
        self._found = self._read([path for place in PLACES for path in sorted(folder.glob(place))])
        if not self._found:
            raise Failure(f"there are no .wandb files in {folder}", MISSING)

    def experiments(self) -> list[Experiment]:
        """Return the projects."""
        names = sorted({found.project for found in self._found.values()})
        return [Experiment(name, name) for name in names]

    def pages(self, experiment: Experiment) -> Iterator[list[Run]]:
        """Yield the runs of a project."""
        runs = [_run(name, found) for name, found in self._found.items() if found.project == experiment.id]
        yield sorted(runs, key=lambda run: run.start)

    def links(self, _run: Run) -> Links:
        """Return nothing: W&B keeps the files of its artifacts elsewhere."""
        return Links()

    def points(self, run: Run) -> Iterator[list[Point]]:
        """Yield history, system metrics, and the summary's numbers that the history lacks."""
        found, names = self._found[run.root], Names()
        piece: list[Point] = []
        for point in _all_points(found, run.start):
            piece.append((names.of(point[0]), *point[1:]))
            if len(piece) == PIECE:
                yield piece
                piece = []
        yield piece

    def files(self, root: str) -> list[File]:
        """List the files folder of a run and its log."""
        return [File(path, place.stat().st_size) for path, place in self._places(root).items()]

    @contextlib.contextmanager
    def fetched(self, root: str, file: File) -> Iterator[Path]:
        """Give the file itself: it is here already."""
        yield self._places(root)[file.path]

    def models(self, _experiment: Experiment) -> Iterable[Model]:
        """Return nothing: W&B has no such thing."""
        return []

    def registered(self) -> Iterable[tuple[Registered, list[Version]]]:
        """Return nothing: a folder of runs has no registry."""
        return []

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, paths: list[Path]) -> dict[str, Found]:
        """Read every log once; a run that was resumed has several."""
        found: dict[str, Found] = {}
        for path in paths:
            try:
                one = _read(path)
                name = "/".join(filter(None, [log.text(one.run, 2), one.project, log.text(one.run, 1)]))
            except (log.Damaged, ValueError) as problem:
                self.notes.append(f"{path}: {problem}; it is left out")
                continue
            found[name] = _joined(found[name], one) if name in found else one
        return found

    def _places(self, run: str) -> dict[str, Path]:
        places: dict[str, Path] = {}
        for path in self._found[run].logs:
            places[f"wandb/{path.name}"] = path
            inside = path.parent.resolve()
            for place in sorted((path.parent / "files").rglob("*")):
                if not place.is_file():
                    continue
                if not self._follow and not place.resolve().is_relative_to(inside):
                    self._note(f"{run}: files that are links out of the run's folder are left out (--follow-links)")
                    continue
                places[place.relative_to(path.parent / "files").as_posix()] = place
        return places

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _read(path: Path) -> Found:
    found = Found([path])
    for record in log.records(path):
        for number, body in log.fields(record):
            if isinstance(body, bytes):
                _take(found, number, body)
    if not found.run:
        raise log.Damaged("it names no run")
    found.summary = _without_media(found.summary)
    return found


def _take(found: Found, number: int, body: bytes) -> None:
    if number == RUN:
        found.run, found.project = body, log.text(body, 3) or "uncategorized"
        for config in log.messages(body, 4):
            _update(found.config, config)
    elif number == CONFIG:
        _update(found.config, body)
    elif number == SUMMARY:
        _update(found.summary, body)
    elif number == ENVIRONMENT:
        found.environment += body  # it comes in parts, and such messages are joined by writing one behind the other
    elif number == EXIT:
        found.exit, found.runtime = log.whole(body, 1), log.whole(body, 2)
    elif number == HISTORY:
        step, timestamp, values = _row(body)
        found.last |= values
        found.final_step, found.final_time = step, timestamp or found.final_time


def _joined(first: Found, then: Found) -> Found:
    then.logs = [*first.logs, *then.logs]
    then.config, then.summary = first.config | then.config, first.summary | then.summary
    then.last = first.last | then.last
    then.run, then.environment = first.run, first.environment or then.environment
    return then


def _without_media(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out images, tables, histograms: they are files, or stay in the log; newer logs spread them over keys."""
    media = {key.removesuffix("._type") for key in values if key.endswith("._type")}
    if not media:
        return values
    return {key: value for key, value in values.items() if not any(key.startswith(f"{name}.") for name in media)}


def _update(values: dict[str, Any], body: bytes) -> None:
    for number, item in log.fields(body):
        if not isinstance(item, bytes) or number not in (UPDATE, REMOVE):
            continue
        name = _name(item)
        if number == UPDATE:
            values[name] = json.loads(log.text(item, VALUE))
        else:
            values.pop(name, None)


def _name(item: bytes) -> str:
    nested = [part.decode("utf-8", "replace") for part in log.messages(item, NESTED)]
    return ".".join(nested) if nested else log.text(item, KEY)


def _row(body: bytes) -> tuple[int, int, dict[str, float]]:
    """Return step, milliseconds and numbers of a row of the history."""
    values: dict[str, Any] = {}
    _update(values, body)
    step = values.get("_step")
    if step is None:
        step = log.whole(next(log.messages(body, 2), b""), 1)
    timestamp = int(float(values.get("_timestamp") or 0) * 1000)
    values = _without_media(values)
    numbers = {name: value for key, given in values.items() if key[:1] != "_" for name, value in _numbers(key, given)}
    return int(step), timestamp, numbers


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers in a logged value; media and histograms are files or stay in the log."""
    if isinstance(value, (bool, int, float)):
        yield name, float(value)
    elif isinstance(value, str) and value in WORDS:
        yield name, WORDS[value]
    elif isinstance(value, dict) and "_type" not in value:
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)


def _all_points(found: Found, start: int) -> Iterator[Point]:
    ordinal = 0
    for path in found.logs:
        for record in log.records(path):
            for row in log.messages(record, HISTORY):
                step, timestamp, values = _row(row)
                yield from ((key, value, timestamp or start, step) for key, value in values.items())
            for stats in log.messages(record, STATS):
                timestamp = log.milliseconds(next(log.messages(stats, 2), b"")) or start
                yield from ((f"system/{key}", value, timestamp, ordinal) for key, value in _stats(stats))
                ordinal += 1
    for key, given in found.summary.items():
        for name, value in _numbers(key, given) if key[:1] != "_" else ():
            last = found.last.get(name)
            if last is None:
                yield name, value, found.final_time or start, found.final_step
            elif last != value and not (math.isnan(last) and math.isnan(value)):
                yield f"summary/{name}", value, found.final_time or start, found.final_step


def _stats(stats: bytes) -> Iterator[tuple[str, float]]:
    for item in log.messages(stats, 3):
        yield from _numbers(log.text(item, KEY), json.loads(log.text(item, VALUE)))


def _run(name: str, found: Found) -> Run:
    started = next(log.messages(found.run, 17), b"")
    start = log.milliseconds(started)
    status = KILLED if found.exit is None else FINISHED if found.exit == 0 else FAILED
    end = found.final_time or start
    if found.exit is not None and len(found.logs) == 1:
        end = max(end, start + found.runtime * 1000)
    return Run(
        id=name.replace('"', "_"),
        name=log.text(found.run, 8) or log.text(found.run, 1),
        status=status,
        start=start,
        end=end,
        params=_params(found.config),
        tags=_tags(found),
        latest={key: repr(value) for key, value in found.last.items()},
        root=name,
    )


def _params(config: dict[str, Any]) -> dict[str, str]:
    names = Names()
    flat = [pair for key, value in config.items() if key != "_wandb" for pair in _flat(key, value)]
    return {names.of(key): value[:MAX_PARAM] for key, value in flat}


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


def _tags(found: Found) -> dict[str, str]:
    run, around = found.run, found.environment
    labels = [label.decode("utf-8", "replace") for label in log.messages(run, 10)]
    # The run names a repository where its settings do; newer packages say elsewhere what they saw themselves.
    git = next(log.messages(run, 21), b"") or next(log.messages(around, 9), b"")
    tags = {
        "mlflow.note.content": log.text(run, 9),
        "wandb.id": log.text(run, 1),
        "wandb.entity": log.text(run, 2),
        "wandb.tags": ", ".join(labels),
        "wandb.group": log.text(run, 6),
        "wandb.job_type": log.text(run, 7),
        "wandb.sweep": log.text(run, 12),
        "wandb.host": log.text(run, 13),
        "wandb.python": log.text(around, 2),
        "mlflow.source.name": log.text(around, 6),
        "mlflow.source.git.repoURL": log.text(git, 1),
        "mlflow.source.git.commit": log.text(git, 2),
    }
    names = Names()
    for key, value in found.summary.items():
        if isinstance(value, str) and value not in WORDS and key[:1] != "_":
            tags[f"wandb.summary.{names.of(key)[:230]}"] = value
    return {key: value[:MAX_TAG] for key, value in tags.items() if value}
