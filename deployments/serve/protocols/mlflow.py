"""MLflow's scoring server, which is also the shape of SageMaker's and of MLflow's deployments client."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import orjson

from deployments.runtime.signature import Columns, Signature, check_rows, order_columns, read_columns
from deployments.runtime.values import MAX_TEXT_LENGTH
from deployments.serve.live import Live
from deployments.serve.protocols import shapes, tables
from deployments.serve.protocols.shapes import Headers, Question, Reply, Sent
from mlportal.lib.errors import DomainError, Invalid, UnsupportedType

_READERS: dict[str, Callable[[Any, Signature, int], Columns]] = {
    "dataframe_split": tables.split,
    "dataframe_records": tables.instances,
    "instances": tables.instances,
    "inputs": tables.inputs,
}
BODIES = tuple(_READERS)
METHODS = ("predict", "predict_proba")
TARGET_VARIANT = b"x-amzn-sagemaker-target-variant"
_WORDS = {
    400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST", 415: "BAD_REQUEST", 422: "BAD_REQUEST", 429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class Mlflow:
    """``POST /invocations`` and ``POST /endpoints/<endpoint>/invocations``."""

    protocol = "invocations"

    def read(self, body: bytes, headers: Headers, live: Live) -> Question:
        """Read the frame of a request."""
        check_variant(headers, live)
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        signature, most = live.runtime.signature, live.max_rows
        wanted = {"method": METHODS[0]}
        if kind == b"application/json":
            return _json(body, signature, most)
        if kind == b"text/csv":
            return Question(body.count(b"\n"), lambda: tables.text(body, signature, most), wanted=wanted)
        if kind == b"application/vnd.apache.parquet":
            return Question(most, lambda: _parquet(body, signature, most), wanted=wanted)
        raise UnsupportedType(
            "Send application/json, text/csv or application/vnd.apache.parquet.", field="Content-Type"
        )

    def answer(self, question: Question, reply: Reply) -> tuple[bytes, Sent]:
        """Body and headers of an answer."""
        content = orjson.dumps({"predictions": predictions(question, reply)})
        variant = (b"x-amzn-invoked-production-variant", reply.live.variant.encode())
        return content, [*shapes.standing(reply), variant]

    def refusal(self, error: DomainError, identifier: str) -> tuple[dict[str, Any], Sent]:
        """Body and headers of a refusal."""
        word = _WORDS.get(error.status, "BAD_REQUEST" if error.status < 500 else "INTERNAL_ERROR")
        body = {"error_code": word, "message": error.message, "code": error.code, **shapes.place(error)}
        kind = b"ValidationError" if error.status < 500 else b"ServiceUnavailable"
        return body | {"request_id": identifier}, [(b"x-amzn-errortype", kind)]


def check_variant(headers: Headers, live: Live) -> None:
    """Refuse a variant that the endpoint has not.

    Raises
    ------
    Invalid
        Naming the one it has.
    """
    wanted = headers.get(TARGET_VARIANT)
    if wanted is not None and wanted.decode("latin-1") != live.variant:
        raise Invalid(
            f"A caller does not choose the variant; this request gets {live.variant!r}.",
            code="variant_unknown",
            field="X-Amzn-SageMaker-Target-Variant",
            limit=live.variant,
        )


def predictions(question: Question, reply: Reply) -> list[Any]:
    """Labels, or probabilities where the caller asked for them.

    Raises
    ------
    Invalid
        When the model has no probabilities.
    """
    if question.wanted["method"] == METHODS[0]:
        return reply.answer.labels
    if reply.answer.probabilities is None:
        raise Invalid("This model gives no probabilities.", code="no_probabilities", field="params.predict_method")
    return reply.answer.probabilities


def _json(body: bytes, signature: Signature, most: int) -> Question:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = tables.lenient_json(body)
    name, params = _frame(document)
    content, read = document[name], _READERS[name]
    return Question(_rows(content), lambda: read(content, signature, most), wanted={"method": _method(params)})


def _rows(content: Any) -> int:
    """How many rows a frame has as far as a glance tells."""
    if type(content) is dict:
        content = content.get("data", next(iter(content.values()), None))
    return len(content) if type(content) is list else 0


def _frame(document: Any) -> tuple[str, Any]:
    known = [name for name in BODIES if type(document) is dict and name in document]
    if len(known) != 1 or any(name not in (*BODIES, "params") for name in document):
        raise Invalid(
            f"Send an object with exactly one of {', '.join(BODIES)}, and params if you like.",
            code="bad_frame",
            field="body",
        )
    return known[0], document.get("params")


def _method(params: Any) -> str:
    if params in (None, {}):
        return METHODS[0]
    method = params.get("predict_method") if type(params) is dict and len(params) == 1 else None
    if method not in METHODS:
        raise Invalid(
            f"params takes predict_method only: {' or '.join(METHODS)}.",
            code="bad_params",
            field="params",
            limit=METHODS,
        )
    return str(method)


def _parquet(body: bytes, signature: Signature, most: int) -> Columns:
    """Rows of a Parquet file; texts stay coded until their length is known, so that no small file grows large here."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(body))
        check_rows(file.metadata.num_rows, most)
        names = file.schema_arrow.names
        texts = [column.name for column in signature.columns if column.kind not in tables.NUMBERS]
        file = parquet.ParquetFile(io.BytesIO(body), read_dictionary=[name for name in texts if name in names])
        wanted = [name for name in names if name in signature.names]
        table = file.read(columns=wanted)
        columns = [_plain(table.column(name)) for name in wanted]
    except (pa.ArrowException, OSError) as error:
        raise Invalid(f"The body is not a Parquet file: {type(error).__name__}.", code="bad_parquet") from None
    ordered = order_columns(wanted, columns, signature)
    return read_columns(ordered, signature)


def _plain(column: Any) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        longest = max((pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0 for chunk in column.chunks), default=0)
        if longest > 4 * MAX_TEXT_LENGTH:
            raise Invalid(f"A text has {longest} bytes, at most {MAX_TEXT_LENGTH} characters are allowed.")
    values = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if value is None or value != value else value for value in values]  # noqa: PLR0124 - NaN
    if pa.types.is_temporal(column.type):
        return [value if value is None else value.isoformat() for value in values]
    return values
