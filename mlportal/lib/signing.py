"""Ed25519 keys of this installation: one that signs, held outside the database, and every public half it ever had."""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mlportal.lib.errors import Unavailable

_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
_PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Keyring:
    """The key that signs now, and every public key that ever did."""

    private: Ed25519PrivateKey
    publics: dict[str, Ed25519PublicKey]

    @property
    def key_id(self) -> str:
        """Return the id of the signing key: the first 16 digits of the sha256 of its public half."""
        return key_id(self.private.public_key())


def key_id(public: Ed25519PublicKey) -> str:
    """Return the id of a public key: the first 16 hexadecimal digits of the sha256 of its 32 bytes."""
    return hashlib.sha256(public.public_bytes(*_RAW)).hexdigest()[:16]


def sign(keyring: Keyring, domain: bytes, message: bytes) -> str:
    """Sign a message that belongs to a domain, so that a signature made for one purpose fits no other.

    Returns
    -------
    str
        The 64-byte signature in base64.

    References
    ----------
    RFC 8032, section 5.1.6.
    """
    return base64.b64encode(keyring.private.sign(domain + message)).decode()


def verify(keyring: Keyring, domain: bytes, message: bytes, *, signature: str, signed_by: str) -> bool:
    """Tell whether a signature is by a known key and belongs to this message.

    References
    ----------
    RFC 8032, section 5.1.7.
    """
    public = keyring.publics.get(signed_by)
    if public is None:
        return False
    try:
        public.verify(base64.b64decode(signature, validate=True), domain + message)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def derive(secret: str) -> Ed25519PrivateKey:
    """Derive the signing key from the installation's secret, so that every process of it signs alike.

    References
    ----------
    RFC 5869 (HKDF with SHA-256), RFC 8032, section 5.1.5.
    """
    expand = HKDF(
        algorithm=SHA256(),
        length=32,
        salt=None,
        info=b"mlportal manifest signing key 1",
    )
    return Ed25519PrivateKey.from_private_bytes(expand.derive(secret.encode()))


def keyring(secret: str, folder: Path) -> Keyring:
    """Return the signing key of this installation and every public key it ever used.

    Public halves are kept as ``<key id>.pub``, so a changed secret leaves old signatures valid.

    Parameters
    ----------
    secret
        The secret text of the installation, at least 32 characters.
    folder
        Where the public halves live; made on first use.

    Raises
    ------
    Unavailable
        When a file in the folder is not an Ed25519 public key.
    """
    private = derive(secret)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _publish(folder, private.public_key())
    return Keyring(private, {path.stem: _public(path) for path in sorted(folder.glob("*.pub"))})


def public_pem(keyring: Keyring, wanted: str) -> str:
    """Return a public key as PEM text, so that a signature can be checked on another machine."""
    return keyring.publics[wanted].public_bytes(*_PEM).decode()


def _publish(folder: Path, public: Ed25519PublicKey) -> None:
    target = folder / f"{key_id(public)}.pub"
    if target.exists():
        return
    draft = folder / f".{target.name}.{os.urandom(4).hex()}"
    draft.write_bytes(public.public_bytes(*_PEM))
    draft.rename(target)


def _public(path: Path) -> Ed25519PublicKey:
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise Unavailable(f"{path.name} is not a public key in PEM form.", code="signing_key") from error
    if not isinstance(public, Ed25519PublicKey) or key_id(public) != path.stem:
        raise Unavailable(f"{path.name} is not the Ed25519 key it is named for.", code="signing_key")
    return public


def public_ring(*pems: bytes) -> Keyring:
    """Return a ring that only verifies, with these public keys; what it would sign with belongs to nobody.

    Raises
    ------
    ValueError
        When one is not an Ed25519 public key in PEM form.
    """
    publics = {}
    for text in pems:
        public = serialization.load_pem_public_key(text)
        if not isinstance(public, Ed25519PublicKey):
            raise ValueError("the key is not an Ed25519 public key")
        publics[key_id(public)] = public
    return Keyring(Ed25519PrivateKey.generate(), publics)
