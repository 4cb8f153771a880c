"""An MLflow server or store, read by its own client in a process of its own (`reader.mlflow_reader`)."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mlportal.cli.errors import CANNOT_START, MISSING, REFUSED, UNAVAILABLE, Failure
from mlportal.cli.importing.things import Experiment, File, Links, Model, Point, Registered, Run, Trouble, Version

SCRIPT = Path(__file__).parent / "reader" / "mlflow_reader.py"


class Child:
    """One reading process."""

    def __init__(self, command: list[str]) -> None:
        quiet = None if os.environ.get("MLPORTAL_IMPORT_TALK") else subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, text=True, encoding="utf-8"
        )
        self.in_step = True

    def ask(self, do: str, *words: Any) -> Iterator[Any]:
        """Yield what the reader answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.in_step = False
        try:
            self._process.stdin.write(json.dumps({"do": do, "with": words}) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                said = json.loads(line)
                if "item" in said:
                    yield said["item"]
                    continue
                self.in_step = True
                _raise(said)
                return
        except (BrokenPipeError, ValueError):
            pass  # it died while it was asked or while it answered
        raise Trouble("the process that reads the source ended unexpectedly")

    def end(self) -> None:
        """Stop the process."""
        self._process.kill()
        self._process.communicate()


def _raise(said: dict[str, Any]) -> None:
    if said.get("missing") == "mlflow":
        raise Failure(
            "this Python has no mlflow: run `pip install mlflow` in its environment, or name another environment's"
            " interpreter with --python PATH",
            CANNOT_START,
        )
    if "error" in said:
        raise Trouble(str(said["error"]).split("\n")[0][:500])


class MLflow:
    """The source of ``mlportal import mlflow``.

    Parameters
    ----------
    uri
        Address of a server, of a database, or the path of an ``mlruns`` folder.
    python
        The interpreter that reads.
    local
        Whether local files that a server names may be read.
    artifacts
        Where the files behind a server's artifact proxy lie.
    jobs
        How many processes read at once.
    """

    def __init__(self, uri: str, *, python: str, local: bool, artifacts: str, jobs: int) -> None:
        self.name = without_password(uri)
        self.notes: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="mlportal-import-")
        self._command = [python, str(SCRIPT), _checked(uri), "yes" if local else "no", artifacts]
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _number in range(jobs):
            self._idle.put(None)
        try:
            self._asked("hello")
        except Trouble as problem:
            self.close()
            raise Failure(f"{self.name} cannot be read: {problem}", UNAVAILABLE) from None
        except OSError as problem:
            raise Failure(f"{python} does not start: {problem.strerror}", CANNOT_START) from None

    def experiments(self) -> list[Experiment]:
        """Return all experiments."""
        return [Experiment(**found) for found in self._asked("experiments")]

    def pages(self, experiment: Experiment) -> Iterator[list[Run]]:
        """Yield the runs."""
        for page in self._pages("runs", experiment.id):
            yield [Run(**found) for found in page]

    def links(self, run: Run) -> Links:
        """Return datasets and models of a run."""
        (found,) = self._asked("links", run.id)
        return Links(found["datasets"], found["models_in"], [(model, step) for model, step in found["models_out"]])

    def points(self, run: Run) -> Iterator[list[Point]]:
        """Yield the whole history of each metric."""
        for key in run.latest:
            with self._child() as child:
                for page in child.ask("points", run.id, key):
                    yield [(key, value, timestamp, step) for value, timestamp, step in page]

    def files(self, root: str) -> list[File]:
        """List files."""
        return [File(path, size) for path, size in self._asked("files", root)]

    @contextlib.contextmanager
    def fetched(self, root: str, file: File) -> Iterator[Path]:
        """Give a local copy; it stays inside a temporary folder."""
        with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
            (said,) = self._asked("fetch", root, file.path, folder)
            place = Path(said)
            inside = place.resolve().is_relative_to(Path(folder).resolve())
            if not inside or place.is_symlink() or not place.is_file():
                raise Trouble(f"file {file.path}: the download left its folder")
            yield place

    def models(self, experiment: Experiment) -> Iterator[Model]:
        """Yield the logged models."""
        for page in self._pages("models", experiment.id):
            for found in page:
                yield Model(**found)

    def registered(self) -> Iterator[tuple[Registered, list[Version]]]:
        """Yield registered models with their versions by number."""
        for found in self._asked("registered"):
            versions = [Version(**version) for version in self._asked("versions", found["name"])]
            yield Registered(**found), sorted(versions, key=lambda version: version.number)

    def close(self) -> None:
        """Stop the processes and drop the temporary files."""
        while not self._idle.empty():
            if child := self._idle.get_nowait():
                child.end()
        self._folder.cleanup()

    def _pages(self, do: str, *words: Any) -> Iterator[list[Any]]:
        token, seen = "", set()
        while True:
            *page, last = self._asked(do, *words, token)
            yield page
            token = last["token"]
            if not token:
                return
            if token in seen:
                raise Trouble("the source's pages go round in a circle")
            seen.add(token)

    def _asked(self, do: str, *words: Any) -> list[Any]:
        with self._child() as child:
            return list(child.ask(do, *words))

    @contextlib.contextmanager
    def _child(self) -> Iterator[Child]:
        child = self._idle.get()
        try:
            child = child or Child(self._command)
            yield child
        finally:
            # One that was left in the middle of an answer would give its rest to the next question.
            if child is not None and not child.in_step:
                child.end()
                child = None
            self._idle.put(child)


def without_password(uri: str) -> str:
    """Return an address as it may be shown and kept."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri.rstrip("/")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def _checked(uri: str) -> str:
    """Refuse what is not there; opening it would make an empty store."""
    path = uri.removeprefix("file://") if uri.startswith("file://") else uri
    if "://" not in path:
        if not Path(path).is_dir():
            raise Failure(
                f"there is no folder {path}; a server is named like http://…, a database like sqlite:///…", MISSING
            )
        return str(Path(path).resolve())
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///").partition("?")[0]).is_file():
        raise Failure(f"there is no file {uri.removeprefix('sqlite:///')}", MISSING)
    if uri.startswith("sqlite:") and not uri.startswith("sqlite:///"):
        raise Failure(f"{uri}: give sqlite:///path", REFUSED)
    return uri
