"""The opaque word between two pages: where to go on, bound to what was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import TypeVar

from django.db.models import Model, QuerySet

from mlportal.lib.errors import Invalid

Scalar = str | int | float | None
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_MAX_CHARS = 20_000
_Row = TypeVar("_Row", bound=Model)


def write(place: Sequence[Scalar], *asked: object) -> str:
    """Make the token of the next page.

    Parameters
    ----------
    place : sequence of str, int, float or None
        Where the next page starts.
    asked : objects with a stable ``repr``
        Filter, order and whatever else must be asked again in the same way.

    Examples
    --------
    >>> read(write([0.5, "ab"], "filter", "order"), "filter", "order")
    [0.5, 'ab']
    """
    packed = json.dumps([_pin(asked), *place], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read(text: str, *asked: object) -> list[Scalar] | None:
    """Return the place in a token, None for an empty one.

    Raises
    ------
    Invalid
        If it is no token, or the token of another question.
    """
    if not text:
        return None
    try:
        if len(text) > _MAX_CHARS:
            raise ValueError(text[:20])
        pin, *place = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if pin != _pin(asked) or not all(_storable(item) for item in place):
            raise ValueError(text[:20])
    except (ValueError, TypeError, RecursionError):
        raise foreign() from None
    return place


def foreign() -> Invalid:
    """Return the error of a token that is not ours for this question."""
    message = "Invalid page token: it does not belong to this search. Repeat filter and order of the first page."
    return Invalid(message, code="bad_token", field="page_token")


def page(rows: QuerySet[_Row], size: int, text: str, *asked: object) -> tuple[list[_Row], str]:
    """Return one page of ordered rows and the token of the next, empty after the last.

    Counts rows that were passed: right for lists of names, of which there are few; runs go by place.
    """
    place = read(text, *asked)
    start = place[0] if place else 0
    if type(start) is not int or start < 0:
        raise foreign()
    found = list(rows[start : start + size + 1])
    return found[:size], write([start + size], *asked) if len(found) > size else ""


def _pin(asked: Sequence[object]) -> str:
    return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _storable(item: object) -> bool:
    """Whether a database takes it as a parameter."""
    if isinstance(item, str):
        return not _UNSTORABLE.search(item)
    if type(item) is int:
        return -(2**63) <= item < 2**63
    return item is None or (type(item) is float and not math.isnan(item))
