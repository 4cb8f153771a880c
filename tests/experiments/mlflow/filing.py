"""Files sent and fetched as a client does."""

import json
from urllib.parse import quote

from experiments.models import LoggedModel

PROXY = "mlflow-artifacts/artifacts"


def make_model(experiment, **extra):
    return LoggedModel.objects.create(
        project=experiment.project, experiment=experiment, name="model", created_ms=1, updated_ms=1, **extra
    )


def root(owner):
    middle = f"models/{owner.uuid}" if isinstance(owner, LoggedModel) else owner.uuid
    return f"{owner.experiment_id}/{middle}/artifacts"


def put(caller, owner, path, content=b"hello", **headers):
    return caller.send("PUT", f"{PROXY}/{root(owner)}/{quote(path)}", content, **headers)


def fetch(caller, owner, path, **headers):
    answer = caller.send("GET", f"{PROXY}/{root(owner)}/{quote(path)}", **headers)
    return answer.status_code, b"".join(answer), answer


def folder(caller, path):
    answer = caller.client.get(f"/api/2.0/{PROXY}", {"path": path}, headers=caller.headers)
    return answer.status_code, json.loads(answer.content)


def error(answer):
    return answer.status_code, json.loads(answer.content)["error_code"]
