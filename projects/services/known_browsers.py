"""Browsers in which somebody has signed in before: wrong guesses made elsewhere do not lock their owner out there.

Without them anybody who knows a name could keep its owner out with ten wrong passwords every quarter of an hour. The
mark is no credential: it only says under which count the tries of this browser are; whoever steals it gets ten more.
"""

import secrets

from django.core import signing

COOKIE = "mlportal_known"
SECONDS = 180 * 86_400
_SALT = "projects.known_browsers"


def mark(account: str) -> str:
    """Return what a browser keeps after somebody signed in to an account in it."""
    return signing.dumps([account, secrets.token_urlsafe(12)], salt=_SALT)


def of(account: str, kept: str) -> str:
    """Return the number of the browser, if this is what one keeps of the account; else an empty text."""
    try:
        known, number = signing.loads(kept, salt=_SALT, max_age=SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(number) if known == account else ""
