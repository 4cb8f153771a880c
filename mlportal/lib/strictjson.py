"""Parse JSON that a stranger sent: bounded depth, no duplicate keys, no NaN, no half characters."""

import json
import re
from typing import Any

from mlportal.lib.errors import Invalid

MAX_DEPTH = 32
# Possessive, and an unclosed string matches too: the scan stays linear on any input.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def loads(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a JSON text.

    Raises
    ------
    Invalid
        With the position or the key at fault.
    """
    check_depth(body, max_depth)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not UTF-8: byte {error.start} cannot be read.", code="bad_encoding") from error
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise Invalid(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", code="bad_json"
        ) from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise Invalid("A number in the body has too many digits.", code="bad_json") from error
    check_text(value)
    return value


def check_depth(body: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Refuse a text nested deeper than ``max_depth`` before any parser recurses into it."""
    depth = 0
    for token in _TOKENS.finditer(body):
        first = token.group()[0]
        if first in b"[{":
            depth += 1
            if depth > max_depth:
                raise Invalid(f"The body is nested deeper than {max_depth} levels.", code="too_deep", limit=max_depth)
        elif first in b"]}":
            depth -= 1


def check_text(value: Any, path: str = "") -> None:
    """Refuse NUL and lone surrogates anywhere in a parsed value, naming the path."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise Invalid(f"{path or 'The body'} holds a NUL or half of a character.", code="bad_text", field=path)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key, f"{path}.{key}".strip(".")[:200].encode("ascii", "replace").decode())
            check_text(item, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            check_text(item, f"{path}[{position}]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Invalid(f"The key {twice[:100]!r} stands twice in one object.", code="duplicate_key", field=twice[:100])
    return found


def _constant(name: str) -> Any:
    raise Invalid(f"{name} is not allowed in JSON; send null or a quoted value.", code="bad_number", got=name)
