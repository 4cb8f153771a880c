"""Reads an MLflow server or store for ``mlportal import mlflow``; runs as a script where mlflow is installed.

It knows nothing of mlportal and runs on any Python that mlflow supports, so that the two may live in different
environments. One JSON object a line comes in and names what is wanted; lines with ``item`` go out, then one with
``end`` or ``error``. What mlflow itself prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script is no place to import from
    # The store of files is read here and never written.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")

RUNS, POINTS, MODELS = 200, 25000, 50
LOCAL = ("", "file")
PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"
REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


class Refused(Exception):
    """Something this reader will not do."""


class Reader:
    """One source.

    Parameters
    ----------
    uri
        Address of the tracking server or store.
    local
        Whether files at local paths may be read although the source is a server.
    artifacts
        Where files behind the server's artifact proxy lie, when the store is read without its server.
    """

    def __init__(self, uri: str, *, local: bool, artifacts: str) -> None:
        import mlflow

        self.uri, self.local, self.artifacts = uri, local, artifacts
        self.remote = uri.startswith(("http://", "https://", "databricks"))
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.version = mlflow.__version__
        self._repositories: dict[str, Any] = {}

    def hello(self) -> Iterator[Any]:
        """Tell the client's version, and prove that the source answers."""
        self.client.search_experiments(max_results=1)
        yield {"version": self.version}

    def experiments(self) -> Iterator[Any]:
        """Yield all experiments, deleted ones too."""
        from mlflow.entities import ViewType

        for found in _paged(self.client.search_experiments, view_type=ViewType.ALL, order_by=["creation_time ASC"]):
            yield {
                "id": found.experiment_id,
                "name": found.name,
                "tags": dict(found.tags),
                "deleted": found.lifecycle_stage == "deleted",
            }

    def runs(self, experiment: str, token: str) -> Iterator[Any]:
        """Yield one page of runs, then the token of the next one."""
        from mlflow.entities import ViewType

        found = self.client.search_runs(
            [experiment], "", ViewType.ALL, RUNS, ["attributes.start_time ASC"], token or None
        )
        for run in found:
            yield _run(run)
        yield {"token": found.token or ""}

    def links(self, run: str) -> Iterator[Any]:
        """Yield datasets and models of a run."""
        found = self.client.get_run(run)
        inputs, outputs = getattr(found, "inputs", None), getattr(found, "outputs", None)
        yield {
            "datasets": [_dataset(one) for one in getattr(inputs, "dataset_inputs", None) or []],
            "models_in": [one.model_id for one in getattr(inputs, "model_inputs", None) or []],
            "models_out": [[one.model_id, one.step or 0] for one in getattr(outputs, "model_outputs", None) or []],
        }

    def points(self, run: str, key: str) -> Iterator[Any]:
        """Yield all points of one metric in pieces."""
        for page in self._history(run, key):
            points = [[float(one.value), int(one.timestamp), int(one.step)] for one in page]
            # Stores of files keep identical points twice and in the order they came.
            points.sort(key=lambda point: (point[1], point[2], point[0] != point[0], point[0]))
            yield points

    def _history(self, run: str, key: str) -> Iterator[Any]:
        store: Any = getattr(getattr(self.client, "_tracking_client", None), "store", None)
        try:
            page = store.get_metric_history(run, key, max_results=POINTS, page_token=None)
            token = page.token
        except (AttributeError, TypeError):
            # Another version keeps its store elsewhere: then all at once.
            yield self.client.get_metric_history(run, key)
            return
        yield page
        while token:
            page = store.get_metric_history(run, key, max_results=POINTS, page_token=token)
            token = page.token
            yield page

    def files(self, root: str) -> Iterator[Any]:
        """Yield path and size of all files below an artifact address."""
        repository = self._repository(root)
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for info in repository.list_artifacts(folder or None):
                if folder and not info.path.startswith(folder + "/"):
                    raise Refused(f"the listing of {folder!r} names {info.path!r}, which is not in it")
                if info.is_dir:
                    waiting.append(info.path)
                else:
                    yield [info.path, None if info.file_size is None else int(info.file_size)]

    def fetch(self, root: str, path: str, folder: str) -> Iterator[Any]:
        """Write a file into a folder and yield where it is."""
        local = self._local(self._moved(root))
        if local is None:
            yield self._repository(root).download_artifacts(path, folder)
            return
        wanted = (Path(local) / path).resolve()
        if Path(local).resolve() not in wanted.parents:
            raise Refused(f"the file {path!r} leads out of its folder")
        target = Path(folder) / "file"
        shutil.copyfile(wanted, target)
        yield str(target)

    def models(self, experiment: str, token: str) -> Iterator[Any]:
        """Yield one page of logged models, then the token of the next one."""
        if not hasattr(self.client, "search_logged_models"):
            yield {"token": ""}
            return
        try:
            found = self.client.search_logged_models([experiment], max_results=MODELS, page_token=token or None)
        except Exception as problem:
            if getattr(problem, "error_code", "") != "ENDPOINT_NOT_FOUND":
                raise
            yield {"token": ""}  # a server of MLflow 2 has none
            return
        for model in found:
            yield _model(model)
        yield {"token": found.token or ""}

    def registered(self) -> Iterator[Any]:
        """Yield the registered models, prompts too."""
        from mlflow.exceptions import MlflowException

        seen = set()
        for condition in ("", PROMPTS):
            try:
                for found in _paged(self.client.search_registered_models, filter_string=condition or None):
                    if found.name not in seen:
                        seen.add(found.name)
                        yield self._registered(found.name)
            except MlflowException as fault:
                # An older server may refuse to search for prompts: it has none. Any other trouble must be told.
                if not condition or fault.error_code not in REFUSED:
                    raise

    def _registered(self, name: str) -> dict[str, Any]:
        found = self.client.get_registered_model(name)
        return {
            "name": found.name,
            "description": found.description or "",
            "tags": dict(found.tags or {}),
            "aliases": {alias: str(number) for alias, number in dict(found.aliases or {}).items()},
        }

    def versions(self, name: str) -> Iterator[Any]:
        """Yield the versions of a registered model."""
        quote = '"' if "'" in name else "'"
        for found in _paged(self.client.search_model_versions, filter_string=f"name={quote}{name}{quote}"):
            if found.name == name:
                yield {
                    "number": int(found.version),
                    "source": found.source or "",
                    "run": found.run_id or "",
                    "model": getattr(found, "model_id", None) or "",
                    "link": found.run_link or "",
                    "description": found.description or "",
                    "stage": found.current_stage or "None",
                    "created": int(found.creation_timestamp or 0),
                    "tags": dict(found.tags or {}),
                }

    def _repository(self, root: str) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if root not in self._repositories:
            moved = self._moved(root)
            self._local(moved)
            if moved.startswith("mlflow-artifacts:") and not self.remote:
                raise Refused(f"files at {root} lie behind the server: give their folder with --artifacts")
            try:
                found = get_artifact_repository(moved, tracking_uri=self.uri)
            except TypeError:
                found = get_artifact_repository(moved)
            self._repositories = {root: found}  # only the newest: there is one a run
        return self._repositories[root]

    def _moved(self, root: str) -> str:
        if self.artifacts and root.startswith("mlflow-artifacts:"):
            rest = urllib.parse.urlsplit(root).path.lstrip("/")
            if ".." in rest.split("/"):
                raise Refused(f"{root} leads out of its folder")
            return self.artifacts.rstrip("/") + "/" + rest
        return root

    def _local(self, root: str) -> str | None:
        """Return the folder that an address names on this machine; a server may name none unless that was allowed."""
        parts = urllib.parse.urlsplit(root)
        if parts.scheme not in LOCAL:
            return None
        if self.remote and not self.local and not (self.artifacts and root.startswith(self.artifacts)):
            raise Refused(f"the server names the local folder {root}; --local-files allows to read such")
        return urllib.parse.unquote(parts.path) if parts.scheme == "file" else root


def _paged(search: Callable[..., Any], **words: Any) -> Iterator[Any]:
    token = None
    while True:
        found = search(page_token=token, **words)
        yield from found
        token = found.token
        if not token:
            return


def _run(run: Any) -> dict[str, Any]:
    info, data = run.info, run.data
    return {
        "id": info.run_id,
        "name": getattr(info, "run_name", None) or data.tags.get("mlflow.runName", ""),
        "status": info.status,
        "start": info.start_time or 0,
        "end": info.end_time,
        "user": info.user_id or "",
        "deleted": info.lifecycle_stage == "deleted",
        "params": dict(data.params),
        "tags": dict(data.tags),
        "latest": dict(data.metrics),
        "root": info.artifact_uri or "",
    }


def _dataset(one: Any) -> dict[str, Any]:
    dataset = one.dataset
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    values = {name: getattr(dataset, name, None) for name in names}
    return {
        "dataset": {name: value for name, value in values.items() if value is not None},
        "tags": [{"key": tag.key, "value": tag.value} for tag in one.tags or []],
    }


def _model(model: Any) -> dict[str, Any]:
    return {
        "id": model.model_id,
        "name": model.name or "",
        "run": model.source_run_id or "",
        "kind": model.model_type or "",
        "status": getattr(model.status, "name", str(model.status)),
        "root": model.artifact_location or "",
        "params": dict(model.params or {}),
        "tags": dict(model.tags or {}),
        "metrics": [
            {
                "key": one.key,
                "value": float(one.value),
                "timestamp": int(one.timestamp),
                "step": int(one.step or 0),
                "run": getattr(one, "run_id", None) or "",
                "dataset_name": getattr(one, "dataset_name", None) or "",
                "dataset_digest": getattr(one, "dataset_digest", None) or "",
            }
            for one in model.metrics or []
        ],
    }


WORDS = {"hello", "experiments", "runs", "links", "points", "files", "fetch", "models", "registered", "versions"}


def serve(lines: Iterable[str], out: TextIO, begin: Callable[[], Reader]) -> None:
    """Answer requests until there are no more."""

    def say(value: dict[str, Any]) -> None:
        out.write(json.dumps(value) + "\n")

    reader: Reader | None = None
    for line in lines:
        asked = json.loads(line)
        try:
            reader = reader or begin()
            if asked["do"] not in WORDS:
                raise Refused("no such request")
            for item in getattr(reader, asked["do"])(*asked.get("with", [])):
                say({"item": item})
            say({"end": True})
        except ModuleNotFoundError as problem:
            say({"error": str(problem), "missing": (problem.name or "").split(".")[0]})
        except Exception as problem:  # noqa: BLE001 whatever the client or a store raises is told to the other side
            say({"error": f"{type(problem).__name__}: {problem}"})
        out.flush()


def main() -> None:
    """Talk over the standard streams, and keep everybody else's words off them."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    uri, local, artifacts = sys.argv[1:4]
    serve(sys.stdin, out, lambda: Reader(uri, local=local == "yes", artifacts=artifacts))


if __name__ == "__main__":
    main()
