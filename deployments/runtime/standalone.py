"""Serve one exported version without the portal: ``python -m deployments.runtime.standalone FOLDER [PORT]``.

The folder is an unpacked export. There is no database, no sign-in and no prediction log: put it behind something that
has what you need of these. It answers MLflow's ``/invocations``, the Open Inference Protocol v2 in JSON, and KServe v1.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

# Before anything imports numpy: threads that wait for one another make single rows slow.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from deployments.runtime import loading  # noqa: E402
from deployments.runtime.backends import Answer  # noqa: E402
from deployments.runtime.loading import Runtime  # noqa: E402
from deployments.runtime.signature import Columns, order_columns, read_columns, read_records  # noqa: E402
from mlportal.lib import modelfile  # noqa: E402
from mlportal.lib.errors import DomainError, Invalid, Missing, TooLarge  # noqa: E402

MOST_BYTES = 16 << 20
INLINE_ROWS = 256
PORT = 8080
FILES, GRAPH, MANIFEST = "files/", "model.onnx", "manifest.json"
_TYPES = {bool: "BOOL", int: "INT64", float: "FP64"}
Json = dict[str, Any]


def load(folder: Path, *, graph: bool = True) -> tuple[Json, Runtime]:
    """Load the version in an unpacked export; returns what its manifest says, and what answers."""
    about = json.loads((folder / MANIFEST).read_text("utf-8"))
    files = {row["path"]: folder / FILES / row["path"] for row in about["files"]}
    onnx = folder / GRAPH
    found = loading.load(files, about["signature"], modelfile.load, graph=onnx if graph and onnx.exists() else None)
    return about, found


class Server:
    """One version as an ASGI application."""

    def __init__(self, folder: Path) -> None:
        self.about, self.runtime = load(folder)
        self.name, self.version = str(self.about["endpoint"]), str(self.about["number"])

    async def __call__(
        self, scope: Json, receive: Callable[[], Awaitable[Json]], send: Callable[[Json], Awaitable[None]]
    ) -> None:
        """Answer one request, or follow the life of the server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, content = await self._answered(scope, receive)
        body = json.dumps(content).encode()
        sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answered(self, scope: Json, receive: Callable[[], Awaitable[Json]]) -> tuple[int, Any]:
        try:
            if scope["method"] in ("GET", "HEAD"):
                return 200, self._described(scope["path"])
            shape = self._shape(scope["path"])
            given = _document(await _body(receive))
            columns = self._columns(given)
            predict = self.runtime.backend.predict
            few = len(columns[0]) <= INLINE_ROWS
            answer = predict(columns) if few else await asyncio.to_thread(predict, columns)
            return 200, shape(given, answer)
        except DomainError as error:
            place = {key: getattr(error, key) for key in ("row", "column") if getattr(error, key, None) is not None}
            return error.status, {"error": error.message, "code": error.code, **place}

    def _described(self, path: str) -> Json:
        if path in ("/ping", "/health", "/v2/health/live", "/v2/health/ready", "/readyz", "/"):
            return {"ready": True, "live": True}
        if path == "/v2":
            return {"name": "mlportal", "version": self.version, "extensions": []}
        if path in (f"/v2/models/{self.name}", f"/v2/models/{self.name}/ready", f"/v1/models/{self.name}"):
            return {"name": self.name, "ready": True, "versions": [self.version], "platform": self.runtime.backend.name}
        raise Missing("There is nothing at this address.")

    def _shape(self, path: str) -> Callable[[Json, Answer], Json]:
        names = {
            "/invocations": _plain, f"/v1/models/{self.name}:predict": _plain,
            f"/v2/models/{self.name}/infer": self._tensors,
        }  # fmt: skip
        if path not in names:
            raise Missing("There is nothing at this address.")
        return names[path]

    def _tensors(self, given: Json, answer: Answer) -> Json:
        rows = len(answer.labels)
        kind = _TYPES.get(type(answer.labels[0]), "BYTES")
        outputs: list[Json] = [{"name": "predict", "shape": [rows, 1], "datatype": kind, "data": answer.labels}]
        if answer.probabilities is not None:
            flat = [share for row in answer.probabilities for share in row]
            shape = [rows, len(answer.probabilities[0])]
            outputs.append({"name": "predict_proba", "shape": shape, "datatype": "FP64", "data": flat})
        out: Json = {"model_name": self.name, "model_version": self.version, "outputs": outputs}
        return out | ({"id": given["id"]} if isinstance(given.get("id"), str) else {})

    def _columns(self, given: Json) -> Columns:
        signature = self.runtime.signature
        records = given.get("dataframe_records", given.get("instances"))
        if records is not None:
            return read_records(records, signature)
        try:
            names, columns = _named(given)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Invalid(
                "Send inputs (tensors), instances, dataframe_records or dataframe_split.", code="body_invalid"
            ) from error
        if not columns or not columns[0] or len({len(values) for values in columns}) != 1:
            raise Invalid("Each column needs as many values as the others, at least one.", code="no_rows")
        return read_columns(order_columns(names, columns, signature), signature)


def _named(given: Json) -> tuple[list[str], Columns]:
    if "dataframe_split" in given:
        split = given["dataframe_split"]
        return list(split["columns"]), [list(values) for values in zip(*split["data"], strict=True)]
    inputs = given["inputs"]
    if isinstance(inputs, dict):
        return list(inputs), [list(values) for values in inputs.values()]
    return [row["name"] for row in inputs], [_flat(row["data"]) for row in inputs]


def _flat(data: list[Any]) -> list[Any]:
    return [value[0] if isinstance(value, list) else value for value in data]


def _plain(_given: Json, answer: Answer) -> Json:
    return {"predictions": answer.labels}


async def _body(receive: Callable[[], Awaitable[Json]]) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > MOST_BYTES:
            raise TooLarge(f"The body is over {MOST_BYTES:,} bytes.", limit=MOST_BYTES)
    return b"".join(parts)


def _document(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("The body is no JSON.", code="body_invalid") from error
    if not isinstance(found, dict):
        raise Invalid("The body must be a JSON object.", code="body_invalid")
    return found


def main() -> None:
    """Serve until a signal comes."""
    import uvicorn

    folder, port = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else PORT
    host = os.environ.get("HOST", "127.0.0.1")
    uvicorn.run(Server(folder), host=host, port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
