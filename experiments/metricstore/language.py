"""The filter language of runs: one line of text to a tuple of conditions.

Two spellings, one grammar. The page's own: ``auc>0.87 algorithm:ridge|svm -tag:old started:<7d "free text"``;
MLflow's: ``metrics.auc > 0.87 and params.max_depth = "8"``. A space or ``and`` means and, ``|`` means or,
a leading ``-`` means not. Everything is checked against allow-lists; an error knows its place in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .meaning import Clause, Condition, FilterError, condition

MAX_CHARS = 4000
MAX_CONDITIONS = 40
_ENTITIES = {
    **dict.fromkeys(("metrics", "metric"), "metric"),
    **dict.fromkeys(("params", "param", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tags", "tag"), "tag"),
    **dict.fromkeys(("attributes", "attribute", "attr", "run"), "attribute"),
}
_WORD_END = re.compile(r"[\s<>=!:|,()\"'`]")
_VALUE_END = re.compile(r"[\s|,()\"'`]")
_SYMBOL = re.compile(r"\s*(:\s*(?:>=|<=|>|<)|>=|<=|!=|=|>|<|:)\s*")
_WORDS = re.compile(r"\s+(NOT\s+IN|IN|ILIKE|LIKE|IS\s+NOT\s+NULL|IS\s+NULL)(?=\s|\(|$)\s*", re.IGNORECASE)
_AND = re.compile(r"and(?=\s|$)", re.IGNORECASE)


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0

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


def parse(text: str) -> tuple[Condition, ...]:
    """Read a filter line.

    Parameters
    ----------
    text : str
        At most 4,000 characters and 40 conditions; blank means no condition.

    Returns
    -------
    tuple of Condition
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
    found: list[Condition] = []
    scanner.skip()
    while not scanner.done:
        if len(found) == MAX_CONDITIONS:
            raise scanner.fail(f"At most {MAX_CONDITIONS} conditions are allowed.", scanner.at)
        found.append(_clause(scanner))
        _separator(scanner)
    return tuple(found)


def _separator(scanner: _Scanner) -> None:
    start = scanner.at
    scanner.skip()
    if scanner.done:
        return
    if scanner.at == start:
        raise scanner.fail("Put a space between two conditions.", start)
    start = scanner.at
    if scanner.match(_AND):
        scanner.skip()
        if scanner.done:
            raise scanner.fail("A condition is missing after 'and'.", start)


def _clause(scanner: _Scanner) -> Condition:
    start = scanner.at
    negated = scanner.char == "-"
    if negated:
        scanner.at += 1
    entity, key, quoted = _name(scanner)
    operator, values = _comparison(scanner, is_text=quoted and entity == "bare")
    if operator is None:
        if entity != "bare":
            raise scanner.fail(f"An operator is missing after {key!r}.", start)
        entity, operator, values = "text", "contains", (key,)
    return condition(Clause(entity, key, operator, values, negated, (start, scanner.at)))


def _name(scanner: _Scanner) -> tuple[str, str, bool]:
    """Read ``key`` or ``entity.key``; the key may be quoted."""
    start = scanner.at
    if scanner.char in "\"'`" and scanner.char:
        return "bare", _quoted(scanner), True
    word = _word(scanner, _WORD_END)
    head, dot, rest = word.partition(".")
    entity = _ENTITIES.get(head) if dot else None
    if entity and not rest and scanner.char in ('"', "`"):
        return entity, _quoted(scanner), True
    if entity and rest:
        return entity, rest, False
    if not word:
        raise scanner.fail(f"{scanner.char!r} cannot start a condition.", start)
    return "bare", word, False


def _comparison(scanner: _Scanner, *, is_text: bool) -> tuple[str | None, tuple[str, ...]]:
    start = scanner.at
    words = None if is_text else scanner.match(_WORDS)
    if words:
        operator = " ".join(words.group(1).upper().split())
        if operator.startswith("IS"):
            return operator, ()
        return operator, _listed(scanner) if operator.endswith("IN") else (_value(scanner),)
    symbol = scanner.match(_SYMBOL)
    if not symbol:
        return None, ()
    operator = "".join(symbol.group(1).split())
    if scanner.done:
        raise scanner.fail("A value is missing.", start)
    values = [_value(scanner)]
    while scanner.char == "|":
        scanner.at += 1
        values.append(_value(scanner))
    return operator, tuple(values)


def _listed(scanner: _Scanner) -> tuple[str, ...]:
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


def _value(scanner: _Scanner) -> str:
    start = scanner.at
    if scanner.char in ('"', "'"):
        return _quoted(scanner)
    word = _word(scanner, _VALUE_END)
    if not word:
        raise scanner.fail("A value is missing.", start)
    return word


def _word(scanner: _Scanner, end: re.Pattern[str]) -> str:
    start = scanner.at
    found = end.search(scanner.text, start)
    scanner.at = found.start() if found else len(scanner.text)
    return scanner.text[start : scanner.at]


def _quoted(scanner: _Scanner) -> str:
    start, mark = scanner.at, scanner.char
    close = scanner.text.find(mark, start + 1)
    if close < 0:
        raise FilterError("A quote is not closed.", start, len(scanner.text))
    scanner.at = close + 1
    return scanner.text[start + 1 : close]
