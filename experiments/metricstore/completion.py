"""Where the cursor stands in a filter that is being written: at a name, or at a value of one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .language import ENTITIES
from .meaning import ATTRIBUTES

LOOK_BACK = 500
_BEFORE = r"(?:^|[\s(])-?"
_KEY = r"(?P<entity>(?:metrics?|params?|parameters?|tags?|attributes?|attr|run)\.)?"
_PLAIN = r"[^\s<>=!:~|,()\"'`]"
_NAME = re.compile(rf"{_BEFORE}(?P<all>{_KEY}(?P<name>[\"`][^\"`]*|{_PLAIN}*))$")
_WRITTEN = rf"{_KEY}(?P<name>\"[^\"]*\"|`[^`]*`|{_PLAIN}+)"
_OPERATOR = r"\s*(?P<op>:\s*(?:>=|<=|>|<)|>=|<=|!=|=|>|<|:|~)\s*"
_IN = r"\s+(?:NOT\s+)?IN\s*\((?:[^()]*,)?\s*"
_DONE = r"(?:(?:\"[^\"]*\"|'[^']*'|[^\s|,()\"']*)\|)*"
_LAST = r"(?P<all>\"(?P<double>[^\"]*)|'(?P<single>[^']*)|(?P<value>[^\s\"'|,()]*))$"
_VALUE = re.compile(rf"{_BEFORE}{_WRITTEN}(?:{_OPERATOR}{_DONE}|{_IN}){_LAST}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spot:
    """What is being written.

    ``kind`` is name or value; ``entity`` says what the name is (bare where nothing says so), ``key`` is the name
    of a value; ``text`` is what has been written of it, and ``start`` where that begins.
    """

    kind: str
    entity: str
    key: str
    text: str
    start: int
    operator: str = ""


def spot(text: str, at: int) -> Spot | None:
    """Return what is being written before the place `at`; None inside something that cannot be completed."""
    skipped = max(0, at - LOOK_BACK)
    before = text[skipped:at]
    found = _VALUE.search(before)
    if found:
        key = _unquoted(found["name"])
        written = next(part for part in (found["double"], found["single"], found["value"]) if part is not None)
        start = skipped + found.start("all")
        return Spot("value", _entity(found["entity"], key), key, written, start, (found["op"] or "").strip())
    found = _NAME.search(before)
    if not found:
        return None
    name = found["name"].lstrip('"`')
    return Spot("name", _entity(found["entity"], ""), "", name, skipped + found.start("all"))


def _unquoted(name: str) -> str:
    return name[1:-1].replace(name[0] * 2, name[0]) if name[0] in '"`' else name


def _entity(written: str | None, key: str) -> str:
    """metric, param, tag, bare, or the attribute that the name is."""
    entity = ENTITIES.get((written or "").rstrip("."), "bare")
    if entity in ("bare", "attribute") and key.lower() in ATTRIBUTES:
        return ATTRIBUTES[key.lower()]
    return "tagged" if entity == "bare" and key == "tag" else entity
