"""A real serving process on the test's database, and the rows it follows."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import connection
from sklearn.linear_model import LogisticRegression

from deployments.models import Endpoint, EndpointRevision, Environment, ModelVersion, RegisteredModel
from mlportal.lib import blobs, modelfile
from projects.models import Project, User
from tests.deployments.runtime import recipes
from tests.factories.experiments import make_experiment, make_run

ROOT = Path(__file__).resolve().parents[2]
RECORD = {"age": 41.5, "visits": 3, "member": True, "city": "rome", "plan": "plan-1"}


def write_artifacts(folder: Path, seed: int = 0, estimator=None) -> dict[str, Path]:
    """Train a small model and write its files as the trainer does."""
    folder.mkdir(parents=True, exist_ok=True)
    train = recipes.rows(300, seed=seed)
    if estimator is None:  # an unfitted forest has no length, so its truth cannot be asked
        estimator = LogisticRegression(max_iter=500, C=1.0 + seed)
    model = recipes.pipeline(estimator)
    model.fit(train, recipes.labels(train, seed=seed + 1))
    modelfile.dump(model, folder / "model.skops")
    held_out = recipes.rows(60, seed=seed + 50)
    probability = model.predict_proba(held_out)
    best = model.classes_[probability.argmax(axis=1)]
    noted = held_out.assign(__target__=best, __prediction__=best, __score__=probability[:, -1])
    noted.to_parquet(folder / "reference.parquet", index=False)
    (folder / "example.json").write_text(json.dumps(recipes.records(held_out.head(3))))
    (folder / "signature.json").write_text(json.dumps(recipes.DOCUMENT))
    return {f"model/{path.name}": path for path in sorted(folder.iterdir())}


class Scene:
    """A project with a model and an endpoint that point at versions made here."""

    def __init__(self, project: Project, user: User, folder: Path) -> None:
        self.project, self.user, self.folder = project, user, folder
        self.experiment = make_experiment(project)
        self.model = RegisteredModel.objects.create(project=project, name="churn", created_by=user)
        self.environment = Environment.objects.create(project=project, name="production")
        self.endpoint = self.make_endpoint("churn-production")

    def make_endpoint(self, name: str, **extra) -> Endpoint:
        model = self.model
        if Endpoint.objects.filter(model=model).exists():
            model = RegisteredModel.objects.create(project=self.project, name=name, created_by=self.user)
        return Endpoint.objects.create(
            project=self.project, name=name, name_key=name, environment=self.environment, model=model, **extra
        )

    def make_version(self, number: int, *, estimator=None) -> ModelVersion:
        files = write_artifacts(self.folder / f"v{number}", seed=number, estimator=estimator)
        manifest = []
        for path, local in files.items():
            blob = blobs.put_file(local, limit_bytes=1 << 30)
            manifest.append({"path": path, "sha256": blob.sha256, "size_bytes": blob.size_bytes})
        return ModelVersion.objects.create(
            model=self.model, number=number, run=make_run(self.experiment, f"run-{number}"), manifest=manifest,
            provenance={}, manifest_sha256="0" * 64, manifest_signature="x", signed_by="test",
            signature=recipes.DOCUMENT, created_by=self.user,
        )  # fmt: skip

    def switch(self, version: ModelVersion, endpoint: Endpoint | None = None, **known) -> EndpointRevision:
        """Point an endpoint at a version, as a rollback would."""
        endpoint = endpoint or self.endpoint
        revision = EndpointRevision.objects.create(
            endpoint=endpoint, number=endpoint.revisions.count() + 1, version=version, kind="rollback",
            reason="test", created_by=self.user, **known,
        )  # fmt: skip
        Endpoint.objects.filter(pk=endpoint.pk).update(current_revision=revision)
        return revision


def database_url() -> str:
    """Address of the test's own database."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgresql:///{given['NAME']}"


class Serve:
    """A running ``python -m deployments.serve``."""

    def __init__(self, spool: Path, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.spool = spool
        self.log = spool.parent / f"serve-{self.port}.log"
        self.environment = {
            **os.environ,
            "MLPORTAL_DATA_DIR": str(settings.DATA_DIR),
            "MLPORTAL_SPOOL_DIR": str(spool),
            "MLPORTAL_SERVE_PORT": str(self.port),
            "MLPORTAL_SECRET_KEY": settings.SECRET_KEY,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "mlportal.settings",
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()
        print(self.log.read_text()[-4000:])  # pytest shows it when the test fails

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments.serve"], env=self.environment, cwd=ROOT, stdout=log, stderr=log
            )
        self.wait_for(lambda: self.get("/readyz")[0] == 200, seconds=60)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def wait_for(self, truth, *, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if truth():
                    return
            except OSError:
                pass
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)

    def get(self, path: str) -> tuple[int, bytes]:
        link = self.connect()
        link.request("GET", path)
        answer = link.getresponse()
        body = answer.read()
        link.close()
        return answer.status, body

    def predict(self, token: str, body, *, path="/p/churn/endpoints/churn-production/predict", link=None, **headers):
        """Status, decoded body and headers of one request."""
        own = link or self.connect()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        own.request("POST", path, raw, {"Authorization": f"Bearer {token}", **headers})
        answer = own.getresponse()
        content = answer.read()
        if link is None:
            own.close()
        return answer.status, json.loads(content), dict(answer.getheaders())

    def version(self, token: str) -> int | None:
        status, body, _ = self.predict(token, {"records": [RECORD]})
        return body["version"] if status == 200 else None


class Load:
    """Threads that ask without pause; every answer is kept."""

    def __init__(self, serve: Serve, token: str, threads: int = 3, pause: float = 0.0) -> None:
        self.serve, self.token, self.pause = serve, token, pause
        self.answers: list[tuple[int, int | None]] = []
        self.ids: list[str] = []
        self.errors: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        link = self.serve.connect()
        while not self._end.is_set():
            try:
                status, body, _ = self.serve.predict(self.token, {"records": [RECORD]}, link=link)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(type(error).__name__)
                link.close()
                time.sleep(0.05)
                link = self.serve.connect()
                continue
            self.answers.append((status, body.get("version")))
            if status == 200:
                self.ids += [entry["prediction_id"] for entry in body["predictions"]]
            time.sleep(self.pause)
        link.close()
