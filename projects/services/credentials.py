"""What a token looks like, and where a header holds it; ``entry`` finds whose it is."""

import base64
import binascii
import hashlib

from mlportal.lib.errors import Unauthenticated

PREFIX = "mlp_"
MAX_HEADER = 512
REFUSED = "The token is not valid: unknown, expired, revoked, or its owner is inactive."


def fingerprint(secret: str) -> str:
    """sha256 of a token, as stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_of(header: str) -> str:
    """Token in an ``Authorization`` header: ``Bearer <token>`` or ``Basic`` with the token as password.

    Raises
    ------
    Unauthenticated
        When the header holds no credential of these kinds.
    """
    if len(header) > MAX_HEADER or not header.isascii():
        raise Unauthenticated(f"The Authorization header must be ASCII of at most {MAX_HEADER} characters.")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unauthenticated("The Basic credential is not base64 of name:token.") from error
        name, _, password = decoded.partition(":")
        return password or name
    raise Unauthenticated("Send 'Authorization: Bearer <token>', or Basic with the token as the password.")
