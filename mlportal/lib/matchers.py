"""Label matchers as Alertmanager writes them: ``name=value``, ``!=``, ``=~`` and ``!~``, all of a line must hold.

A pattern knows alternatives (``a|b``) and ``.*``; it is compared piece by piece, so no pattern can take long.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlportal.lib.errors import Invalid

MOST_MATCHERS = 20
MOST_TEXT = 500
SHAPE = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_.]{0,99})\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*')
SPECIAL = re.compile(r"[\\^$+?()\[\]{}*]")


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; a label that is not there counts as empty."""

    name: str
    op: str
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it."""
        given = str(labels.get(self.name, ""))
        same = fits(self.value, given) if self.op.endswith("~") else given == self.value
        return same if self.op in ("=", "=~") else not same


def fits(pattern: str, text: str) -> bool:
    """Whether a whole text fits one of the alternatives of a pattern."""
    return any(_fits_one(alternative.split(".*"), text) for alternative in pattern.split("|"))


def _fits_one(pieces: list[str], text: str) -> bool:
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def parse(text: str, *, field: str = "matchers") -> list[Matcher]:
    """Read a line of matchers with commas between them; an empty line holds for everything.

    Raises
    ------
    Invalid
        Naming the matcher that cannot be read.
    """
    if not isinstance(text, str) or len(text) > MOST_TEXT:
        raise Invalid(f"{field} is a line of at most {MOST_TEXT} characters.", field=field, limit=MOST_TEXT)
    parts = [part for part in text.strip().strip("{}").split(",") if part.strip()]
    if len(parts) > MOST_MATCHERS:
        raise Invalid(f"{field} holds {len(parts)} matchers; at most {MOST_MATCHERS}.", field=field, got=len(parts))
    return [_one(part, field) for part in parts]


def _one(part: str, field: str) -> Matcher:
    found = SHAPE.fullmatch(part)
    if found is None:
        raise Invalid(f"{part.strip()[:80]!r} is no matcher; write name=value, !=, =~ or !~.", field=field)
    name, op, value = found.groups()
    if op.endswith("~") and SPECIAL.search(value.replace(".*", "")):
        raise Invalid(f"The pattern {value[:80]!r} may hold | and .* only.", field=field, got=value[:80])
    return Matcher(name, op, value)


def line(text: object, *, field: str = "matchers") -> str:
    """Check a line of matchers and write it evenly."""
    return ", ".join(f"{one.name}{one.op}{one.value}" for one in parse(text or "", field=field))  # type: ignore[arg-type]


def lines(given: object, *, field: str) -> list[str]:
    """Check a list of lines of matchers."""
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_MATCHERS:
        raise Invalid(f"{field} is a list of at most {MOST_MATCHERS} lines of matchers.", field=field)
    return [made for made in (line(one, field=field) for one in given) if made]


def hold(text: str, labels: Mapping[str, str]) -> bool:
    """Whether every matcher of a stored line holds."""
    return all(one.holds(labels) for one in parse(text))


def any_holds(texts: Iterable[str], labels: Mapping[str, str]) -> bool:
    """Whether one of the stored lines holds."""
    return any(hold(text, labels) for text in texts)
