"""Find the owner of an API token; the only place that compares credentials of automation."""

import base64
import binascii
import hashlib
from datetime import timedelta

from django.utils import timezone

from mlportal.lib.errors import Unauthenticated
from projects.models import ApiToken

PREFIX = "mlp_"
MAX_HEADER = 512
REFUSED = "The token is not valid: unknown, expired, revoked, or its owner is inactive."


def fingerprint(secret: str) -> str:
    """sha256 of a token, as stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def from_header(header: str) -> ApiToken | None:
    """Token of an ``Authorization`` header: ``Bearer <token>`` or ``Basic`` with the token as password.

    Raises
    ------
    Unauthenticated
        When a header is there but is no valid credential.
    """
    if not header:
        return None
    if len(header) > MAX_HEADER or not header.isascii():
        raise Unauthenticated(f"The Authorization header must be ASCII of at most {MAX_HEADER} characters.")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return find(rest.strip())
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unauthenticated("The Basic credential is not base64 of name:token.") from error
        name, _, password = decoded.partition(":")
        return find(password or name)
    raise Unauthenticated("Send 'Authorization: Bearer <token>', or Basic with the token as the password.")


def find(secret: str) -> ApiToken:
    """The live token with this secret; marks its use at most once a minute."""
    if not secret.startswith(PREFIX):
        raise Unauthenticated(REFUSED)
    rows = ApiToken.objects.select_related("user", "project").filter(sha256=fingerprint(secret))
    token = rows.live().first()
    if token is None:
        raise Unauthenticated(REFUSED)
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token
