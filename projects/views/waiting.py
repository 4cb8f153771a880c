"""Who showed the first factor and not yet the second: kept in the session of nobody, for a few minutes."""

import hmac
import time
from dataclasses import dataclass

from django.http import HttpRequest

from projects.models import User

KEY = "second_step"
SECONDS = 300


@dataclass(frozen=True)
class Waiting:
    """The person, how they came, and where they want to go."""

    user: User
    method: str
    next_page: str


def begin(request: HttpRequest, user: User, *, next_page: str, method: str) -> None:
    """Remember the person under a fresh key; nothing is open to it yet."""
    request.session.flush()
    request.session[KEY] = {
        "user": user.pk, "mark": user.get_session_auth_hash(), "until": time.time() + SECONDS, "method": method,
        "next": next_page,
    }  # fmt: skip


def read(request: HttpRequest) -> Waiting | None:
    """Return who waits; None when nobody does, it took too long, or the account was closed or changed."""
    kept = request.session.get(KEY)
    if not isinstance(kept, dict) or kept["until"] < time.time():
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).exclude(second_factor_at=None).first()
    if user is None or not hmac.compare_digest(user.get_session_auth_hash(), kept["mark"]):
        return None
    return Waiting(user, kept["method"], kept["next"])
