"""The filter language of runs: one line of text to a tree of conditions.

Two spellings, one grammar. The page's own: ``auc>0.87 (algorithm:ridge|svm or -tag:old) started:<7d "free text"``;
MLflow's: ``metrics.auc > 0.87 and params.max_depth = "8"``. A space or ``and`` means and, ``or`` binds looser,
``|`` joins values of one condition, a leading ``-`` or ``not`` means not, parentheses group. Everything is checked
against allow-lists; an error knows its place in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .meaning import Clause, Condition, FilterError, Group, Node, Span, Word, condition

MAX_CHARS = 4000
MAX_CONDITIONS = 40
MAX_DEPTH = 20
ENTITIES = {
    **dict.fromkeys(("metrics", "metric"), "metric"),
    **dict.fromkeys(("params", "param", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tags", "tag"), "tag"),
    **dict.fromkeys(("attributes", "attribute", "attr", "run"), "attribute"),
}
WORD_END = re.compile(r"[\s<>=!:~|,()\"'`]")
VALUE_END = re.compile(r"[\s|,()\"'`]")
SYMBOL = re.compile(r"\s*(:\s*(?:>=|<=|>|<)|>=|<=|!=|=|>|<|:|~)\s*")
WORDS = re.compile(r"\s+(NOT\s+IN|IN|ILIKE|LIKE|IS\s+NOT\s+NULL|IS\s+NULL)(?=\s|\(|\)|$)\s*", re.IGNORECASE)
_JOIN = re.compile(r"(and|or)(?=[\s()]|$)", re.IGNORECASE)
_NOT = re.compile(r"-|not(?=[\s(]|$)", re.IGNORECASE)


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0
    conditions: int = 0
    depth: int = 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    @property
    def done(self) -> bool:
        return self.at >= len(self.text)

    @property
    def char(self) -> str:
        return self.text[self.at] if not self.done else ""

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def fail(self, message: str, start: int) -> FilterError:
        return FilterError(message, start, max(self.at, start + 1))


def parse(text: str) -> tuple[Node, ...]:
    """Read a filter line.

    Parameters
    ----------
    text : str
        At most 4,000 characters, 40 conditions and 20 parentheses deep; blank means no condition.

    Returns
    -------
    tuple of Condition or Group
        In the order written; all must hold.

    Raises
    ------
    FilterError
        With a message for the user and the place of the wrong token.
    """
    if len(text) > MAX_CHARS:
        raise FilterError(f"The filter has {len(text)} characters; at most {MAX_CHARS} are allowed.", 0, len(text))
    if "\0" in text:
        raise FilterError("The filter contains a NUL character.", text.index("\0"), text.index("\0") + 1)
    scanner = _Scanner(text)
    scanner.skip()
    if scanner.done:
        return ()
    whole = _any(scanner)
    if scanner.char:  # only a parenthesis ends a line early
        raise FilterError("This parenthesis was never opened.", scanner.at, scanner.at + 1)
    if isinstance(whole, Group) and whole.op == "and" and whole.span[0] < 0:
        return whole.parts
    return (whole,)


def clauses(nodes: tuple[Node, ...]) -> list[Condition]:
    """Return all conditions of a tree, in the order written."""
    out: list[Condition] = []
    for node in nodes:
        out += clauses(node.parts) if isinstance(node, Group) else [node]
    return out


def pieces(text: str) -> list[str]:
    """Cut a filter into parts that all must hold; put side by side they mean the same again.

    Raises
    ------
    FilterError
        If the filter cannot be read.
    """
    found = parse(text)
    if len(found) == 1 and isinstance(found[0], Group) and found[0].span[0] < 0:
        return [f"({text.strip()})"]
    return [text[node.span[0] : node.span[1]] for node in found]


def _any(scanner: _Scanner) -> Node:
    """Conditions joined by ``or``; a group without parentheses has no place of its own: (-1, -1)."""
    parts = [_all(scanner)]
    while (word := _joint(scanner, "or")) is not None:
        _needs_condition(scanner, word, "or")
        parts.append(_all(scanner))
    return parts[0] if len(parts) == 1 else Group("or", tuple(parts), negated=False, span=(-1, -1))


def _all(scanner: _Scanner) -> Node:
    parts = [_not(scanner)]
    while True:
        scanner.skip()
        word = _joint(scanner, "and")
        if word is not None:
            _needs_condition(scanner, word, "and")
        elif scanner.done or scanner.char == ")" or _JOIN.match(scanner.text, scanner.at):
            break
        elif not scanner.text[scanner.at - 1].isspace() and scanner.text[scanner.at - 1] != ")":
            raise scanner.fail("Put a space between two conditions.", scanner.at)
        parts.append(_not(scanner))
    return parts[0] if len(parts) == 1 else Group("and", tuple(parts), negated=False, span=(-1, -1))


def _joint(scanner: _Scanner, wanted: str) -> Span | None:
    """Take the word ``and`` or ``or`` if it stands here."""
    scanner.skip()
    found = _JOIN.match(scanner.text, scanner.at)
    if not found or found.group(1).lower() != wanted:
        return None
    scanner.at = found.end()
    return found.span(1)


def _needs_condition(scanner: _Scanner, word: Span, said: str) -> None:
    scanner.skip()
    if scanner.done or scanner.char == ")":
        raise FilterError(f"A condition is missing after '{said}'.", *word)


def _not(scanner: _Scanner) -> Node:
    """One condition or group, with what turns it around in front."""
    scanner.skip()
    start = scanner.at
    joint = _JOIN.match(scanner.text, start)
    if joint:
        raise FilterError(f"A condition is missing before '{joint.group(1).lower()}'.", *joint.span(1))
    negated = False
    while turn := scanner.match(_NOT):
        if turn.group() != "-":
            _needs_condition(scanner, turn.span(), "not")
        negated = not negated
    return _group(scanner, start, negated=negated) if scanner.char == "(" else _clause(scanner, start, negated=negated)


def _group(scanner: _Scanner, start: int, *, negated: bool) -> Node:
    opened = scanner.at
    scanner.at += 1
    scanner.depth += 1
    if scanner.depth > MAX_DEPTH:
        raise scanner.fail(f"At most {MAX_DEPTH} parentheses may be open.", opened)
    scanner.skip()
    if scanner.char == ")":
        raise FilterError("There is nothing between these parentheses.", opened, scanner.at + 1)
    if scanner.done:
        raise scanner.fail("This parenthesis is not closed.", opened)
    inside = _any(scanner)
    if scanner.char != ")":
        raise FilterError("This parenthesis is not closed.", opened, opened + 1)
    scanner.at += 1
    scanner.depth -= 1
    span = (start, scanner.at)
    if isinstance(inside, Group) and inside.span[0] < 0:
        return Group(inside.op, inside.parts, negated, span)
    return Group("and", (inside,), negated, span)


def _clause(scanner: _Scanner, start: int, *, negated: bool) -> Node:
    if scanner.conditions == MAX_CONDITIONS:
        raise scanner.fail(f"At most {MAX_CONDITIONS} conditions are allowed.", scanner.at)
    scanner.conditions += 1
    named = scanner.at
    entity, key, quoted = _name(scanner)
    name = (named, scanner.at)
    operator, values, place = _comparison(scanner, is_text=quoted and entity == "bare")
    if operator is None:
        if entity != "bare":
            raise FilterError(f"An operator is missing after {key!r}.", *name)
        entity, operator, values = "text", "contains", (Word(key, name, quoted),)
    while scanner.at > name[1] and scanner.text[scanner.at - 1].isspace():
        scanner.at -= 1  # IS NULL takes the blank behind it
    return condition(Clause(entity, key, operator, values, negated, (start, scanner.at), name, place))


def _name(scanner: _Scanner) -> tuple[str, str, bool]:
    """Read ``key`` or ``entity.key``; the key may be quoted."""
    start = scanner.at
    if scanner.char in "\"'`" and scanner.char:
        return "bare", _quoted(scanner), True
    word = _word(scanner, WORD_END)
    head, dot, rest = word.partition(".")
    entity = ENTITIES.get(head) if dot else None
    if entity and not rest and scanner.char in ('"', "`"):
        return entity, _quoted(scanner), True
    if entity and rest:
        return entity, rest, False
    if not word:
        shown = scanner.char
        if shown == "|":
            raise scanner.fail("| joins values of one condition. Write or between conditions.", start)
        raise scanner.fail(f"{shown!r} cannot start a condition." if shown else "A condition is missing.", start)
    return "bare", word, False


def _comparison(scanner: _Scanner, *, is_text: bool) -> tuple[str | None, tuple[Word, ...], Span]:
    start = scanner.at
    words = None if is_text else scanner.match(WORDS)
    if words:
        operator = " ".join(words.group(1).upper().split())
        if operator.startswith("IS"):
            return operator, (), words.span(1)
        return operator, _listed(scanner) if operator.endswith("IN") else (_value(scanner),), words.span(1)
    symbol = scanner.match(SYMBOL)
    if not symbol:
        return None, (), (start, start)
    operator = "".join(symbol.group(1).split())
    if scanner.done:
        raise FilterError("A value is missing.", *symbol.span(1))
    values = [_value(scanner)]
    while scanner.char == "|":
        scanner.at += 1
        values.append(_value(scanner))
    return operator, tuple(values), symbol.span(1)


def _listed(scanner: _Scanner) -> tuple[Word, ...]:
    start = scanner.at
    if scanner.char != "(":
        raise scanner.fail("IN needs a list in parentheses.", start)
    scanner.at += 1
    values = []
    while True:
        scanner.skip()
        values.append(_value(scanner))
        scanner.skip()
        if scanner.char == ")":
            scanner.at += 1
            return tuple(values)
        if scanner.char != ",":
            raise scanner.fail("The list is not closed; a comma or ')' is missing.", start)
        scanner.at += 1


def _value(scanner: _Scanner) -> Word:
    start = scanner.at
    if scanner.char and scanner.char in "\"'":
        text = _quoted(scanner)
        return Word(text, (start, scanner.at), quoted=True)
    word = _word(scanner, VALUE_END)
    if not word:
        raise scanner.fail("A value is missing.", start)
    return Word(word, (start, scanner.at))


def _word(scanner: _Scanner, end: re.Pattern[str]) -> str:
    start = scanner.at
    found = end.search(scanner.text, start)
    scanner.at = found.start() if found else len(scanner.text)
    return scanner.text[start : scanner.at]


def _quoted(scanner: _Scanner) -> str:
    """Read what stands between quotes; the mark written twice is the mark itself."""
    start, mark = scanner.at, scanner.char
    close = scanner.text.find(mark, start + 1)
    while close >= 0 and scanner.text[close + 1 : close + 2] == mark:
        close = scanner.text.find(mark, close + 2)
    if close < 0:
        raise FilterError("A quote is not closed.", start, len(scanner.text))
    scanner.at = close + 1
    return scanner.text[start + 1 : close].replace(mark * 2, mark)
