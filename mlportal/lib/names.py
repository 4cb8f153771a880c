"""Names and free text: what is allowed, and when two names are the same."""

import re
import unicodedata

from mlportal.lib.errors import Invalid

MAX_NAME = 100
MAX_TEXT = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_RESERVED = frozenset({"con", "prn", "aux", "nul", "new", "api", "static"})
# Direction marks and joiners can make one name look like another (Trojan Source, CVE-2021-42574).
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def clean(value: object, *, field: str = "name") -> str:
    """Check an identifier-like name and return it in NFKC form.

    Raises
    ------
    Invalid
        With the field, what came and what is allowed.
    """
    text = _text(value, field)
    text = unicodedata.normalize("NFKC", text).strip()
    if not text:
        raise Invalid(f"{field} is empty. Give it 1 to {MAX_NAME} characters.", field=field, limit=MAX_NAME, got=0)
    if len(text) > MAX_NAME:
        raise Invalid(
            f"{field} has {len(text)} characters; at most {MAX_NAME} are allowed.",
            field=field, limit=MAX_NAME, got=len(text),
        )  # fmt: skip
    if not _NAME.fullmatch(text) or text.casefold() in _RESERVED or ".." in text:
        raise Invalid(
            f"{field} may hold letters A to Z, digits, '.', '_' and '-', must start with a letter or digit, "
            "and must not be a reserved word.",
            field=field, got=text[:MAX_NAME],
        )  # fmt: skip
    return text


def key(name: str) -> str:
    """Folded form on which names are unique: two names that differ only in case are one."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def slug(value: object, *, field: str = "slug") -> str:
    """Check a project address: lower-case letters, digits and inner hyphens, 2 to 50 characters."""
    text = _text(value, field).strip()
    if not 2 <= len(text) <= 50 or not _SLUG.fullmatch(text) or text in _RESERVED:
        raise Invalid(
            f"{field} must have 2 to 50 lower-case letters, digits or inner hyphens, and must not be a reserved word.",
            field=field, limit=50, got=text[:60],
        )  # fmt: skip
    return text


def clean_text(value: object, *, field: str = "text", limit: int = MAX_TEXT, required: bool = False) -> str:
    """Check free text: any script, new lines, no NUL, no lone surrogate, no invisible direction marks."""
    text = _text(value, field).strip()
    if required and not text:
        raise Invalid(f"{field} is empty.", field=field)
    if len(text) > limit:
        raise Invalid(
            f"{field} has {len(text)} characters; at most {limit:,} are allowed.",
            field=field,
            limit=limit,
            got=len(text),
        )
    if _INVISIBLE.search(text):
        raise Invalid(f"{field} holds an invisible character (zero-width or direction mark). Remove it.", field=field)
    return text


def reason(value: object, *, field: str = "reason", least: int = 10, limit: int = 4000) -> str:
    """Check a text that people will read to understand an action: of at least so many characters."""
    text = clean_text(value, field=field, limit=limit)
    if len(text) < least:
        raise Invalid(
            f"{field} needs at least {least} characters; it has {len(text)}.", field=field, limit=least, got=len(text)
        )
    return text


def exact(value: object, *, field: str = "name", limit: int = MAX_TEXT, required: bool = False) -> str:
    """Check a text that others chose and that stays as it is: any characters a database can store.

    Raises
    ------
    Invalid
        If it is longer than the limit, empty though required, or holds a NUL or half of a character.
    """
    text = _text(value, field)
    if required and not text:
        raise Invalid(f"{field} is empty. Give it 1 to {limit} characters.", field=field, limit=limit, got=0)
    if len(text) > limit:
        raise Invalid(
            f"{field} has {len(text)} characters; at most {limit:,} are allowed.",
            field=field, limit=limit, got=len(text),
        )  # fmt: skip
    return text


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{field} must be text, not {type(value).__name__}.", field=field, got=type(value).__name__)
    if "\x00" in value:
        raise Invalid(f"{field} holds a NUL character at position {value.index(chr(0))}.", field=field)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Invalid(f"{field} holds half of a character (lone surrogate).", field=field)
    return value
