"""Columns of a runs table as text: what stands in ``cols``, ``agg`` and ``group`` of an address.

``m~auc`` is a metric, ``m~auc@max`` its greatest value, ``m~auc~`` its curve; ``p~depth`` a parameter, ``t~team`` a
tag, ``c~user`` a fact of the run. A leading ``!`` pins, then digits are a width in pixels: ``!240p~depth``. In a name,
the four signs of this language and the percent sign are written as in addresses: ``%2C``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from experiments import metricstore
from mlportal.lib.errors import Invalid

from .metrics import higher_is_better

MAX_COLUMNS = 40
MAX_GROUPS = 2
NARROWEST, WIDEST = 48, 800  # pixels
NAMED = 3  # wrong columns that a refusal quotes
CONTEXT = {
    "state": "State", "data": "Data", "user": "By", "started": "Started", "ended": "Ended", "took": "Took",
    "name": "Name", "source": "Source", "experiment": "Experiment",
}  # fmt: skip
DEFAULT_CONTEXT = ("data", "user", "started", "took")
AGGREGATES = ("last", "best", "min", "max")
_ESCAPED = re.compile(r"[%,~@!]")
_PARTS = re.compile(r"(!?)([1-9][0-9]{1,2})?([mptc])~(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One column: ``kind`` is m, p, t or c; ``agg`` is empty where the page's aggregate holds.

    ``width`` is in pixels, 0 where the column is as wide as what it shows.
    """

    kind: str
    name: str
    agg: str = ""
    curve: bool = False
    pinned: bool = False
    width: int = 0

    @property
    def text(self) -> str:
        """How the address writes it, without pin and width."""
        end = "~" if self.curve else f"@{self.agg}" if self.agg else ""
        return f"{self.kind}~{_written(self.name)}{end}"

    @property
    def whole_text(self) -> str:
        """How the address writes it."""
        return f"{'!' if self.pinned else ''}{self.width or ''}{self.text}"


def read(text: str) -> list[Token]:
    """Read ``cols``; what is no column is left out, as is what comes twice or after the fortieth."""
    found: dict[str, Token] = {}
    for part in text.split(","):
        token = one(part)
        if token is not None and len(found) < MAX_COLUMNS:
            found.setdefault(token.text, token)
    return list(found.values())


def checked(text: str) -> list[Token]:
    """Read ``cols`` for a program, which is told what is wrong.

    Raises
    ------
    Invalid
        If a part is no column, or there are more than 40.
    """
    for fault in faults(text):
        raise fault
    return read(text)


def faults(text: str) -> list[Invalid]:
    """What is wrong with ``cols``: too many, or the first part that is no column."""
    parts, found = [part for part in text.split(",") if part], []
    if len(parts) > MAX_COLUMNS:
        found.append(Invalid(f"At most {MAX_COLUMNS} columns.", field="cols", limit=MAX_COLUMNS, got=len(parts)))
    wrong = [part for part in parts if one(part) is None]
    if wrong:
        listed = ", ".join(repr(part[:60]) for part in wrong[:NAMED])
        found.append(Invalid(
            f"{listed} {'is' if len(wrong) == 1 else 'are'} no column{'s' if wrong[1:] else ''};"
            " write m~metric, m~metric@max, p~parameter, t~tag or c~state,"
            f" and in front of it a width of {NARROWEST} to {WIDEST} pixels or nothing.",
            field="cols", got=wrong[0][:60], limit=", ".join(["m~", "p~", "t~", *(f"c~{name}" for name in CONTEXT)]),
        ))  # fmt: skip
    return found


def one(text: str) -> Token | None:
    """Read one column, None if it is none."""
    parts = _PARTS.fullmatch(text)
    if parts is None or "\0" in unquote(parts[4]):
        return None
    pinned, width, kind, rest = bool(parts[1]), int(parts[2] or 0), parts[3], parts[4]
    if width and not NARROWEST <= width <= WIDEST:
        return None
    if kind != "m":
        name = unquote(rest)
        return Token(kind, name, pinned=pinned, width=width) if kind != "c" or name in CONTEXT else None
    if rest.endswith("~"):
        return Token("m", unquote(rest[:-1]), curve=True, pinned=pinned, width=width) if rest[:-1] else None
    name, _, agg = rest.partition("@")
    if not name or (agg and agg not in AGGREGATES and step_of(agg) is None):
        return None
    return Token("m", unquote(name), agg, pinned=pinned, width=width)


def written(tokens: Sequence[Token]) -> str:
    """Write ``cols``."""
    return ",".join(token.whole_text for token in tokens)


def aggregate(text: str) -> str:
    """Check ``agg``: last, best, min, max or step:n; empty means last.

    Raises
    ------
    Invalid
        If it is none of these.
    """
    if not text or text in AGGREGATES or step_of(text) is not None:
        return text or "last"
    allowed = [*AGGREGATES, "step:<number>"]
    raise Invalid(f"{text[:60]!r} is no aggregate; use last, best, min, max or step:<number>.",
                  field="agg", got=text[:60], limit=", ".join(allowed))  # fmt: skip


def step_of(agg: str) -> int | None:
    """The step of ``step:<n>``, None for any other aggregate."""
    return metricstore.step_of(agg)


def settled(agg: str, metric: str) -> str:
    """Turn "best" into the end of a metric's range that is better."""
    return ("max" if higher_is_better(metric) else "min") if agg == "best" else agg


def changed(tokens: Sequence[Token], change: str) -> list[Token]:
    """Apply one change to the columns shown.

    Parameters
    ----------
    tokens : sequence of Token
    change : str
        ``show:``, ``hide:``, ``pin:``, ``unpin:``, ``left:`` or ``right:`` and a column. What cannot be done,
        such as moving the first further left, changes nothing.
    """
    verb, _, rest = change.partition(":")
    token, found = one(rest), list(tokens)
    if token is None:
        return found
    at = next((i for i, known in enumerate(found) if known.text == token.text), None)
    if at is None:
        return [*found, token][:MAX_COLUMNS] if verb == "show" else found
    if verb == "hide":
        del found[at]
    elif verb in ("pin", "unpin"):
        found[at] = replace(found[at], pinned=verb == "pin")
    elif verb in ("left", "right"):
        to = at + (1 if verb == "right" else -1)
        if 0 <= to < len(found):
            found[at], found[to] = found[to], found[at]
    return found


def _written(name: str) -> str:
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", name)
