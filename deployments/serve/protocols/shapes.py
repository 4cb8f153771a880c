"""What every protocol gives the application: a question read from a body, and the answer in its own words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from deployments.runtime.backends import Answer
from deployments.runtime.signature import Columns
from deployments.serve.live import Live
from mlportal.lib.errors import DomainError, Invalid

Headers = dict[bytes, bytes]
Sent = list[tuple[bytes, bytes]]

MAX_ID = 200
INFERENCE_IDS = (b"x-mlportal-inference-id", b"x-amzn-sagemaker-inference-id")
HEADER_IDS = 32


@dataclass(slots=True)  # frozen would cost each request a microsecond
class Question:
    """A request whose frame was read; its values are checked when ``columns`` is called.

    Parameters
    ----------
    rows : int
        How many rows it has, as far as known before the check.
    columns : callable
        Checks the values and gives them in signature order.
    inference_ids : list of str or None
        The caller's own ids, one a row.
    wanted : dict
        What the protocol's answer depends on.
    """

    rows: int
    columns: Callable[[], Columns]
    inference_ids: list[str] | None = None
    wanted: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Reply:
    """What a model answered, with the ids of the rows in the prediction log."""

    live: Live
    columns: Columns
    answer: Answer
    ids: list[str]


class Shape(Protocol):
    """One protocol; the prediction log keeps its name."""

    protocol: str

    def read(self, body: bytes, headers: Headers, live: Live) -> Question:
        """Read the frame of a request."""

    def answer(self, question: Question, reply: Reply) -> tuple[bytes, Sent]:
        """Body and headers of an answer."""

    def refusal(self, error: DomainError, identifier: str) -> tuple[dict[str, Any], Sent]:
        """Body and headers of a refusal."""


def place(error: DomainError) -> dict[str, Any]:
    """Members that say where the fault is, empty ones left out."""
    found = {name: getattr(error, name, None) for name in ("field", "row", "column", "limit", "got")}
    return {name: value for name, value in found.items() if value not in (None, "")}


def inference_ids(headers: Headers, rows: int) -> list[str] | None:
    """The caller's id of the request as ids of its rows: itself for one row, else with ``:<row>`` behind it.

    Raises
    ------
    Invalid
        When it is no plain text of 1 to 200 characters.
    """
    text = next((headers[name] for name in INFERENCE_IDS if name in headers), None)
    if text is None:
        return None
    plain = text.decode("latin-1")
    if not plain.isascii() or not plain.isprintable() or not 1 <= len(plain) <= MAX_ID - 6:
        raise Invalid(
            f"The inference id must be 1 to {MAX_ID - 6} printable ASCII characters.",
            field="X-Mlportal-Inference-Id",
            limit=MAX_ID - 6,
        )
    return [plain] if rows == 1 else [f"{plain}:{row}" for row in range(rows)]


def standing(reply: Reply) -> Sent:
    """Headers every answer carries: ids of up to 32 rows, version and variant."""
    return [
        (b"x-mlportal-prediction-id", ",".join(reply.ids[:HEADER_IDS]).encode()),
        *reply.live.headers,
    ]
