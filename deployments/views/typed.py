"""Numbers as a person types them into a form."""

from typing import Any

from mlportal.lib.errors import Invalid


def number(text: str, field: str) -> float:
    """Return a number that was typed, or refuse it naming its field."""
    try:
        return float(text)
    except ValueError:
        raise Invalid(f"{field} must be a number, not {text[:50]!r}.", field=field, got=text[:50]) from None


def whole(sent: Any, field: str) -> int:
    """Return a whole number that was typed, or refuse it naming its field."""
    text = sent.get(field, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"{field} must be a whole number.", field=field, got=text[:50])
    return int(text)
