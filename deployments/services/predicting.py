"""Ask the serving process for a prediction on behalf of a caller."""

import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings

from deployments.models import Endpoint
from deployments.runtime import passes
from mlportal.lib import spans, strictjson
from mlportal.lib.errors import DomainError, Invalid, TooLarge, Unavailable, UnsupportedType
from projects.actor import Actor
from projects.permissions import Permission, require

MAX_BODY_BYTES = 8 * 2**20
MAX_ANSWER_BYTES = 64 * 2**20
# A little more than the serving process gives a model, so that its own 504 arrives.
WAIT_SECONDS = 35.0


class Refusal(DomainError):
    """What the serving process refused, with its own status, row and column."""

    kind = "prediction_refused"
    title = "No prediction"

    def __init__(self, status: int, problem: dict[str, Any], *, retry_after: int = 0) -> None:
        super().__init__(
            str(problem.get("message", "The serving process refused the request.")),
            code=str(problem.get("code", "")),
            field=str(problem.get("field", "")),
            limit=problem.get("limit"),
            got=problem.get("got"),
            retry_after=retry_after,
        )
        self.status = status
        self.place = {name: problem[name] for name in ("row", "column") if name in problem}

    def as_dict(self) -> dict[str, Any]:
        """Problem members, row and column among them."""
        return super().as_dict() | self.place


def predict(by: Actor, *, endpoint: Endpoint, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    """Hand records to the serving process at the operator's address and return its answer.

    Raises
    ------
    Invalid, UnsupportedType, TooLarge
        When the body is no JSON object with records; the serving process is not asked then.
    Refusal
        What it refused, row and column included.
    Unavailable
        When it does not answer.
    """
    require(by, Permission.ENDPOINT_PREDICT, endpoint.project)
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(
            f"The body is over the limit of {MAX_BODY_BYTES:,} bytes here; the serving process itself takes more.",
            field="body",
            limit=MAX_BODY_BYTES,
        )
    _check(body, content_type)
    path = f"/p/{quote(endpoint.project.slug)}/endpoints/{quote(endpoint.name)}/predict"
    headers = {
        "Authorization": f"Bearer {_pass(by, endpoint)}",
        "Content-Type": "application/json",
        "X-Request-Id": by.request_id,
        **spans.carried(),
    }
    status, retry_after, content = _ask(path, body, headers)
    try:
        answer: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise Unavailable("The serving process gave no readable answer.", retry_after=2) from error
    if status != 200:
        raise Refusal(status, answer, retry_after=int(retry_after) if retry_after.isdigit() else 0)
    return answer


def _check(body: bytes, content_type: str) -> None:
    """Refuse what no serving process would take, so that this door answers even while it restarts."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedType("Send the records as application/json.", field="Content-Type")
    document = strictjson.loads(body)
    if not isinstance(document, dict) or "records" not in document:
        raise Invalid('Send an object such as {"records": [{...}]}.', code="records_missing", field="records")


def _pass(by: Actor, endpoint: Endpoint) -> str:
    return passes.issue(
        passes.derive(settings.SECRET_KEY),
        project_id=endpoint.project_id,
        endpoint_id=endpoint.pk,
        token_id=by.token.pk if by.token else 0,
        now=time.time(),
    )


def _ask(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    address = urlsplit(settings.SERVE_URL)
    link = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port or 80, timeout=WAIT_SECONDS)
    try:
        link.request("POST", path, body, headers)
        answer = link.getresponse()
        content = answer.read(MAX_ANSWER_BYTES)
        return answer.status, answer.headers.get("Retry-After", ""), content
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("The serving process does not answer. Try again.", retry_after=2) from error
    finally:
        link.close()
