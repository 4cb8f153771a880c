"""What a check may expect, read from plain JSON and said in words. Loads nothing heavy: pages use it."""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlportal.lib.errors import Invalid

SEVERITIES = ("gate", "warn")
KINDS = ("numeric", "integer", "boolean", "categorical", "text", "datetime", "id")
MOST_RULES, MOST_WORDS, MOST_CHARACTERS, MOST_COLUMNS = 500, 1_000, 10_000, 20
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z_]+)")
MAX_NAME = 100
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_LOOKAROUND = re.compile(r"\(\?(=|!|<=|<!|>|P=|\()|\\[1-9]")
Values = dict[str, Any]
Read = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Expectation:
    """A kind of check.

    Parameters
    ----------
    label : str
        What it is called.
    help : str
        One sentence for the page.
    columns : tuple of int
        Least and most columns it is about.
    fields : mapping of str to reader
        What it takes; each reader returns the checked value or raises ``Invalid``.
    one_of : tuple of str
        Fields of which at least one is needed.
    needs : tuple of str
        Fields that are needed.
    """

    label: str
    help: str
    columns: tuple[int, int]
    fields: Mapping[str, Read]
    one_of: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One declared check.

    Parameters
    ----------
    key : str
        What it is known by over all versions of the rule set.
    kind, severity : str
        Kind of check; ``gate`` or ``warn``.
    columns : tuple of str
        Columns it is about.
    values : dict
        Its limits.
    name : str
        Name that a person gave it; a sentence is made otherwise.
    """

    key: str
    kind: str
    severity: str
    columns: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    name: str = ""

    def as_json(self) -> Values:
        """Flat JSON form, as ``read`` takes it."""
        said = {"name": self.name} if self.name else {}
        return {"key": self.key, "kind": self.kind, "severity": self.severity, "columns": list(self.columns),
                **said, **self.values}  # fmt: skip

    @property
    def sentence(self) -> str:
        """What is expected, in words."""
        return self.name or _sentence(self)


# ---------------------------------------------------------------- readers of single values


def _fail(field_: str, message: str, got: Any, limit: Any = None) -> Invalid:
    return Invalid(f"{field_} {message}", code="check_invalid", field=field_, got=_short(got), limit=limit)


def _short(value: Any) -> Any:
    return value if isinstance(value, (int, float, bool)) and value == value else str(value)[:100]  # noqa: PLR0124


def _number(name: str, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _fail(name, f"was {str(value)[:50]!r}. It must be a number.", value)
    return value


def _share(name: str, value: Any) -> float:
    found = _number(name, value)
    if not 0 <= found <= 1:
        raise _fail(name, f"was {found:g}. It is a share from 0 to 1.", value, [0, 1])
    return float(found)


def _whole(name: str, value: Any) -> int:
    found = _number(name, value)
    if found != int(found) or not 0 <= found <= 10**15:
        raise _fail(name, f"was {found:g}. It must be a whole number, 0 or more.", value)
    return int(found)


def _positive(name: str, value: Any) -> float:
    found = _number(name, value)
    if not 0 < found <= 10**6:
        raise _fail(name, f"was {found:g}. It must be over 0 and at most 1,000,000.", value)
    return float(found)


def _bound(name: str, value: Any) -> float | int | str:
    """A number, or a moment as ISO text for columns of times."""
    if not isinstance(value, str):
        return _number(name, value)
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise _fail(name, f"was {value[:50]!r}. It must be a number or a date such as 2024-01-31.", value) from None
    if moment.tzinfo is not None:
        raise _fail(name, "has a time zone. Write it in UTC without one.", value)
    return moment.isoformat(timespec="seconds")


def _text(name: str, value: Any, *, most: int = MOST_CHARACTERS) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fail(name, "is missing. It must be a text.", value)
    if len(value) > most:
        raise _fail(name, f"has {len(value):,} characters; at most {most:,} are allowed.", len(value), most)
    if "\x00" in value or any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise _fail(name, "holds a character that cannot be stored.", "")
    return value


def _query(name: str, value: Any) -> str:
    """A text that begins as a query does; the sandbox judges the rest of it."""
    text = _text(name, value)
    first = _FIRST_WORD.match(_COMMENTS.sub(" ", text))
    if first is None or first[1].upper() not in ("SELECT", "WITH", "FROM", "VALUES"):
        begins = f"begins with {first[1][:40]!r}" if first else "holds no statement"
        raise _fail(name, f"{begins}. A check is one SELECT on the table data.", text[:100])
    return text


def _words(name: str, value: Any) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= MOST_WORDS:
        raise _fail(name, f"must be a list of 1 to {MOST_WORDS:,} values.", "", MOST_WORDS)
    texts = [str(word).lower() if isinstance(word, bool) else str(word) for word in value]
    return list(dict.fromkeys(_text(name, text, most=1_000) if text else text for text in texts))


def _pattern(name: str, value: Any) -> str:
    text = _text(name, value, most=1_000)
    if _LOOKAROUND.search(text):
        raise _fail(name, "uses a look-around or a back-reference, which are not supported.", value)
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise _fail(name, f"is not a regular expression: {error}.", value) from None
    return text


def _kind(name: str, value: Any) -> str:
    if value not in KINDS:
        raise _fail(name, f"was {str(value)[:50]!r}. Allowed: {', '.join(KINDS)}.", value, list(KINDS))
    return str(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _fail(name, f"was {str(value)[:50]!r}. It must be true or false.", value)
    return value


E = Expectation
EXPECTATIONS: dict[str, Expectation] = {
    "type": E("Type", "The column has this type.", (1, 1), {"is": _kind}, needs=("is",)),
    "range": E("Range", "Values lie between two numbers or dates.", (1, 1), {"min": _bound, "max": _bound},
               one_of=("min", "max")),
    "nulls": E("Missing values", "At most this share is missing.", (1, 1), {"max_share": _share}, needs=("max_share",)),
    "unique": E("Uniqueness", "No two rows agree in these columns.", (1, MOST_COLUMNS), {}),
    "values": E("Allowed values", "Only these values occur.", (1, 1), {"allowed": _words}, needs=("allowed",)),
    "pattern": E("Pattern", "Whole values match a regular expression.", (1, 1), {"regex": _pattern}, needs=("regex",)),
    "length": E("Length", "Texts have this many characters.", (1, 1), {"min": _whole, "max": _whole},
                one_of=("min", "max")),
    "share": E("Share of a value", "This value makes up this share of the rows.", (1, 1),
               {"value": lambda name, value: _text(name, value, most=1_000), "min": _share, "max": _share},
               one_of=("min", "max"), needs=("value",)),
    "freshness": E("Freshness", "The newest date of a column, or the upload, is not older than this.", (0, 1),
                   {"max_age_hours": _positive}, needs=("max_age_hours",)),
    "rows": E("Row count", "The table has this many rows, or about as many as the version before.", (0, 0),
              {"min": _whole, "max": _whole, "change": _share}, one_of=("min", "max", "change")),
    "columns": E("Columns", "These columns are there; if exact, no others.", (0, 0),
                 {"names": _words, "exact": _flag}, needs=("names",)),
    "sql": E("SQL", "A SELECT on the table data that finds offending rows: the check passes when it returns none.",
             (0, 0), {"query": _query}, needs=("query",)),
}  # fmt: skip


# ---------------------------------------------------------------- whole rules


def read(given: object) -> Rule:
    """Check one rule.

    Raises
    ------
    Invalid
        Naming the field, what came, and what is allowed.
    """
    if not isinstance(given, Mapping):
        raise Invalid("A check must be an object with kind, severity and columns.", code="check_invalid", field="rules")
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in EXPECTATIONS:
        raise _fail("kind", f"was {str(kind)[:50]!r}. Allowed: {', '.join(EXPECTATIONS)}.", kind, list(EXPECTATIONS))
    expected = EXPECTATIONS[kind]
    severity = given.get("severity", "gate")
    if severity not in SEVERITIES:
        raise _fail("severity", f"was {str(severity)[:50]!r}. Allowed: {', '.join(SEVERITIES)}.", severity,
                    list(SEVERITIES))  # fmt: skip
    known = ("key", "kind", "severity", "columns", "name", *expected.fields)
    if unknown := [str(name) for name in given if name not in known]:
        raise _fail(unknown[0][:100], f"is no field of a {kind} check. Fields: {', '.join(known)}.", "", list(known))
    columns, values = _columns(given.get("columns", ()), expected), _values(given, expected)
    name = given.get("name") or ""
    if name or kind == "sql":
        name = " ".join(_text("name", name, most=MAX_NAME).split())
    key = given.get("key") or _key(kind, columns, name if kind == "sql" else str(values.get("value", "")))
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise _fail("key", "may hold 1 to 40 lower-case letters, digits and hyphens.", key, 40)
    return Rule(key, kind, severity, columns, values, name)


def read_all(given: object) -> list[Rule]:
    """Check a whole rule set; faults name their place: ``rules[3].min``.

    Raises
    ------
    Invalid
        For the first rule at fault, too many rules, or two of the same key.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise Invalid("rules must be a list of checks.", code="check_invalid", field="rules")
    if len(given) > MOST_RULES:
        raise Invalid(f"There are {len(given):,} checks; at most {MOST_RULES} are allowed.", code="check_invalid",
                      field="rules", limit=MOST_RULES, got=len(given))  # fmt: skip
    found: dict[str, Rule] = {}
    for at, one in enumerate(given):
        try:
            rule = read(one)
        except Invalid as fault:
            place, told = f"rules[{at}].{fault.field}", [
                {"field": f"rules[{at}].{each['field']}", "message": each["message"]} for each in fault.errors
            ]  # fmt: skip
            raise Invalid(f"{place}: {fault.message}", code=fault.code, field=place, limit=fault.limit,
                          got=fault.got, errors=told or None) from fault  # fmt: skip
        if rule.key in found:
            raise Invalid(f"rules[{at}] has the key {rule.key!r}, as another check has.", code="check_invalid",
                          field=f"rules[{at}].key", got=rule.key)  # fmt: skip
        found[rule.key] = rule
    return list(found.values())


def _columns(given: Any, expected: Expectation) -> tuple[str, ...]:
    least, most = expected.columns
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise _fail("columns", "must be a list of column names.", given)
    columns = tuple(dict.fromkeys(given))
    if not least <= len(columns) <= most:
        need = f"{least}" if least == most else f"{least} to {most}"
        raise _fail("columns", f"has {len(columns)} names; a {expected.label.lower()} check takes {need}.",
                    len(columns), [least, most])  # fmt: skip
    return columns


def _values(given: Mapping[str, Any], expected: Expectation) -> Values:
    """Read the values; several wrong ones are refused together, each by its name."""
    values: Values = {}
    faults: list[Invalid] = []
    for name, read_ in expected.fields.items():
        if given.get(name) is None:
            faults += [_fail(name, "is missing.", None)] if name in expected.needs else []
            continue
        try:
            values[name] = read_(name, given[name])
        except Invalid as fault:
            faults.append(fault)
    if faults:
        first, told = faults[0], [{"field": each.field, "message": each.message} for each in faults]
        raise Invalid(first.message, code=first.code, field=first.field, limit=first.limit, got=first.got,
                      errors=told if faults[1:] else None)  # fmt: skip
    if expected.one_of and not any(name in values for name in expected.one_of):
        raise _fail(expected.one_of[0], f"is missing. Give one of {', '.join(expected.one_of)}.", None)
    low, high = values.get("min"), values.get("max")
    if low is not None and high is not None:
        if isinstance(low, str) != isinstance(high, str):
            raise _fail("max", "and min must both be numbers or both be dates.", high)
        if low > high:
            raise _fail("max", f"is {high}, which is below min, {low}.", high, low)
    return values


def _key(kind: str, columns: tuple[str, ...], more: str) -> str:
    """Same kind and columns, same key: a check whose limit is edited keeps its history."""
    digest = hashlib.sha256("\x1f".join([kind, *columns, more]).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind}-{digest[:10]}"


# ---------------------------------------------------------------- words


def limit_words(rule: Rule) -> str:
    """The limit alone: ``0 to 120``, ``at most 5%``."""
    return _LIMITS.get(rule.kind, _between)(rule.values)


def _row_words(values: Values) -> str:
    about = f"within {values['change']:.1%} of the version before" if "change" in values else ""
    return ", ".join(part for part in (_between(values), about) if part)


_LIMITS: dict[str, Callable[[Values], str]] = {
    "type": lambda values: str(values["is"]),
    "nulls": lambda values: _most(values["max_share"]),
    "unique": lambda _values: "no repeats",
    "values": lambda values: _listed(values["allowed"]),
    "pattern": lambda values: str(values["regex"]),
    "share": lambda values: _between(values, percent=True),
    "freshness": lambda values: f"at most {values['max_age_hours']:g} h old",
    "rows": _row_words,
    "columns": lambda values: _listed(values["names"]),
    "sql": lambda _values: "no row",
}


def _most(share: float) -> str:
    return "none" if share == 0 else f"at most {share * 100:.4g}%"


def _between(values: Values, *, percent: bool = False) -> str:
    low, high = (
        (None if values.get(name) is None else _said(values[name], percent=percent)) for name in ("min", "max")
    )
    if low is not None and high is not None:
        return low if low == high else f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""


def _said(value: Any, *, percent: bool) -> str:
    if isinstance(value, str):
        return value.removesuffix("T00:00:00").replace("T", " ")
    return f"{value * 100:.4g}%" if percent else f"{value:,.10g}".replace("-", "−")


def _listed(words: Iterable[str]) -> str:
    known = list(words)
    shown = ", ".join(word[:40] or "(empty)" for word in known[:8])
    return shown if len(known) <= 8 else f"{shown} and {len(known) - 8:,} more"


def _sentence(rule: Rule) -> str:
    names, limit = ", ".join(rule.columns), limit_words(rule)
    words = {
        "type": f"{names} is of type {limit}",
        "range": f"{names} is {_in_range(limit)}",
        "nulls": f"{names} is never missing" if limit == "none" else f"{names}: {limit} missing",
        "unique": f"{names} is unique" if len(rule.columns) == 1 else f"{names} together are unique",
        "values": f"{names} is one of {limit}",
        "pattern": f"{names} matches {limit}",
        "length": f"{names} has {limit} characters",
        "share": f"{limit} of {names} is {rule.values.get('value', '')}",
        "freshness": f"{names or 'upload'} is {limit}",
        "rows": f"row count {limit}",
        "columns": f"columns are {limit}" if rule.values.get("exact") else f"columns include {limit}",
    }
    return words.get(rule.kind, rule.key)


def _in_range(limit: str) -> str:
    return "between " + limit.replace(" to ", " and ", 1) if " to " in limit else limit
