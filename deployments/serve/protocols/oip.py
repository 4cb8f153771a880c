"""Open Inference Protocol v2 over REST, with the binary tensor extension.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and Triton's
extension_binary_data. tritonclient sends no Content-Type, so it is not looked at.
"""

from __future__ import annotations

from typing import Any

import orjson

from deployments.serve.live import Live
from deployments.serve.protocols import mlflow, own, repeated, shapes, tensors
from deployments.serve.protocols.shapes import Headers, Question, Reply, Sent
from mlportal.lib.errors import DomainError, Invalid

LENGTH = b"inference-header-content-length"
LABEL, SHARE, IDENTIFIER = "predict", "predict_proba", "prediction_id"
MAX_ID = 500


class OpenInference:
    """``POST /v2/models/<endpoint>[/versions/<version>]/infer``."""

    protocol = "v2"

    def read(self, body: bytes, headers: Headers, live: Live) -> Question:
        """Read the frame of a request."""
        mlflow.check_variant(headers, live)
        length = _json_length(headers, len(body))
        if length == len(body) and (known := _known(body, live)) is not None:
            return known
        document = own.load(body[:length] if length < len(body) else body)
        if type(document) is not dict or "inputs" not in document:
            raise Invalid('Send an object such as {"inputs": [{...}]}.', code="bad_frame", field="inputs")
        sent, binary = document["inputs"], body[length:]
        signature, most = live.runtime.signature, live.max_rows
        wanted = {"id": _identifier(document.get("id")), "outputs": _outputs(document, live)}
        rows = _rows(sent)
        if wanted["id"] is None and not binary and rows <= most and len(live.frames) < repeated.MOST_FRAMES:
            live.frames += repeated.learn(body, document, signature, wanted)
        return Question(rows, lambda: tensors.columns(sent, binary, signature, most), wanted=wanted)

    def answer(self, question: Question, reply: Reply) -> tuple[bytes, Sent]:
        """Body and headers of an answer."""
        live = reply.live
        made = [_output(name, reply, binary=binary) for name, binary in question.wanted["outputs"]]
        document: dict[str, Any] = {"model_name": live.row.name, "model_version": str(live.row.version)}
        if question.wanted["id"] is not None:
            document["id"] = question.wanted["id"]
        document["parameters"] = {"prediction_id": reply.ids[0], "variant": live.variant}
        document["outputs"] = [tensor for tensor, _ in made]
        head = orjson.dumps(document)
        if all(not binary for _, binary in question.wanted["outputs"]):
            return head, shapes.standing(reply)
        binary = b"".join(raw for _, raw in made)
        length = (LENGTH, str(len(head)).encode())
        return head + binary, [*shapes.standing(reply), length, (b"content-type", b"application/octet-stream")]

    def refusal(self, error: DomainError, identifier: str) -> tuple[dict[str, Any], Sent]:
        """Body and headers of a refusal."""
        body = {"error": error.message, "code": error.code, **shapes.place(error), "request_id": identifier}
        return body, []


def metadata(live: Live) -> dict[str, Any]:
    """What a model takes and gives."""
    signature = live.runtime.signature
    return {
        "name": live.row.name,
        "versions": [str(live.row.version)],
        "platform": platform(live),
        "inputs": [
            {"name": column.name, "datatype": tensors.datatype_of(column), "shape": [-1, 1]}
            for column in signature.columns
        ],
        "outputs": [
            {
                "name": name,
                "datatype": _datatype(name, live),
                "shape": [-1, live.runtime.shares if name == SHARE else 1],
            }
            for name in _given(live)
        ],
    }


def platform(live: Live) -> str:
    """Which engine answers."""
    return {"onnx": "onnxruntime_onnx"}.get(live.runtime.backend.name, "sklearn_skops")


def _given(live: Live) -> list[str]:
    """Outputs a model gives unasked."""
    return [LABEL, SHARE] if live.runtime.shares else [LABEL]


def _datatype(name: str, live: Live) -> str:
    if name == SHARE:
        return "FP64"
    if name == IDENTIFIER:
        return "BYTES"
    classes = live.runtime.signature.classes
    return tensors.datatype_of_values(classes) if classes else "FP64"


def _known(body: bytes, live: Live) -> Question | None:
    """Read a body that is another one's but for its values."""
    signature = live.runtime.signature
    for frame in live.frames:
        if (columns := frame.columns(body)) is not None:
            return Question(frame.rows, lambda: tensors.checked(columns, signature), wanted=frame.wanted)
    return None


def _json_length(headers: Headers, size: int) -> int:
    text = headers.get(LENGTH)
    if text is None:
        return size
    if not text.isdigit() or len(text) > 10 or int(text) > size:
        raise Invalid(
            f"Inference-Header-Content-Length must be at most the body's {size} bytes.",
            field="Inference-Header-Content-Length",
            limit=size,
        )
    return int(text)


def _identifier(given: Any) -> str | None:
    if given is None or (type(given) is str and len(given) <= MAX_ID):
        return given or None
    raise Invalid(f"id must be a text of at most {MAX_ID} characters.", field="id", limit=MAX_ID)


def _rows(sent: Any) -> int:
    """Rows of the first tensor as its shape says."""
    first = sent[0] if type(sent) is list and sent else None
    shape = first.get("shape") if isinstance(first, dict) else None
    return shape[0] if type(shape) is list and shape and type(shape[0]) is int else 0


def _outputs(document: dict[str, Any], live: Live) -> list[tuple[str, bool]]:
    """Names of the outputs to give, and whether each goes as binary."""
    whole = _flag(document.get("parameters"), "binary_data_output")
    asked = document.get("outputs")
    if not asked:
        return [(name, whole) for name in _given(live)]
    allowed = (*_given(live), IDENTIFIER)
    found: list[tuple[str, bool]] = []
    for output in asked if type(asked) is list else (None,):
        if not isinstance(output, dict):
            raise Invalid("outputs must be a list of objects.", code="bad_frame", field="outputs")
        name = output.get("name")
        if name not in allowed or any(name == known for known, _ in found):
            raise Invalid(
                f"Each output is one of {', '.join(allowed)}, named once; got {str(name)[:100]!r}.",
                code="output_unknown",
                field="outputs",
                limit=allowed,
            )
        found.append((name, _flag(output.get("parameters"), "binary_data", default=whole)))
    return found


def _flag(parameters: Any, name: str, *, default: bool = False) -> bool:
    return bool(parameters.get(name, default)) if type(parameters) is dict else default


def _output(name: str, reply: Reply, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """One tensor and, where asked for, its bytes."""
    rows = len(reply.ids)
    shape, values = [rows, 1], reply.answer.labels
    if name == IDENTIFIER:
        values = reply.ids
    elif name == SHARE:
        shares = reply.answer.probabilities or []
        shape = [rows, len(shares[0]) if shares else 0]
        values = shares[0] if rows == 1 and shares else [share for row in shares for share in row]
    datatype = _datatype(name, reply.live) if name != LABEL else tensors.datatype_of_values(values)
    tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
    if not binary:
        tensor["data"] = values
        return tensor, b""
    raw = tensors.packed(values, datatype)
    tensor["parameters"] = {"binary_data_size": len(raw)}
    return tensor, raw
