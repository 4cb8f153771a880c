"""The protocol without its client: what no client sends, and what it hides."""

import os

import requests
from mlflow.exceptions import MlflowException


class Wire:
    """Calls by plain HTTP with the credentials that the client would use."""

    def __init__(self):
        self.address = os.environ["MLFLOW_TRACKING_URI"]
        self.session = requests.Session()
        self.session.trust_env = False
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            self.session.headers["Authorization"] = f"Bearer {token}"
        elif os.environ.get("MLFLOW_TRACKING_USERNAME"):
            pair = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
            self.session.auth = pair

    def url(self, path):
        return f"{self.address}{path}" if path.startswith("/") else f"{self.address}/api/2.0/mlflow/{path}"

    def call(self, method, path, **more):
        return self.session.request(method, self.url(path), timeout=60, **more)

    def get(self, path, /, **query):
        return self.call("GET", path, params=query)

    def post(self, path, body):
        return self.call("POST", path, json=body)

    def patch(self, path, body):
        return self.call("PATCH", path, json=body)

    def delete(self, path, body=None):
        return self.call("DELETE", path, json=body)

    def text(self, path, body, *, method="POST", kind="application/json"):
        """Send a body as it stands."""
        return self.call(method, path, data=body, headers={"Content-Type": kind} if kind else {})


def refused(answer, status, code):
    """Check a refusal: its status, its code and that it is JSON with a text."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    body = answer.json()
    assert body["error_code"] == code, body
    assert body["message"]
    return body["message"]


class Refuses:
    """Check that the client raises with one of some codes: ``with Refuses("RESOURCE_DOES_NOT_EXIST"): ...``."""

    def __init__(self, *codes):
        self.codes = codes

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert error is not None, f"accepted, not refused by {self.codes}"
        if not isinstance(error, MlflowException):
            return False
        assert error.error_code in self.codes, f"{error.error_code}: {error}"
        return True


INVALID = "INVALID_PARAMETER_VALUE"
ABSENT = "RESOURCE_DOES_NOT_EXIST"
TAKEN = "RESOURCE_ALREADY_EXISTS"
