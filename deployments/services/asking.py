"""How an endpoint is asked: requests to copy for each protocol, and its OpenAPI."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from deployments.models import Endpoint
from deployments.runtime import example, openapi
from mlportal.lib.errors import Missing
from projects.actor import Actor
from projects.permissions import Permission, require


@dataclass(frozen=True)
class Way:
    """One protocol with a request for curl and the same in Python."""

    key: str
    name: str
    curl: str
    python: str


def ways(by: Actor, *, endpoint: Endpoint) -> list[Way]:
    """Return requests to copy, with a record of the model that answers; nothing while none does."""
    require(by, Permission.ENDPOINT_VIEW, endpoint.project)
    if endpoint.current_revision is None:
        return []
    record = example.record(endpoint.current_revision.version.signature)
    base, name = f"{settings.SERVE_URL}/p/{endpoint.project.slug}", endpoint.name
    return [
        _way("own", "Portal", f"{base}/endpoints/{name}/predict", {"records": [record]}),
        _way("v2", "Open Inference Protocol v2", f"{base}/v2/models/{name}/infer", {"inputs": openapi.tensors(record)}),
        _way("mlflow", "MLflow", f"{base}/endpoints/{name}/invocations", {"dataframe_records": [record]}),
        _way("v1", "KServe v1", f"{base}/v1/models/{name}:predict", {"instances": [record]}),
    ]


def described(by: Actor, *, endpoint: Endpoint) -> dict[str, Any]:
    """Return the OpenAPI of an endpoint.

    Raises
    ------
    Missing
        While no version answers there.
    """
    require(by, Permission.ENDPOINT_VIEW, endpoint.project)
    if endpoint.current_revision is None:
        raise Missing("No version answers here yet.", code="endpoint_deploying")
    version = endpoint.current_revision.version
    return openapi.document(
        version.signature, name=endpoint.name, project=endpoint.project.slug, version=version.label,
        server=settings.SERVE_URL, example=example.record(version.signature),
    )  # fmt: skip


def _way(key: str, name: str, url: str, body: dict[str, Any]) -> Way:
    text = json.dumps(body, ensure_ascii=False)
    curl = (
        f'curl {shlex.quote(url)} \\\n  -H "Authorization: Bearer $MLPORTAL_TOKEN" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(text)}"
    )
    python = (
        "import os, requests\n\n"
        f'answer = requests.post(\n    "{url}",\n'
        '    headers={"Authorization": f"Bearer {os.environ[\'MLPORTAL_TOKEN\']}"},\n'
        f"    json={body!r},\n    timeout=30,\n)\nanswer.raise_for_status()\nprint(answer.json())"
    )
    return Way(key, name, curl, python)
