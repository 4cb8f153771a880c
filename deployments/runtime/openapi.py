"""OpenAPI of one endpoint, made from the schema of the version that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
_TYPES = {"numeric": "number", "integer": "integer", "boolean": "boolean"}
_BEARER = {"token": {"type": "http", "scheme": "bearer", "description": "A token with the scope predict."}}


def document(signature: Mapping[str, Any], *, name: str, project: str, version: str, server: str, example: Any) -> Json:
    """Describe the ways to ask an endpoint.

    Parameters
    ----------
    signature : mapping
        Stored schema of the version.
    name, project, version : str
        Of the endpoint and of what answers.
    server : str
        Address of the serving process.
    example : object
        One record.

    Returns
    -------
    dict
        OpenAPI 3.1: `predict` in the portal's shape, `/invocations`, v2 and KServe v1.
    """
    base = f"/p/{project}"
    record = {"$ref": "#/components/schemas/Record"}
    rows = {"type": "array", "items": record, "minItems": 1, "maxItems": 10_000}
    own = {"type": "object", "required": ["records"], "properties": {"records": rows}}
    frame = {"type": "object", "properties": {"dataframe_records": rows, "instances": rows}}
    instances = {"type": "object", "required": ["instances"], "properties": {"instances": rows}}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": {
            f"{base}/endpoints/{name}/predict": _post("predict", own, {"records": [example]}),
            f"{base}/endpoints/{name}/invocations": _post("invocations", frame, {"dataframe_records": [example]}),
            f"{base}/v2/models/{name}/infer": _post("infer", {"type": "object"}, {"inputs": tensors(example)}),
            f"{base}/v1/models/{name}:predict": _post("predict_v1", instances, {"instances": [example]}),
        },
        "components": {"schemas": {"Record": _record(signature)}, "securitySchemes": _BEARER},
    }


def tensors(record: Mapping[str, Any]) -> list[Json]:
    """One record as tensors of the Open Inference Protocol."""
    return [
        {"name": name, "shape": [1, 1], "datatype": _datatype(value), "data": [value]} for name, value in record.items()
    ]


def _datatype(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOL"
    if isinstance(value, int):
        return "INT64"
    return "FP64" if isinstance(value, float) else "BYTES"


def _record(signature: Mapping[str, Any]) -> Json:
    columns = {entry["name"]: _column(entry) for entry in signature.get("inputs", ())}
    return {"type": "object", "required": list(columns), "additionalProperties": False, "properties": columns}


def _column(entry: Mapping[str, Any]) -> Json:
    kind = _TYPES.get(entry.get("kind", ""), "string")
    found: Json = {"type": [kind, "null"] if entry.get("nullable") else kind}
    if entry.get("kind") == "datetime":
        found["format"] = "date-time"
    if categories := entry.get("categories"):
        found = {"examples": categories[:10]} | ({} if not all(isinstance(c, str) for c in categories) else found)
    return found


def _post(operation: str, schema: Json, example: Json) -> Json:
    content = {"application/json": {"schema": schema, "example": example}}
    answers = {
        "200": "The answer of the version that is live.", "401": "No valid token.", "403": "The token may not predict.",
        "404": "No such endpoint.", "413": "Over 16 MiB.", "422": "A record does not fit; names row and column.",
        "429": "Too many requests; see Retry-After.", "503": "Not ready; see Retry-After.", "504": "No answer in time.",
    }  # fmt: skip
    return {
        "post": {
            "operationId": operation,
            "requestBody": {"required": True, "content": content},
            "responses": {status: {"description": text} for status, text in answers.items()},
        }
    }
