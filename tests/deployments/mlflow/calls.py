"""Calls of the registry part of the MLflow door, and what they speak of."""

import json
from typing import Any

from django.utils import timezone

from experiments.models import Artifact, LoggedModel, Run
from experiments.services import runs
from mlportal.lib import blobs
from tests.experiments.mlflow.calls import API
from tests.experiments.mlflow.calls import Caller as _Caller
from tests.factories.deployments import Team
from tests.factories.experiments import make_experiment

MLMODEL = b"""\
artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
    python_version: 3.11.9
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "string", "name": "plan", "required": false}]'
  outputs: '[{"type": "long", "required": true}]'
"""
PICKLED = {"MLmodel": MLMODEL, "model.pkl": b"\x80\x04cos\nsystem\n", "requirements.txt": b"scikit-learn==1.9.1\n"}
SKOPS = {"MLmodel": MLMODEL, "model.skops": b"PK\x03\x04 not opened here", "requirements.txt": b"skops\n"}


class Caller(_Caller):
    """A client that may register."""

    def __init__(self, team: Team, name: str = "scientist", scopes: tuple[str, ...] = ("read", "register")) -> None:
        super().__init__(team.people[name], team.project, scopes)

    def send(self, method: str, path: str, body: object = None, **query: Any) -> tuple[int, dict]:
        """GET sends the query, everything else the body."""
        if method == "GET":
            answer = self.client.get(API + path, query, headers=self.headers)
        else:
            raw = json.dumps(body).encode()
            answer = self.client.generic(
                method, API + path, raw, content_type="application/json", headers=self.headers
            )  # fmt: skip
        return answer.status_code, json.loads(answer.content)

    def get(self, path: str, **query: Any) -> tuple[int, dict]:
        """Read."""
        return self.send("GET", path, **query)

    def ok(self, method: str, path: str, body: object = None, **query: Any) -> dict:
        """Send what has to succeed."""
        status, answer = self.send(method, path, body, **query)
        assert status == 200, answer
        return answer

    def refused(self, method: str, path: str, body: object = None, **query: Any) -> tuple[int, str]:
        """Send what has to fail; gives status and code."""
        status, answer = self.send(method, path, body, **query)
        assert status != 200, answer
        assert answer["message"]
        return status, answer["error_code"]

    def model(self, name: str = "m", **more: Any) -> dict:
        """Make a model."""
        return self.ok("POST", "registered-models/create", {"name": name, **more})["registered_model"]

    def version(self, name: str = "m", source: str = "s3://bucket/model", **more: Any) -> dict:
        """Make a version."""
        return self.ok("POST", "model-versions/create", {"name": name, "source": source, **more})["model_version"]


def client_run(team: Team, files: dict[str, bytes] | None = None, *, folder: str = "model") -> Run:
    """A run that a client logged, with the files of a model."""
    run = runs.create(team.scientist, experiment=make_experiment(team.project), source="mlflow")
    for path, content in (PICKLED if files is None else files).items():
        _store(content, run=run, path=f"{folder}/{path}")
    return run


def logged_model(team: Team, files: dict[str, bytes] | None = None, *, run: Run | None = None) -> LoggedModel:
    """A model that a client logged."""
    made = LoggedModel.objects.create(
        project=team.project, experiment=make_experiment(team.project), name="model", source_run=run, created_ms=1,
        updated_ms=1, status="ready",
    )  # fmt: skip
    for path, content in (PICKLED if files is None else files).items():
        _store(content, logged_model=made, path=path)
    return made


def _store(content: bytes, **owner: Any) -> None:
    blob = blobs.put_bytes(content)
    Artifact.objects.create(
        sha256=blob.sha256, size_bytes=blob.size_bytes, media_type="application/octet-stream",
        created_at=timezone.now(), **owner,
    )  # fmt: skip
