"""Logs: one JSON object a line, with the request's id, without secrets.

``MLPORTAL_LOG_FORMAT=text`` gives coloured lines for a developer's terminal.
"""

import logging
import logging.config
import re
from collections.abc import Callable, MutableMapping
from typing import Any

import orjson
import structlog
from django.http import HttpRequest, HttpResponse
from structlog.typing import EventDict, Processor

from mlportal.lib import spans

SECRET_KEYS = frozenset(
    {"password", "secret", "token", "authorization", "cookie", "set-cookie", "api_key", "signing_key", "secret_key"}
)
SECRET_TEXT = re.compile(
    r"\bmlp_[A-Za-z0-9_-]{8,}|\bwhsec_[A-Za-z0-9+/=_-]{8,}|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=/set-up/)[A-Za-z0-9_-]{8,}|(?<=/sign-in/sso/return/\?)\S+"
)
MASK = "[removed]"


class RequestId:
    """Middleware after the one that names the request: puts that name on the request and on the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on and label."""
        name = str(structlog.contextvars.get_contextvars().get("request_id", ""))
        request.request_id = name  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = name
        return response


def redact(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """Remove values of secret keys, tokens inside texts, and passwords inside addresses."""
    return {key: MASK if key.lower() in SECRET_KEYS else _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_TEXT.sub(MASK, value)
    if isinstance(value, MutableMapping):
        return redact(None, "", value)
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


def _dumps(value: Any, **_options: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.StackInfoRenderer(),
]


def formatter(form: str = "json") -> logging.Formatter:
    """Return the formatter of log lines; also for records of libraries that know no structlog."""
    if form == "text":
        tail: list[Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        tail = [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer(serializer=_dumps)]
    traced: list[Processor] = [spans.note] if spans.is_on() else []
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *traced, *tail],
    )


def configure(options: MutableMapping[str, str]) -> None:
    """Set up logging; named in ``settings.LOGGING_CONFIG``, called with ``settings.LOGGING``."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = {"class": "logging.StreamHandler", "formatter": "line"}
    quiet = {"level": "WARNING"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": "mlportal.logs.formatter", "form": options.get("format", "json")}},
            "handlers": {"console": handler},
            "root": {"handlers": ["console"], "level": options.get("level", "INFO")},
            "loggers": {"django.server": quiet, "celery.worker.strategy": quiet, "celery.app.trace": quiet},
        }
    )
