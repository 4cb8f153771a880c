"""Checks of an ID token: who signed it, for whom, when, and for which sign-in (OpenID Connect Core 3.1.3.7)."""

import hmac
from typing import Any

from projects.services.oidc.refusals import ProviderFault

# Only signatures with a public key: a shared secret, or none, would let others sign.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
NEEDED = ("exp", "iat", "iss", "aud", "sub")
LEEWAY_SECONDS = 60
MAX_TOKEN = 64_000
MAX_SUBJECT = 191


def key_id(token: object) -> tuple[str, str]:
    """Return algorithm and key id that a token names.

    Raises
    ------
    ProviderFault
        When it is no token, or its algorithm is not taken.
    """
    import jwt  # costs 8 MB; a process that nobody signs in at never pays

    if not isinstance(token, str) or not token or len(token) > MAX_TOKEN:
        raise ProviderFault("no_token", "no ID token")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise ProviderFault("bad_token", type(error).__name__) from error
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise ProviderFault("bad_token", f"algorithm {str(algorithm)[:20]!r}")
    return str(algorithm), str(header.get("kid") or "")


def pick(keys: list[dict[str, Any]], *, algorithm: str, name: str) -> dict[str, Any] | None:
    """Return the key that signed: by its id, or the only one there is when the token names none."""
    fit = [key for key in keys if key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm]
    named = [key for key in fit if key.get("kid") == name] if name else fit
    return named[0] if len(named) == 1 else None


def read(token: str, *, key: dict[str, Any], algorithm: str, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Return the claims of a token that stands every check.

    Raises
    ------
    ProviderFault
        When it does not; the detail says why.
    """
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(
            token, jwt.PyJWK(key, algorithm=algorithm).key, algorithms=[algorithm], audience=client_id, issuer=issuer,
            leeway=LEEWAY_SECONDS, options={"require": list(NEEDED)},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise ProviderFault("bad_token", type(error).__name__) from error
    audience = claims["aud"]
    others = isinstance(audience, list) and len(audience) > 1
    if (others or "azp" in claims) and claims.get("azp") != client_id:
        raise ProviderFault("bad_token", "made for another party")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise ProviderFault("bad_token", "no usable subject")
    said = claims.get("nonce")
    if not nonce or not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise ProviderFault("wrong_nonce")
    return claims
