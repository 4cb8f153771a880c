"""The portal's own shape: a list of records in, an object a row out."""

from __future__ import annotations

from typing import Any

import orjson

from deployments.runtime.signature import read_records, unseen
from deployments.serve.live import Live
from deployments.serve.protocols import shapes
from deployments.serve.protocols.shapes import Headers, Question, Reply, Sent
from mlportal.lib.errors import DomainError, Invalid, UnsupportedType

_DEPTH = 1024  # orjson's own; a record holds no nested values anyway


def load(body: bytes) -> Any:
    """Decode JSON.

    Raises
    ------
    Invalid
        When it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise Invalid(f"The body is nested deeper than {_DEPTH} levels.", code="too_deep", limit=_DEPTH) from None
        raise Invalid(f"The body is not JSON: {error.msg}.", code="bad_json", field="body") from None


def parse(body: bytes, headers: Headers) -> tuple[Any, list[str] | None]:
    """Decode a request: its records, and the caller's own ids for them.

    Raises
    ------
    Invalid, UnsupportedType
        With the place at fault.
    """
    kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise UnsupportedType("Send the records as application/json.", field="Content-Type")
    document = load(body)
    if type(document) is not dict or "records" not in document:
        raise Invalid('Send an object such as {"records": [{...}]}.', code="records_missing", field="records")
    for name in document:
        if name not in ("records", "inference_ids"):
            raise Invalid(
                f"There is no field {name[:100]!r}; allowed: records, inference_ids.",
                code="field_unknown",
                field=name[:100],
            )
    return document["records"], _inference_ids(document.get("inference_ids"), document["records"])


def _inference_ids(ids: Any, records: Any) -> list[str] | None:
    if ids is None:
        return None
    if type(ids) is not list or type(records) is not list or len(ids) != len(records):
        raise Invalid("inference_ids must be a list with one text for each record.", field="inference_ids")
    for row, text in enumerate(ids):
        if type(text) is not str or not 1 <= len(text) <= shapes.MAX_ID or "\0" in text:
            raise Invalid(
                f"inference_ids[{row}] must be a text of 1 to {shapes.MAX_ID} characters without NUL.",
                field=f"inference_ids[{row}]",
            )
    return ids


class Own:
    """``POST /p/<project>/endpoints/<endpoint>/predict``."""

    protocol = "predict"

    def read(self, body: bytes, headers: Headers, live: Live) -> Question:
        """Read the frame of a request."""
        records, ids = parse(body, headers)
        rows = len(records) if type(records) is list else 0
        signature, most = live.runtime.signature, live.max_rows
        return Question(rows, lambda: read_records(records, signature, max_rows=most), ids)

    def answer(self, question: Question, reply: Reply) -> tuple[bytes, Sent]:
        """Body and headers of an answer."""
        del question
        return orjson.dumps(_document(reply)), shapes.standing(reply)

    def refusal(self, error: DomainError, identifier: str) -> tuple[dict[str, Any], Sent]:
        """Body and headers of a refusal."""
        problem = {"status": error.status, "code": error.code, "message": error.message}
        return problem | shapes.place(error) | {"request_id": identifier}, []


def _document(reply: Reply) -> dict[str, Any]:
    live, answer = reply.live, reply.answer
    predictions: list[dict[str, Any]] = [
        {"prediction": label, "prediction_id": identifier}
        for label, identifier in zip(answer.labels, reply.ids, strict=True)
    ]
    if answer.probabilities is not None:
        names = live.class_names
        for entry, shares in zip(predictions, answer.probabilities, strict=True):
            entry["probability"] = dict(zip(names, shares, strict=False))
    document: dict[str, Any] = {
        "predictions": predictions,
        "model": live.row.model,
        "version": live.row.version,
        "revision": live.row.revision,
    }
    if strange := unseen(reply.columns, live.runtime.signature):
        document["warnings"] = [{"code": "category_unseen", "row": row, "column": name} for row, name in strange]
    return document
