"""Names and values as the filter language writes them, so that what pages offer can be read back."""

from __future__ import annotations

import re

from .language import ENTITIES
from .meaning import ATTRIBUTES

PREFIXES = {"metric": "metrics.", "param": "params.", "tag": "tags."}
_NAME_MARKS = re.compile(r"[\s<>=!:~|,()\"'`]")
_VALUE_MARKS = re.compile(r"[\s|,()\"'`]")


def name(kind: str, key: str) -> str:
    """Write the name of a metric, parameter or tag, with the word in front that says which it is."""
    return PREFIXES[kind] + (quoted(key) if not key or _NAME_MARKS.search(key) else key)


def bare(key: str) -> str | None:
    """Write a name without a word in front; None where it would be read as something else."""
    head, dot, _ = key.partition(".")
    if key.lower() in ATTRIBUTES or key == "tag":
        return None
    if _NAME_MARKS.search(key) or not key or key.startswith("-") or (dot and head in ENTITIES):
        return None
    return None if key.lower() in ("and", "or", "not") else key


def value(text: str) -> str:
    """Write a value; quotes hold together what would fall apart or be read as a range."""
    reads_on = text[:1] in ("<", ">", "=", "!", ":")  # would be taken for a part of the operator
    return quoted(text) if not text or reads_on or ".." in text or _VALUE_MARKS.search(text) else text


def quoted(text: str) -> str:
    """Put a text between quotes; the quote itself is written twice."""
    return '"' + text.replace('"', '""') + '"'
