"""MLflow's filter and order grammar: one text to typed clauses, checked against a table of names.

``clause (AND clause)*`` with ``identifier operator value``; no OR, NOT, parentheses or comments. Keywords in
any case, entity words in lower case only. A hand-written reader: MLflow's own goes through a general SQL
tokenizer, which takes ``metrics.a > 1 AND`` for whole and fails on keys that are SQL words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlportal.lib.errors import Invalid

from .tables import Field, Table

MAX_CHARS = 262_144
MAX_CLAUSES = 100
MAX_LISTED = 10_000
MAX_ORDERS = 20
PATTERN_CHARS = 4000  # SQLite refuses longer ones
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\w+")
_KEY = re.compile(r"[\w/\-:]+(?:\.[\w/\-:]+)*")
_QUOTED_KEY = re.compile(r"`([^`]*)`|\"([^\"]*)\"|'([^']*)'")
_VALUE = re.compile(r"'((?:''|[^'])*+)'|\"((?:\"\"|[^\"])*+)\"")  # a doubled quote stays doubled
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])", re.ASCII)
_QUOTED_WHOLE = re.compile(r"(['\"])(-?[0-9]+)\1")
_OPERATOR = re.compile(r">=|<=|!=|=|>|<|(?:NOT\s+IN|IN|ILIKE|LIKE|IS\s+NOT\s+NULL|IS\s+NULL)(?!\w)", re.IGNORECASE)
_AND = re.compile(r"AND(?!\w)", re.IGNORECASE)
_WAY = re.compile(r"\s+(ASC|DESC)\s*", re.IGNORECASE)

Value = str | float | int | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison.

    ``entity`` is metric, param, tag, attribute or dataset; ``key`` the field's own name (aliases are resolved);
    ``operator`` in capitals; ``value`` a number, a text, a tuple of texts (IN), or None (IS NULL).
    """

    entity: str
    key: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One thing to order by."""

    entity: str
    key: str
    descending: bool = False


def parse(text: str, table: Table) -> tuple[Clause, ...]:
    """Read a filter.

    Parameters
    ----------
    text : str
        Empty means no filter; blanks only are refused.
    table : Table
        The names that may be asked for.

    Returns
    -------
    tuple of Clause
        In the order written; all must hold.

    Raises
    ------
    Invalid
        With the place and what was expected there.

    Examples
    --------
    >>> from experiments.mlflow.search import tables
    >>> parse("metrics.auc >= .5 AND tags.`dataset` LIKE 'v%'", tables.RUNS)
    (Clause(entity='metric', key='auc', operator='>=', value=0.5), \
Clause(entity='tag', key='dataset', operator='LIKE', value='v%'))
    >>> parse("run_id IN ('a', 'b')", tables.RUNS)
    (Clause(entity='attribute', key='run_id', operator='IN', value=('a', 'b')),)
    """
    if not text:
        return ()
    _check_text(text, "filter")
    reader = _Reader(text, table)
    found = [reader.clause()]
    while reader.more():
        if len(found) == MAX_CLAUSES:
            raise reader.fail(f"at most {MAX_CLAUSES} clauses are allowed")
        reader.keyword_and()
        found.append(reader.clause())
    return tuple(found)


def order(items: Sequence[str], table: Table) -> tuple[OrderItem, ...]:
    """Read the items of an ``order_by``: an identifier, then perhaps ASC or DESC.

    Raises
    ------
    Invalid
        If an item cannot be read, is not to be ordered by, or comes twice.

    Examples
    --------
    >>> from experiments.mlflow.search import tables
    >>> order(["metrics.auc DESC", "start_time"], tables.RUNS)
    (OrderItem(entity='metric', key='auc', descending=True), \
OrderItem(entity='attribute', key='start_time', descending=False))
    """
    if len(items) > MAX_ORDERS:
        raise Invalid(f"order_by has {len(items)} items, at most {MAX_ORDERS} are allowed.", field="order_by")
    found: list[OrderItem] = []
    for text in items:
        _check_text(text, "order_by")
        item = _Reader(text, table, what="order_by").order_item()
        if any((item.entity, item.key) == (other.entity, other.key) for other in found):
            raise Invalid(f"order_by names {text[:100]!r} twice.", code="order_twice", field="order_by")
        found.append(item)
    return tuple(found)


def order_key(name: str, table: Table, *, descending: bool = False) -> OrderItem:
    """Read one name to order by where the way is said elsewhere, as logged models do it."""
    _check_text(name, "order_by")
    item = _Reader(name, table, what="order_by").order_item(way=False)
    return OrderItem(item.entity, item.key, descending)


def _check_text(text: str, what: str) -> None:
    if len(text) > MAX_CHARS:
        raise Invalid(f"The {what} has {len(text)} characters; at most {MAX_CHARS} are allowed.", field=what)
    if _UNSTORABLE.search(text):
        raise Invalid(f"The {what} holds a NUL or a lone surrogate character.", field=what)


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, table: Table, *, what: str = "filter") -> None:
        self.text, self.table, self.what = text, table, what
        self.at = 0

    def fail(self, expected: str) -> Invalid:
        near = self.text[self.at : self.at + 40] or "its end"
        message = f"Invalid {self.what} {self.text[:200]!r}: {expected}, at character {self.at + 1} near {near!r}."
        return Invalid(message, code=f"bad_{self.what}", field=self.what)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def more(self) -> bool:
        self.take(_SPACE)
        return self.at < len(self.text)

    def keyword_and(self) -> None:
        if not self.text[self.at - 1].isspace() and self.text[self.at - 1] not in "'\"`)":
            raise self.fail("expected a space before AND")
        if not self.take(_AND):
            raise self.fail("expected AND between two clauses")

    def clause(self) -> Clause:
        self.take(_SPACE)
        entity, field, key = self.identifier()
        self.take(_SPACE)
        start = self.at
        operator = " ".join((self._needed(_OPERATOR, "expected a comparison").group()).upper().split())
        if operator not in field.operators or not field.filters:
            self.at = start
            known = ", ".join(field.operators) if field.filters else "none: it is only to be ordered by"
            raise self.fail(f"{entity} {key[:100]!r} does not know {operator}; known are {known}")
        self.take(_SPACE)
        return Clause(entity, key, operator, self._value(field, operator))

    def order_item(self, *, way: bool = True) -> OrderItem:
        self.take(_SPACE)
        entity, field, key = self.identifier()
        if not field.orders:
            raise self.fail(f"{self.table.name}s cannot be ordered by {entity} {key[:100]!r}")
        found = self.take(_WAY) if way else None
        self.take(_SPACE)
        if self.at < len(self.text):
            raise self.fail("expected nothing, ASC or DESC after the name")
        return OrderItem(entity, key, bool(found) and found.group(1).upper() == "DESC")  # type: ignore[union-attr]

    def identifier(self) -> tuple[str, Field, str]:
        """Read ``entity.key`` or a bare attribute; return the entity's name, the field and its own key."""
        start = self.at
        word = self.take(_QUOTED_KEY) or self.take(_WORD)
        if not word:
            raise self.fail("expected a name")
        first = _inside(word) if word.re is _QUOTED_KEY else word.group()
        if not self.text.startswith(".", self.at):
            return self._known(start, "", first)
        if word.re is _QUOTED_KEY and not word.group().startswith("`"):
            raise self.fail("expected a comparison")
        self.at += 1
        key = self.take(_QUOTED_KEY) or self.take(_KEY)
        if not key:
            raise self.fail(f"expected a key after {first[:100]!r} and the dot")
        return self._known(start, first, _inside(key) if key.re is _QUOTED_KEY else key.group())

    def _known(self, start: int, word: str, key: str) -> tuple[str, Field, str]:
        entity = self.table.entities.get(word) if word else self.table.attributes
        field = entity.find(key) if entity and key else None
        if entity and field:
            return entity.name, field, key if field is entity.anything else field.name
        self.at = start
        if not entity:
            raise self.fail(f"Invalid entity type {word[:100]!r}, known are {', '.join(self.table.entities)}")
        raise self.fail(f"Invalid {entity.name} key {key[:100]!r} specified, known are {', '.join(entity.fields)}")

    def _value(self, field: Field, operator: str) -> Value:
        if operator.startswith("IS"):
            return None
        if operator.endswith("IN"):
            return self._list()
        if field.is_number:
            return self._number(field)
        start = self.at
        value = _inside(self._needed(_VALUE, "expected a quoted string value"))
        if operator.endswith("LIKE") and len(value) > PATTERN_CHARS:
            self.at = start
            raise self.fail(f"a pattern has at most {PATTERN_CHARS} characters")
        return value

    def _number(self, field: Field) -> float | int:
        start = self.at
        quoted = self.take(_QUOTED_WHOLE) if field.is_quoted else None
        text = quoted[2] if quoted else self._needed(_NUMBER, "expected a numeric value").group()
        is_whole = text.removeprefix("-").isdigit()
        value: float | int = float(text) if field.name == "metric" or not is_whole else int(text[:40])
        wrong = isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX
        if wrong or (field.is_whole and not is_whole):
            self.at = start
            raise self.fail("expected a whole number of 64 bits")
        return value

    def _list(self) -> tuple[str, ...]:
        self._needed(_OPEN, "expected a list in parentheses")
        found = [_inside(self._needed(_VALUE, "expected a quoted string value in the list"))]
        while not self.take(_CLOSE):
            self._needed(_COMMA, "expected a comma or the end of the list")
            if self.take(_CLOSE):  # a comma before the end, as Python writes a tuple of one
                break
            found.append(_inside(self._needed(_VALUE, "expected a quoted string value in the list")))
            if len(found) > MAX_LISTED:
                raise self.fail(f"a list has at most {MAX_LISTED} values")
        return tuple(found)

    def _needed(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = self.take(pattern)
        if not found:
            raise self.fail(expected)
        return found


_OPEN = re.compile(r"\(\s*")
_COMMA = re.compile(r"\s*,\s*")
_CLOSE = re.compile(r"\s*\)")


def _inside(found: re.Match[str]) -> str:
    return next(group for group in found.groups() if group is not None)
