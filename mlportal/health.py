"""``/livez``, ``/healthz`` and ``/readyz``: is this process alive, healthy, are all parts up."""

import socket
import threading
import time
import urllib.request
from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from mlportal.lib.public import public

SILENT_SECONDS = 30
TELL_SECONDS = 4
_memory = threading.local()
_told: dict[str, float] = {}
_migrated = threading.Event()


def beat(part: str) -> None:
    """Note, every few seconds, that a part is alive; a broker that is away makes it silent, which is right."""
    now = time.monotonic()
    if now - _told.get(part, -TELL_SECONDS) < TELL_SECONDS:
        return
    _told[part] = now
    try:
        cache.set_many(dict.fromkeys((f"alive:{part}", _here(part)), time.time()), SILENT_SECONDS)
    except (RedisError, OSError):
        return


def _here(part: str) -> str:
    return f"alive:{part}@{socket.gethostname()}"


def heard_here(part: str) -> bool:
    """Tell whether a worker or the scheduler of this host spoke lately."""
    try:
        return cache.get(_here(part)) is not None
    except (RedisError, OSError):
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _migrations() -> bool:
    # Once current, they stay current for the code of this process.
    if not _migrated.is_set():
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _migrated.set()
    return True


def _broker() -> bool:
    cache.set("alive:broker", 1, 5)
    return bool(cache.get("alive:broker"))


def _heard(part: str) -> Callable[[], bool]:
    return lambda: cache.get(f"alive:{part}") is not None


def _serve() -> bool:
    # A fixed address from the operator's settings, on the inner side; nothing a client chose.
    with urllib.request.urlopen(f"{settings.SERVE_URL}/readyz", timeout=1) as answer:  # noqa: S310
        return bool(answer.status == 200)


CHECKS: dict[str, Callable[[], bool]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "worker": _heard("worker"),
    "beat": _heard("beat"),
    "serve": _serve,
}


def check(names: list[str]) -> dict[str, bool]:
    """Run checks; one that raises is a part that is down."""
    return {name: _passes(CHECKS[name]) for name in names}


def _passes(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except Exception:  # noqa: BLE001 whatever goes wrong, the answer is "this part is down"
        return False


def _answer(parts: dict[str, bool]) -> JsonResponse:
    ready = all(parts.values())
    body = {"status": "ok" if ready else "unavailable", "parts": {k: "up" if v else "down" for k, v in parts.items()}}
    response = JsonResponse(body, status=200 if ready else 503)
    response["Cache-Control"] = "no-store"
    if not ready:
        response["Retry-After"] = "5"
    return response


@public
def live(_request: HttpRequest) -> JsonResponse:
    """Say that this process answers; restart it when not."""
    return _answer({})


@public
def healthy(_request: HttpRequest) -> JsonResponse:
    """Say whether this process reaches its database."""
    return _answer(check(["database"]))


@public
def ready(_request: HttpRequest) -> JsonResponse:
    """Say whether all parts are up. A yes is remembered for a second, so that asking often costs nothing."""
    if time.monotonic() - getattr(_memory, "ready_at", -1e9) < 1:
        return _answer(dict.fromkeys(CHECKS, True))
    parts = check(list(CHECKS))
    if all(parts.values()):
        _memory.ready_at = time.monotonic()
    return _answer(parts)
