"""Passwords sent with every call, as tracking clients do: checked in full once, then known again for a while.

A check costs 0.2 s by design, and a client sends the same header hundreds of times a minute. So a process keeps
which header (as an HMAC under a key of its own) was right for which user *and which stored hash*. The stored hash
is read again in every request: a changed password or a closed account ends at once what was remembered.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from threading import Lock

from mlportal.lib.errors import Forbidden, TooMany, Unauthenticated
from projects.models import User
from projects.services import signing_in

SECONDS = 600
MAX_KNOWN = 4096
_key = secrets.token_bytes(32)
_known: dict[bytes, tuple[int, str, float]] = {}  # header -> user, stored hash, until when
# Parallel calls with a new header wait for the first one's check, else a client's threads would lock it out.
_locks = [Lock() for _ in range(64)]


def owner(username: str, password: str, *, stored: Callable[[int], str | None], address: str, request_id: str) -> int:
    """Return the id of the active user with this name and password.

    Parameters
    ----------
    stored : callable
        Gives the stored hash of an active user's password, read now; None when there is no such user.

    Raises
    ------
    Unauthenticated
        When they do not match an active account, or this account or address has failed too often, as at sign-in.
    """
    place = hmac.digest(_key, f"{username}\0{password}".encode(), "sha256")
    found = _remembered(place, stored)
    if found is not None:
        return found
    with _locks[place[0] % len(_locks)]:
        found = _remembered(place, stored)
        if found is not None:
            return found
        user = _checked(username, password, address=address, request_id=request_id)
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[place] = (user.pk, user.password, time.monotonic() + SECONDS)
        return int(user.pk)


def forget() -> None:
    """Check every password in full again."""
    _known.clear()


def _remembered(place: bytes, stored: Callable[[int], str | None]) -> int | None:
    user, encoded, until = _known.get(place, (0, "", 0.0))
    if time.monotonic() > until:
        return None
    now = stored(user)
    return user if now is not None and hmac.compare_digest(now.encode(), encoded.encode()) else None


def _checked(username: str, password: str, *, address: str, request_id: str) -> User:
    try:
        return signing_in.verify(username, password, address=address, request_id=request_id)
    except (Forbidden, TooMany) as refusal:  # a client would retry 429 for a quarter of an hour without a word
        raise Unauthenticated(refusal.message) from None
