"""Small secrets at rest: encrypted with a key that is not in the database, and never shown again."""

import base64
import hashlib
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

KEY_ID_CHARACTERS = 8


class Unreadable(Exception):
    """Sealed with a key that this installation does not have, or damaged."""


def seal(plain: str) -> str:
    """Encrypt text with the current key; the result names the key: ``<key id>:<token>``."""
    key_id, fernet = _key(settings.FIELD_KEY_SEED)
    return f"{key_id}:{fernet.encrypt(plain.encode()).decode()}"


def unseal(sealed: str) -> str:
    """Decrypt what `seal` made, also with a key that was current earlier.

    Raises
    ------
    Unreadable
        No key fits.
    """
    key_id, _, token = sealed.partition(":")
    for seed in (settings.FIELD_KEY_SEED, *settings.FIELD_KEY_SEEDS_OLD):
        known_id, fernet = _key(seed)
        if known_id == key_id:
            try:
                return fernet.decrypt(token.encode()).decode()
            except InvalidToken as error:
                raise Unreadable("The secret is damaged.") from error
    raise Unreadable(f"There is no key {key_id[:KEY_ID_CHARACTERS]} here; set MLPORTAL_FIELD_KEYS_OLD.")


@cache
def _key(seed: str) -> tuple[str, Fernet]:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mlportal field key 1").derive(seed.encode())
    key_id = hashlib.sha256(derived).hexdigest()[:KEY_ID_CHARACTERS]
    return key_id, Fernet(base64.urlsafe_b64encode(derived))
