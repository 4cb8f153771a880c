"""Codes of an authenticator app (RFC 6238: 6 digits, 30 s), and a QR code of the key as one SVG path."""

import base64
import binascii
import secrets

from cryptography.hazmat.primitives.hashes import SHA1  # the only one that every app knows; HMAC does not hang on it
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_SECONDS = 30
DIGITS = 6
SKEW = 1  # steps before and after now that are taken: clocks differ


def new_key() -> str:
    """160 random bits in base32, as apps take them typed."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def step_of(key: str, code: str, *, now: float, after: int) -> int | None:
    """Return the time step of a code, None when it fits none near ``now``.

    Parameters
    ----------
    now : float
        Seconds since 1970.
    after : int
        The newest step that was used; that one and those before it fit no more, so a code works once.
    """
    present = int(now // STEP_SECONDS)
    found = None
    for step in range(present - SKEW, present + SKEW + 1):  # all of them, whichever fits: the time tells nothing
        fits = secrets.compare_digest(code_at(key, step).encode(), code.encode("utf-8", "replace"))
        if fits and step > after:
            found = step
    return found


def code_at(key: str, step: int) -> str:
    """Return the code of one time step."""
    return _totp(key).generate(step * STEP_SECONDS).decode()


def address(key: str, *, account: str, issuer: str) -> str:
    """Return the ``otpauth:`` address that apps read."""
    return _totp(key).get_provisioning_uri(account, issuer)


def is_key(key: str) -> bool:
    """Whether a text is a key as `new_key` makes them."""
    try:
        return len(base64.b32decode(key)) == 20
    except (binascii.Error, ValueError):
        return False


def path_of(text: str) -> tuple[int, str]:
    """Return the width of a QR code with its quiet border, in modules, and its dark modules as path data."""
    import qrcode  # only who sets one up pays for it

    code = qrcode.QRCode(border=4)
    code.add_data(text)
    rows = code.get_matrix()
    marks = [f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark]
    return len(rows), "".join(marks)


def _totp(key: str) -> TOTP:
    return TOTP(base64.b32decode(key), DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - see the import
