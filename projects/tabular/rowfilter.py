"""The one-line filter of a table's rows: ``age>30 plan:basic|pro -country:DE name~smith end:null "free text"``.

It is read here into plain conditions and turned into a query elsewhere; no text of it ever is a query.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mlportal.lib.errors import Forbidden, Invalid

MOST_CONDITIONS, MOST_CHARACTERS, MOST_VALUES = 20, 2_000, 100
COMPARISONS = (">=", "<=", "!=", ">", "<", "=", ":", "~")
_TOKEN = re.compile(
    r"""\s*(?P<minus>-(?=[^\s\d]|\d+\D*[:<>=~]))?
    (?P<name>"(?:[^"\\]|\\.)*"|[^\s"<>=!:~|]+)
    (?:\s*(?P<op>>=|<=|!=|>|<|=|:|~)\s*(?P<values>(?:"(?:[^"\\]|\\.)*"|[^\s"|]+)(?:\|(?:"(?:[^"\\]|\\.)*"|[^\s"|]+))*)?
    |\s+is\s+(?P<isnot>not\s+)?null\b)?""",
    re.VERBOSE | re.IGNORECASE,
)
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"|]+)')
NUMBERS = ("numeric", "integer")


@dataclass(frozen=True)
class Condition:
    """One test on the rows.

    Parameters
    ----------
    columns : tuple of str
        Column tested; several for free text, of which one must pass.
    test : str
        ``>``, ``>=``, ``<``, ``<=``, ``=``, ``!=``, ``~`` (contains, whatever the case) or ``null``.
    values : tuple
        Numbers, truth values, ISO times or text; one of them must fit.
    negate : bool
        Whether rows that pass are left out.
    """

    columns: tuple[str, ...]
    test: str
    values: tuple[Any, ...] = ()
    negate: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-able members."""
        return asdict(self)


def parse(text: str, schema: Sequence[Mapping[str, Any]], *, hidden: frozenset[str] = frozenset()) -> list[Condition]:
    """Read a filter.

    Parameters
    ----------
    text : str
        What was typed.
    schema : sequence of dict
        ``name``, ``kind``, ``dtype`` of each column.
    hidden : frozenset of str
        Columns whose values the caller may not see, nor guess by filtering.

    Raises
    ------
    Invalid
        Naming the character it is about, what stands there, and what is allowed.
    Forbidden
        For a column that is hidden.
    """
    if len(text) > MOST_CHARACTERS:
        raise Invalid(
            f"The filter has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.",
            field="q", limit=MOST_CHARACTERS, got=len(text),
        )  # fmt: skip
    found: list[Condition] = []
    at, kinds = 0, {field["name"]: field for field in schema}
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _wrong(text, at + len(text[at:]) - len(text[at:].lstrip()), "A condition is expected")
        at = match.end()
        if match["name"].lower() == "and" and not match["op"]:
            continue
        if match["name"].lower() == "or" and not match["op"]:
            raise _wrong(text, match.start("name"), "or is not read here; write plan:a|b for either value")
        found.append(_condition(match, text, kinds, hidden))
    if len(found) > MOST_CONDITIONS:
        raise Invalid(
            f"The filter has {len(found)} conditions; at most {MOST_CONDITIONS} are read.",
            field="q", limit=MOST_CONDITIONS, got=len(found),
        )  # fmt: skip
    return found


def quoted(text: str) -> str:
    """A name or value as the filter language writes it."""
    return text if re.fullmatch(r'[^\s"<>=!:~|\\-][^\s"<>=!:~|\\]*', text) else '"' + _escaped(text) + '"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _condition(
    match: "re.Match[str]", text: str, kinds: Mapping[str, Mapping[str, Any]], hidden: frozenset[str]
) -> Condition:
    name, negate = _bare(match["name"]), bool(match["minus"])
    is_null = match["op"] is None and text[match.end("name") : match.end()].strip() != ""
    if match["op"] is None and not is_null:
        return _free(name, kinds, hidden, negate=negate)
    field = kinds.get(name)
    if field is None:
        raise _wrong(text, match.start("name"), f"There is no column {name[:60]!r}", got=name[:200])
    if name in hidden:
        raise Forbidden(
            f"The values of {name} are marked as not for everybody; filtering by them needs dataset.edit.",
            field="q", got=name,
        )  # fmt: skip
    if is_null:
        return Condition((name,), "null", negate=negate != bool(match["isnot"]))
    if not match["values"]:
        raise _wrong(text, match.end(), f"A value is missing after {name}{match['op']}")
    values = [_bare(each[0]) for each in _VALUE.finditer(match["values"])]
    return _compared(field, match, text, values, negate=negate)


def _compared(
    field: Mapping[str, Any], match: "re.Match[str]", text: str, values: list[str], *, negate: bool
) -> Condition:
    name, test = field["name"], "=" if match["op"] == ":" else match["op"]
    if test == "=" and values == ["null"] and not match["values"].startswith('"'):
        return Condition((name,), "null", negate=negate)
    if len(values) > MOST_VALUES:
        raise _wrong(text, match.start("values"), f"At most {MOST_VALUES} values are read after {name}")
    if len(values) > 1 and test not in ("=", "!=", "~"):
        raise _wrong(text, match.start("values"), f"One value is expected after {name}{match['op']}")
    if test == "~":
        return Condition((name,), test, tuple(values), negate)
    typed = tuple(_typed(field, value, text, match.start("values")) for value in values)
    if test in (">", ">=", "<", "<=") and field["kind"] == "boolean":
        raise _wrong(text, match.start("op"), f"{name} is true or false; write {name}:true")
    return Condition((name,), test, typed, negate)


def _typed(field: Mapping[str, Any], value: str, text: str, at: int) -> Any:
    kind, dtype = field["kind"], str(field.get("dtype", ""))
    name = field["name"]
    if kind == "boolean":
        if value.lower() not in ("true", "false"):
            raise _wrong(text, at, f"{name} is true or false", got=value[:100])
        return value.lower() == "true"
    if kind in NUMBERS or dtype.startswith(("int", "uint", "double", "float", "decimal")):
        return _number(name, value, text, at)
    if kind == "datetime":
        try:
            return datetime.fromisoformat(value).isoformat()
        except ValueError:
            wrong = f"{name} is a time; write 2026-10-01 or 2026-10-01T14:00"
            raise _wrong(text, at, wrong, got=value[:100]) from None
    return value


def _number(name: str, value: str, text: str, at: int) -> float | int:
    plain = value.replace("−", "-")
    try:
        return int(plain) if re.fullmatch(r"[+-]?\d{1,18}", plain) else float(plain)
    except ValueError:
        raise _wrong(text, at, f"{name} holds numbers", got=value[:100]) from None


def _free(words: str, kinds: Mapping[str, Mapping[str, Any]], hidden: frozenset[str], *, negate: bool) -> Condition:
    texts = tuple(
        name for name, field in kinds.items() if name not in hidden and "string" in str(field.get("dtype", ""))
    )
    if not texts:
        raise Invalid(f"{words[:60]!r} is no condition, and no column holds text to search in.", field="q")
    return Condition(texts, "~", (words,), negate)


def _bare(token: str) -> str:
    if token.startswith('"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return token


def _wrong(text: str, at: int, words: str, *, got: Any = None) -> Invalid:
    near = text[at : at + 20].strip()
    where = f" At character {at + 1}" + (f", near {near!r}." if near else ".")
    return Invalid(f"{words}.{where}", code="bad_filter", field="q", got=got if got is not None else {"at": at + 1})
