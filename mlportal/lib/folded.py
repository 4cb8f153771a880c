"""Long values side by side: each is cut where it begins to differ from the others, and opens to its whole text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mlportal.lib import quantities

register = template.Library()
MOST = 36  # letters of a value that stands whole, and of the part that is shown of a longer one
LEAD = 8  # letters that all have in common, in front of the first that differs
_FOLDED = (
    '<details class="folded"><summary>{}</summary>'
    '<div class="whole" tabindex="0" role="group" aria-label="Whole value">{}</div></details>'
)


def part_of(value: str, among: Iterable[str] = ()) -> str:
    """Return the value, or of a long one the part in which it begins to differ from those beside it.

    Parameters
    ----------
    value : str
    among : iterable of str
        What stands beside it; may hold the value itself.
    """
    if len(value) <= MOST:
        return value
    same = _in_common({value, *among})
    first = max(0, min(same - LEAD, len(value) - MOST))
    last = first + MOST
    return f"{'…' if first else ''}{value[first:last]}{'…' if last < len(value) else ''}"


def _in_common(values: set[str]) -> int:
    """How many letters all begin with; 0 where there is nothing to tell apart."""
    if len(values) == 1:
        return 0
    first, last = min(values), max(values)  # what these two share, all between them share
    return next((at for at, both in enumerate(zip(first, last, strict=False)) if both[0] != both[1]), len(first))


@register.filter
def folded(value: object, among: object = ()) -> SafeString | str:
    """A value as HTML: whole when it is short, else its telling part, which opens to the whole.

    ``among`` is what stands beside it: values, or a row of a difference table.
    """
    if value is None:
        return quantities.MISSING
    text = str(value)
    if len(text) <= MOST:
        return text
    return format_html(_FOLDED, part_of(text, (str(each) for each in _beside(among) if each is not None)), text)


def _beside(among: object) -> Iterable[object]:
    if isinstance(among, Mapping):
        return [cell["value"] for cell in among["cells"]]
    return among if isinstance(among, list | tuple) else ()
