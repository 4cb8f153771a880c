"""The arithmetic of the audit log: canonical text, hashes of entries and people, without a database.

The same functions serve the writer, the check of a database and the check of an export. The rules are in
``docs/reference/audit-log.md``, with golden vectors in ``tests/lib/test_chain.py``.
"""

import hashlib
import json
from typing import Any

SCHEMA = 2
GENESIS = "0" * 64
# Characters that one of the databases or UTF-8 refuses: NUL and lone surrogates.
_REFUSED = {0: "\ufffd"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def canonical(value: Any) -> bytes:
    """One text for one value: keys sorted, no white space, UTF-8, no floats.

    Raises
    ------
    TypeError
        For a float, or anything else that is not plain.
    """
    return json.dumps(_checked(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(value: Any) -> str:
    """sha256 of the canonical text, 64 hexadecimal digits."""
    return digest(canonical(value))


def digest(content: bytes) -> str:
    """sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def person(salt: str, name: str, address: str) -> str:
    """What stands in the chain for the name and address of a person: sha256 of salt, name and address.

    Without the salt nobody can guess the name from it, so erasing name, address and salt erases the person.
    """
    return sha256([salt, name, address])


def exact(value: Any) -> Any:
    """Make a value plain: floats and unknown kinds become text, so that each database gives back what it got."""
    if isinstance(value, str):
        return value.translate(_REFUSED)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, dict):
        return {exact(str(key)): exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    return repr(value) if isinstance(value, float) else exact(str(value))


def _checked(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {_name(key): _checked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_checked(item) for item in value]
    raise TypeError(f"a {type(value).__name__} has no canonical text")


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError("a key of a canonical object is a text")
    return key
