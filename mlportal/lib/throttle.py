"""Count tries on the cache that all processes share, and say when there were too many."""

import time
from threading import Lock

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from mlportal.lib.errors import TooMany

log = structlog.get_logger(__name__)
_own: dict[str, int] = {}
_lock = Lock()


def hit(key: str, *, limit: int, seconds: int) -> None:
    """Count one try under ``key`` in the present window of ``seconds``.

    While the shared cache is away, each process counts for itself: sign-in keeps working and stays limited.

    Raises
    ------
    TooMany
        From the try after ``limit`` on, until the window ends.
    """
    if count(key, seconds=seconds) > limit:
        wait = int((time.time() // seconds + 1) * seconds - time.time()) + 1
        raise TooMany(f"Too many tries. Wait {-(-wait // 60)} min and try again.", retry_after=wait)


def count(key: str, *, seconds: int) -> int:
    """Count one try under ``key`` and return how many there were in the present window of ``seconds``."""
    place = f"throttle:{key}:{int(time.time() // seconds)}"
    try:
        cache.add(place, 0, timeout=seconds)
        return int(cache.incr(place))
    except (RedisError, OSError, ValueError) as error:
        log.warning("shared cache away, counting in this process", error=type(error).__name__)
        return _count_here(place)


def give_back(key: str, *, seconds: int) -> None:
    """Take one try under ``key`` back, since it was none."""
    place = f"throttle:{key}:{int(time.time() // seconds)}"
    with _lock:
        if place in _own:
            _own[place] -= 1
    try:
        cache.decr(place)
    except (RedisError, OSError, ValueError):
        return


def forget(key: str, *, seconds: int) -> None:
    """Start again at zero in the present window, after a success."""
    place = f"throttle:{key}:{int(time.time() // seconds)}"
    with _lock:
        _own.pop(place, None)
    try:
        cache.delete(place)
    except (RedisError, OSError):
        return


def _count_here(place: str) -> int:
    with _lock:
        if len(_own) > 10_000:
            _own.clear()
        _own[place] = _own.get(place, 0) + 1
        return _own[place]
