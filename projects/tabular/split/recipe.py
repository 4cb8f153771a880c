"""How to split, read from plain JSON. Loads nothing heavy: pages use it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlportal.lib.errors import Invalid

KINDS = ("random", "stratified", "time", "group")
PARTS = ("train", "validation", "test")
FIELDS = ("kind", "test_share", "validation_share", "seed", "column", "balance")
LEAST, MOST, MAX_SEED = 0.01, 0.9, 2**32 - 1
NEEDS_COLUMN = ("stratified", "group")


@dataclass(frozen=True)
class Recipe:
    """A checked way to split.

    Parameters
    ----------
    kind : str
        ``random``, ``stratified``, ``time`` or ``group``.
    test_share, validation_share : float
        Shares of the rows (of the groups for ``group``); 0 for no validation part.
    seed : int
        Start of the random choice.
    column : str
        Labels, dates or groups; empty for row order with ``time``, unused for ``random``.
    balance : str
        Column whose shares are reported for each part; chosen when empty.
    """

    kind: str
    test_share: float = 0.2
    validation_share: float = 0.0
    seed: int = 0
    column: str = ""
    balance: str = ""

    @property
    def sentence(self) -> str:
        """The recipe in words."""
        of = "groups" if self.kind == "group" else "rows"
        how = {
            "random": "drawn at random",
            "stratified": f"with equal shares of {self.column}",
            "time": f"the latest by {self.column}" if self.column else "the last in the file",
            "group": f"with each {self.column} in one part",
        }[self.kind]
        held = f"{self.test_share * 100:g}% of the {of} to test"
        if self.validation_share:
            held += f", {self.validation_share * 100:g}% to validate"
        return f"{held}, {how}"

    def params(self) -> dict[str, Any]:
        """JSON form without kind and seed."""
        return {"test_share": self.test_share, "validation_share": self.validation_share, "column": self.column,
                "balance": self.balance}  # fmt: skip


def held_out(rows: int, share: float) -> int:
    """As many rows as scikit-learn holds out; a share such as 0.2 of 10 is 2, whatever the floats say."""
    return math.ceil(round(rows * share, 9))


def read(given: object, schema: Sequence[Mapping[str, Any]]) -> Recipe:
    """Check a recipe against the columns of a version.

    Raises
    ------
    Invalid
        Naming the field, what came, and what is allowed.
    """
    if not isinstance(given, Mapping):
        raise _fail("kind", "A split must be an object with kind and test_share.", None)
    if unknown := [str(name) for name in given if name not in FIELDS]:
        raise _fail(unknown[0][:100], f"There is no field {unknown[0][:50]!r}. Fields: {', '.join(FIELDS)}.", None)
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _fail("kind", f"kind was {str(kind)[:50]!r}. Allowed: {', '.join(KINDS)}.", str(kind)[:50], list(KINDS))
    test = _share(given, "test_share", 0.2, least=LEAST)
    validation = _share(given, "validation_share", 0.0, least=0.0)
    if test + validation > MOST:
        raise _fail("validation_share", f"Test and validation together take {test + validation:.0%}; at most 90% may "
                    "be held out.", test + validation, MOST)  # fmt: skip
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in schema}
    column, balance = (_column(given, name, kinds) for name in ("column", "balance"))
    if kind in NEEDS_COLUMN and not column:
        raise _fail("column", f"column is missing. A {kind} split needs one.", None, list(kinds))
    if kind == "time" and column and kinds[column] not in ("datetime", "integer", "numeric"):
        raise _fail("column", f"{column} holds neither dates nor numbers. Leave it empty for row order.", column)
    return Recipe(kind, test, validation, _seed(given), "" if kind == "random" else column, balance)


def _share(given: Mapping[str, Any], name: str, usual: float, *, least: float) -> float:
    value = given.get(name, usual)
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not right or not (least <= value <= MOST):
        raise _fail(name, f"{name} was {str(value)[:50]!r}. It is a share from {least:g} to {MOST:g}.",
                    str(value)[:50], [least, MOST])  # fmt: skip
    return float(value)


def _seed(given: Mapping[str, Any]) -> int:
    value = given.get("seed", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise _fail("seed", f"seed was {str(value)[:50]!r}. It is a whole number from 0 to {MAX_SEED}.",
                    str(value)[:50], MAX_SEED)  # fmt: skip
    return value


def _column(given: Mapping[str, Any], name: str, kinds: dict[str, str]) -> str:
    value = given.get(name) or ""
    if not isinstance(value, str) or (value and value not in kinds):
        shown = ", ".join(list(kinds)[:12]) + (" …" if len(kinds) > 12 else "")
        raise _fail(
            name, f"There is no column {str(value)[:50]!r}. Columns: {shown}.", str(value)[:50], list(kinds)[:50]
        )
    return value


def _fail(field: str, message: str, got: Any, limit: Any = None) -> Invalid:
    return Invalid(message, code="split_invalid", field=field, got=got, limit=limit)
