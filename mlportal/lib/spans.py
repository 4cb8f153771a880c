"""Spans for an OpenTelemetry collector. Off, which is the default, nothing of OpenTelemetry is imported.

``configure`` looks at the environment once; `opened` and `carried` then do nothing or their work. The exporter is made
in the process that opens the first span: parts fork, and its thread would not live on in a fork. See
``docs/adr/0068-own-spans.md``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

# What a span was for; the names of OpenTelemetry's own kinds.
SERVER, PRODUCER, CONSUMER, INTERNAL = "SERVER", "PRODUCER", "CONSUMER", "INTERNAL"
CARRIED = ("traceparent", "tracestate")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
SPOKEN = "http/protobuf"

Attributes = Mapping[str, str | int | float | bool]


class _State:
    """Whether spans are made, of which part, and by what in this process."""

    on = False
    part = "web"
    pid = 0
    provider: TracerProvider | None = None


_state = _State()
_making = Lock()
_nothing: AbstractContextManager[Any] = nullcontext()


def configure(environ: Mapping[str, str]) -> None:
    """Switch spans on or off for this process and its forks.

    Parameters
    ----------
    environ
        Names of OpenTelemetry itself: an endpoint switches on, ``OTEL_SDK_DISABLED`` and
        ``OTEL_TRACES_EXPORTER=none`` off.

    Raises
    ------
    RuntimeError
        When they are wanted and cannot be sent: the libraries are missing, or another protocol is asked for.
    """
    refused = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    _state.on = any(environ.get(name) for name in ENDPOINTS) and not refused
    if not _state.on:
        return
    for name in PROTOCOLS:
        if environ.get(name, SPOKEN) != SPOKEN:
            raise RuntimeError(f"{name} is {environ[name]!r}; traces are sent by {SPOKEN} only.")
    if importlib.util.find_spec("opentelemetry") is None:
        raise RuntimeError(
            "An endpoint for traces is named, but OpenTelemetry is missing: install requirements/otel.txt."
        )


def is_on() -> bool:
    """Whether spans are made."""
    return _state.on


def name_part(part: str) -> None:
    """Say which part of the portal this process is; its spans are those of ``mlportal-<part>``."""
    _state.part = part


def opened(
    name: str, kind: str = INTERNAL, *, caller: Mapping[str, str] | None = None, attributes: Attributes | None = None
) -> AbstractContextManager[Any]:
    """Open a span around a block.

    Parameters
    ----------
    name
        What is done; few different values.
    kind
        One of the constants of this module.
    caller
        Headers of whoever asked: the span goes on with their trace, and starts one when they carry none. Without
        it the span is a part of the one around it.
    attributes
        What is known at once. Never texts of users: nothing of a request but its route leaves this machine.

    Returns
    -------
    context manager
        Gives the span, or None when spans are off. An exception marks it as failed by its type alone: messages
        may hold values of rows.
    """
    return _opened(name, kind, caller, attributes) if _state.on else _nothing


@contextmanager
def _opened(name: str, kind: str, caller: Mapping[str, str] | None, attributes: Attributes | None) -> Iterator[Span]:
    from opentelemetry.context import Context, attach, detach
    from opentelemetry.trace import SpanKind, set_span_in_context
    from opentelemetry.trace.propagation import tracecontext

    around = None
    if caller is not None:  # never what the thread did before: an empty context, not the present one
        around = tracecontext.TraceContextTextMapPropagator().extract(caller, Context())
    span = (
        _provider()
        .get_tracer("mlportal")
        .start_span(name, around, SpanKind[kind], attributes, record_exception=False, set_status_on_exception=False)
    )
    token = attach(set_span_in_context(span))
    try:
        yield span
    except BaseException as error:
        failed(span, type(error).__name__)
        raise
    finally:
        detach(token)
        span.end()


def failed(span: Span, why: str) -> None:
    """Mark a span as failed."""
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR, why)


def carried() -> dict[str, str]:
    """Return headers that let another process go on with this trace; none when spans are off."""
    held: dict[str, str] = {}
    if _state.on:
        from opentelemetry.trace.propagation import tracecontext

        tracecontext.TraceContextTextMapPropagator().inject(held)
    return held


def note(_logger: Any, _name: str, event: Any) -> Any:
    """Put the ids of the trace and the span around it into a log line."""
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return event


def flush() -> None:
    """Send what waits, before this process ends."""
    if _state.provider is not None and _state.pid == os.getpid():
        _state.provider.force_flush()


def _provider() -> TracerProvider:
    if _state.provider is None or _state.pid != os.getpid():
        with _making:
            if _state.provider is None or _state.pid != os.getpid():
                _state.provider, _state.pid = _made(), os.getpid()
    return _state.provider


def _made() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME") or f"mlportal-{_state.part}"
    provider = TracerProvider(resource=Resource.create({"service.name": named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
