"""Read what a client sent: a JSON object, or query values, with MLflow's loose spelling of types.

Proto JSON allows 64-bit numbers and doubles as text, and a list of one as a single query value. What
is not of the kind asked for is refused with the field's name; unknown fields are ignored.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from django.http import HttpRequest, QueryDict

from mlportal.lib.errors import Invalid, TooLarge

MAX_BODY_BYTES = 32 * 2**20  # a legal log-inputs call reaches 17 MB
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_WHOLE = re.compile(r"-?\d{1,19}")
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL text takes neither NUL nor half of a pair


def required(name: str) -> Invalid:
    """Return the error of a field that is not there."""
    return Invalid(f"Missing value for required parameter '{name}'.", code="required", field=name)


def wrong(name: str, got: object, wanted: str) -> Invalid:
    """Return the error of a field of the wrong kind."""
    shown = str(got)[:100]
    return Invalid(
        f"Invalid value {shown!r} for parameter '{name}' supplied: {wanted}.", code="wrong_value", field=name, got=shown
    )


class Fields:
    """The named values of one call or of one item in it.

    Parameters
    ----------
    values : dict
        As parsed; texts of a query are given with ``from_query``.
    at : str
        Where they stand, in front of field names in errors: ``"metrics[3]."``.
    """

    __slots__ = ("_at", "_query", "values")

    def __init__(self, values: dict[str, Any], *, at: str = "", query: QueryDict | None = None) -> None:
        self.values, self._at, self._query = values, at, query

    @classmethod
    def of(cls, request: HttpRequest) -> Fields:
        """Read the query of a GET, the JSON body of anything else.

        Raises
        ------
        Invalid, TooLarge
            When the body is too large, of another type, no JSON, or no object.
        """
        if request.method == "GET":
            return cls(request.GET.dict(), query=request.GET)
        if request.content_type != "application/json":
            raise Invalid("Bad Request. Content-Type must be 'application/json'.", field="Content-Type")
        body = request.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"The body is over {MAX_BODY_BYTES:,} bytes.", limit=MAX_BODY_BYTES)
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError as fault:
            raise Invalid(f"The body is not JSON: {str(fault)[:200]}.", code="bad_json") from fault
        if not isinstance(found, dict):
            raise Invalid("The body must be a JSON object.", code="wrong_type")
        return cls(found)

    def named(self, name: str) -> str:
        """Return a field's name with where it stands, for an error."""
        return self._at + name

    def text(self, name: str, default: str = "", *, limit: int = 0) -> str:
        """Return a text; absent and null give the default."""
        value = self.values.get(name)
        if value is None:
            return default
        if type(value) is not str:
            raise wrong(self._at + name, value, "it must be a string")
        if _UNSTORABLE.search(value):
            raise wrong(self._at + name, value, "it holds a NUL or a lone surrogate character")
        if limit and len(value) > limit:
            raise wrong(self._at + name, value, f"it has {len(value)} characters, at most {limit} are allowed")
        return value

    def needed(self, name: str, *, limit: int = 0) -> str:
        """Return a text that must be there and not be empty."""
        value = self.text(name, limit=limit)
        if not value:
            raise required(self._at + name)
        return value

    def whole(self, name: str, default: int | None = None) -> int | None:
        """Return a 64-bit whole number, given as a number or as text."""
        value = self.values.get(name)
        if value is None:
            return default
        if type(value) is str and _WHOLE.fullmatch(value):
            value = int(value)
        if type(value) is float and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if type(value) is not int or not INT64_MIN <= value <= INT64_MAX:
            raise wrong(self._at + name, self.values[name], "it must be a whole number of 64 bits")
        return value

    def number(self, name: str) -> float:
        """Return a double that must be there, given as a number or as text; ``"NaN"`` and infinities too."""
        value = self.values.get(name)
        if value is None:
            raise required(self._at + name)
        if type(value) is str:
            value = _WORDS[value] if value in _WORDS else _float(value)
        if type(value) not in (int, float):
            raise wrong(self._at + name, self.values[name], "it must be a number")
        try:
            return float(value)
        except OverflowError:
            raise wrong(self._at + name, value, "it is too large for a double") from None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a truth value; in a query ``true`` or ``false``."""
        value = self.values.get(name)
        if value is None:
            return default
        if type(value) is str and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if type(value) is not bool:
            raise wrong(self._at + name, value, "it must be true or false")
        return value

    def choice(self, name: str, known: dict[str, Any], default: Any = None) -> Any:
        """Return what a known word stands for; proto JSON also allows an enum's number as a key of ``known``."""
        value = self.values.get(name)
        if value is None:
            return default
        if type(value) not in (str, int) or str(value) not in known:
            raise wrong(self._at + name, value, f"known are {', '.join(k for k in known if not k.isdigit())}")
        return known[str(value)]

    def texts(self, name: str, *, limit: int = 0) -> list[str]:
        """Return a list of texts; a query repeats the name."""
        found = self._query.getlist(name) if self._query is not None else self.values.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or any(type(item) is not str for item in found):
            raise wrong(self._at + name, found, "it must be a list of strings")
        if any(_UNSTORABLE.search(item) for item in found):
            raise wrong(self._at + name, found, "it holds a NUL or a lone surrogate character")
        if limit and len(found) > limit:
            raise wrong(self._at + name, f"{len(found)} items", f"at most {limit} are allowed")
        return found

    def items(self, name: str, *, limit: int = 0) -> list[Fields]:
        """Return a list of objects, each to be read in turn."""
        found = self.values.get(name)
        if found is None:
            return []
        if not isinstance(found, list):
            raise wrong(self._at + name, found, "it must be a list")
        if limit and len(found) > limit:
            raise wrong(self._at + name, f"{len(found)} items", f"at most {limit} are allowed")
        return [self._item(name, at, item) for at, item in enumerate(found)]

    def pairs(self, name: str, *, limit: int = 0) -> dict[str, str]:
        """Return a list of ``{"key", "value"}`` as a mapping; the last value of a key wins."""
        return {item.needed("key"): item.text("value") for item in self.items(name, limit=limit)}

    def inner(self, name: str) -> Fields:
        """Return an object inside this one; it must be there."""
        value = self.values.get(name)
        if value is None:
            raise required(self._at + name)
        return self._item(name, None, value)

    def _item(self, name: str, at: int | None, item: object) -> Fields:
        where = f"{self._at}{name}" if at is None else f"{self._at}{name}[{at}]"
        if not isinstance(item, dict):
            raise wrong(where, item, "it must be an object")
        return Fields(item, at=f"{where}.")


def _float(text: str) -> float | str:
    try:
        return float(text) if len(text) <= 64 and "_" not in text else text
    except ValueError:
        return text
