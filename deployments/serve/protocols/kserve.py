"""KServe v1, which is TensorFlow Serving's REST shape."""

from __future__ import annotations

from typing import Any

import orjson

from deployments.serve.live import Live
from deployments.serve.protocols import mlflow, own, shapes, tables
from deployments.serve.protocols.shapes import Headers, Question, Reply, Sent
from mlportal.lib.errors import DomainError, Invalid


class KserveV1:
    """``POST /v1/models/<endpoint>:predict``; the body is JSON whatever Content-Type says."""

    protocol = "v1"

    def read(self, body: bytes, headers: Headers, live: Live) -> Question:
        """Read the frame of a request."""
        document = own.load(body)
        if type(document) is not dict or "instances" not in document:
            raise Invalid('Send an object such as {"instances": [{...}]}.', code="bad_frame", field="instances")
        rows = document["instances"]
        signature, most = live.runtime.signature, live.max_rows
        count = len(rows) if type(rows) is list else 0
        mlflow.check_variant(headers, live)
        wanted = {"method": _method(document.get("parameters"))}
        return Question(count, lambda: tables.instances(rows, signature, most), wanted=wanted)

    def answer(self, question: Question, reply: Reply) -> tuple[bytes, Sent]:
        """Body and headers of an answer."""
        return orjson.dumps({"predictions": mlflow.predictions(question, reply)}), shapes.standing(reply)

    def refusal(self, error: DomainError, identifier: str) -> tuple[dict[str, Any], Sent]:
        """Body and headers of a refusal."""
        body = {"error": error.message, "code": error.code, **shapes.place(error), "request_id": identifier}
        return body, []


def _method(parameters: Any) -> str:
    found = parameters.get("predict_method", mlflow.METHODS[0]) if type(parameters) is dict else mlflow.METHODS[0]
    if found not in mlflow.METHODS:
        raise Invalid(f"parameters.predict_method is {' or '.join(mlflow.METHODS)}.", field="parameters.predict_method")
    return str(found)
