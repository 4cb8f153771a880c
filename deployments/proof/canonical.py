"""One text for one value: the JSON that hashes and signatures are computed over."""

import hashlib
import json
import math

from mlportal.lib.errors import Invalid

Plain = str | int | float | bool | None | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]


def encode(value: Plain) -> bytes:
    """Write a value as canonical JSON.

    Keys are sorted, there is no white space, text is UTF-8 and numbers become strings, so that a database which
    turns ``1e22`` into an integer or ``1`` into ``1.0`` does not change the hash.

    Parameters
    ----------
    value
        Plain data: text, numbers, truth values, None, lists and dicts with text keys.

    Returns
    -------
    bytes
        UTF-8 text without a final line break.

    Raises
    ------
    Invalid
        When a number is not finite or a value is not plain data.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Plain) -> str:
    """Return the sha256 of the canonical text as 64 hexadecimal digits."""
    return hashlib.sha256(encode(value)).hexdigest()


def _plain(value: Plain) -> Plain:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return {"number": _number(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise Invalid(
        f"A {type(value).__name__} cannot be part of a sealed record.",
        code="not_plain_data",
    )


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        raise Invalid(f"The number {value} is not finite and cannot be sealed.", code="not_finite")
    return str(int(value)) if value.is_integer() else repr(value)
