"""Ed25519 signatures over manifests, with a key that lives outside the database."""

from mlportal.lib import signing
from mlportal.lib.signing import Keyring, derive, key_id, keyring, public_pem

__all__ = ["DOMAIN", "Keyring", "derive", "key_id", "keyring", "public_pem", "sign", "verify"]
DOMAIN = b"mlportal model manifest v1\n"


def sign(keyring: Keyring, manifest_sha256: str) -> str:
    """Sign the hash of a manifest; the 64-byte signature in base64."""
    return signing.sign(keyring, DOMAIN, manifest_sha256.encode())


def verify(keyring: Keyring, *, manifest_sha256: str, signature: str, signed_by: str) -> bool:
    """Tell whether a signature is by a known key and belongs to this manifest hash."""
    return signing.verify(keyring, DOMAIN, manifest_sha256.encode(), signature=signature, signed_by=signed_by)
