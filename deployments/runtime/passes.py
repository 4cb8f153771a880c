"""Short-lived passes by which the web process vouches for a caller to the serving process."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

PREFIX = "mli_"
LIFETIME_SECONDS = 30
MAX_LENGTH = 400
_PURPOSE = b"mlportal: pass from the web process to the serving process"


@dataclass(frozen=True, slots=True)
class Pass:
    """What the web process has checked.

    Parameters
    ----------
    project_id, endpoint_id : int
        The one endpoint it is good for.
    token_id : int
        Token of the caller, 0 for a signed-in person.
    expires_at : float
        Seconds since 1970.
    """

    project_id: int
    endpoint_id: int
    token_id: int
    expires_at: float


def derive(secret_key: str) -> bytes:
    """Key of the passes from the installation's secret."""
    return hmac.new(secret_key.encode(), _PURPOSE, hashlib.sha256).digest()


def issue(key: bytes, *, project_id: int, endpoint_id: int, token_id: int, now: float) -> str:
    """Make a pass that ends in 30 seconds."""
    content = json.dumps([project_id, endpoint_id, token_id, now + LIFETIME_SECONDS]).encode()
    return f"{PREFIX}{base64.urlsafe_b64encode(content).decode()}.{_sign(key, content)}"


def read(key: bytes, text: str, *, now: float) -> Pass | None:
    """Check a pass; None when it is forged, damaged or over."""
    if len(text) > MAX_LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return None
    encoded, _, mark = text[len(PREFIX) :].partition(".")
    try:
        content = base64.urlsafe_b64decode(encoded)
    except ValueError:
        return None
    if not hmac.compare_digest(_sign(key, content), mark):
        return None
    found = Pass(*json.loads(content))
    return found if now < found.expires_at else None


def _sign(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()
