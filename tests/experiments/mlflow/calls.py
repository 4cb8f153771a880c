"""Calls of the MLflow door in tests, as a client sends them."""

import json

from django.http import HttpResponse
from django.test import Client

from projects.models import Project, User
from tests.factories.projects import make_token, make_user

API = "/api/2.0/mlflow/"


class Caller:
    """A client with a token of one user; answers are (status, JSON)."""

    def __init__(self, user: User, project: Project | None, scopes: tuple[str, ...] = ("read", "write")) -> None:
        self.user, self.project = user, project
        self.headers = {"Authorization": f"Bearer {make_token(user, project, list(scopes))}"}
        self.client = Client(raise_request_exception=True)

    def send(self, method: str, address: str, body: bytes = b"", **headers: str) -> HttpResponse:
        """Send one request to an address below ``/api/2.0/`` and return the answer as it came."""
        return self.client.generic(
            method, f"/api/2.0/{address}", body, content_type=headers.pop("content_type", "application/octet-stream"),
            headers=self.headers | headers,
        )  # fmt: skip

    def post(self, path: str, body: object, **headers: str) -> tuple[int, dict]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.client.post(
            API + path, raw, content_type="application/json", headers=self.headers | headers
        )  # fmt: skip
        return answer.status_code, json.loads(answer.content)

    def get(self, path: str, /, **query: object) -> tuple[int, dict]:
        answer = self.client.get(API + path, query, headers=self.headers)
        return answer.status_code, json.loads(answer.content)

    def ok(self, path: str, **fields: object) -> dict:
        """POST fields that must be taken."""
        status, body = self.post(path, fields)
        assert status == 200, body
        return body

    def seen(self, path: str, /, **query: object) -> dict:
        """GET what must be there."""
        status, body = self.get(path, **query)
        assert status == 200, body
        return body


def code(answer: tuple[int, dict]) -> tuple[int, str]:
    """Status and error code of an answer."""
    return answer[0], answer[1].get("error_code", "")


def scientist(project: Project, name: str = "ana") -> Caller:
    """Return a caller who may log in the project."""
    return Caller(make_user(name, role="scientist", project=project), project)
