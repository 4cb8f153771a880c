"""The filter field of the runs table: chips, the text being written, and addresses that change the filter."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments import metricstore, queries
from experiments.metricstore import COUNT_CAP, NEWEST_FIRST, FilterError
from experiments.queries import Place
from experiments.views.runs_of import Asked
from mlportal.lib import quantities
from projects.actor import Actor

# What the form sends of its own; everything else in the address stays as it is.
_OWN = ("q", "add", "edit", "cursor", "before", "col", "view")
MOST_TRIED = 5  # conditions of a filter that nothing passes that are left out in turn to count what would
EXAMPLES = (
    ("auc>0.87", "the latest value of a metric"),
    ("max_depth:4..8", "a range, both ends included"),
    ("algorithm:ridge|svm", "one of these"),
    ("-tag:old", "not"),
    ("state:failed or took>1h", "at least one of them"),
    ("(auc>0.9 or f1>0.8) user:me", "parentheses group"),
    ("started:<7d", "in the last seven days"),
    ("started:>2026-11-01", "after a day"),
    ("algorithm~forest", "contains, in any case of letters"),
    ("params.loss ILIKE 'huber%'", "a pattern"),
    ("tags.team IS NULL", "has no such tag"),
    ('"val loss"<1', "quotes hold blanks together"),
)


def field(request: HttpRequest, asked: Asked, fault: FilterError | None) -> dict[str, Any]:
    """What the form reads: chips, the text in the field, what else to send, the wrong word marked.

    ``edit=2`` takes the second chip back into the field; the table goes on showing the whole filter.
    """
    pieces = parts(asked.text)
    edited = request.GET.get("edit", "")
    at = int(edited) - 1 if edited.isascii() and edited.isdigit() and len(edited) < 4 else -1
    chips = [
        {
            "text": piece, "number": n + 1,
            "remove": address(request, " ".join(p for j, p in enumerate(pieces) if j != n)),
            "edit": f"{request.path}?{urlencode([*_kept(request), ('q', asked.text), ('edit', str(n + 1))])}",
        }
        for n, piece in enumerate(pieces) if n != at
    ]  # fmt: skip
    typed = asked.typed or (pieces[at] if 0 <= at < len(pieces) else "")
    if fault and not typed:
        typed = asked.text
    return {
        "filter_examples": EXAMPLES, "chips": chips, "typed": typed,
        "kept": _kept(request), "marked": marked(typed, fault),
        "rest": " ".join(chip["text"] for chip in chips), "editing": 0 <= at < len(pieces),
    }  # fmt: skip


def remedies(request: HttpRequest, by: Actor, place: Place, asked: Asked) -> dict[str, Any]:
    """Of a filter that no run passes: how many it hides, and its conditions, the one that hides most first."""

    def passing(text: str) -> int:
        state = "deleted" if asked.deleted else "active"
        return metricstore.count(queries.question(by, place, text, NEWEST_FIRST, state))

    pieces, found = parts(asked.text), []
    for at, piece in enumerate(pieces):
        rest = " ".join([*pieces[:at], *pieces[at + 1 :]])
        found.append((passing(rest) if at < MOST_TRIED else 0, piece, address(request, rest)))
    found.sort(key=lambda each: -each[0])
    offers = [(piece, _counted(count) if count else "", link) for count, piece, link in found]
    return {"hidden": _counted(passing("")), "offers": offers, "clear": address(request, "")}


def _counted(count: int) -> str:
    words = "10,000+" if count > COUNT_CAP else quantities.num(count)
    return f"{words} run" if count == 1 else f"{words} runs"


def marked(typed: str, fault: FilterError | None) -> SafeString | str:
    """The text with its wrong word between marks."""
    if fault is None or not typed:
        return ""
    start = min(fault.start, len(typed))
    wrong = typed[start : fault.stop] or " "
    return format_html("{}<mark>{}</mark>{}", typed[:start], wrong, typed[fault.stop :])


def joined(*texts: str) -> str:
    """One filter of several that all must hold; what cannot be read is left out."""
    return " ".join(dict.fromkeys(piece for text in texts for piece in parts(text)))


def parts(text: str) -> list[str]:
    """The parts of a filter that each become a chip; none if it cannot be read."""
    try:
        return metricstore.pieces(text)
    except FilterError:
        return []


def address(request: HttpRequest, text: str) -> str:
    """The address of the page with another filter, from its first page on."""
    query = _kept(request)
    if text:
        query.append(("q", text))
    return f"{request.path}?{urlencode(query)}" if query else f"{request.path}?tab=all"


def _kept(request: HttpRequest) -> list[tuple[str, str]]:
    kept = [(k, v) for k, v in request.GET.dict().items() if k not in _OWN and v]
    if picked := request.GET.getlist("col"):
        kept = [*((k, v) for k, v in kept if k != "cols"), ("cols", ",".join(picked))]
    return [(str(k), str(v)) for k, v in kept]
