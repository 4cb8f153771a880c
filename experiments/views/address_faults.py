"""What the address of a page asks for and cannot have, in words: the page says so above what it shows instead."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest

from experiments import metricstore, queries
from experiments.metricstore import Order
from experiments.queries import Place, compared, groups, tokens
from experiments.queries.compared import Comparison
from experiments.views.runs_of import PAGE_SIZES, USUAL_SIZE, asked_agg, asked_columns, whole
from mlportal.lib import addresses
from mlportal.lib.errors import DomainError, Invalid

KINDS = {"m": ("metric", "metric"), "p": ("param", "parameter"), "t": ("tag", "tag")}
NAMED = 5
AXES = ("sx", "sy", "cx", "cy", "cz", "axes", "axis", "group")


def of_table(request: HttpRequest, place: Place, order: Order) -> list[str]:
    """Of a table of runs: its columns, its aggregate, its page size, and the name that it is sorted by."""
    found = [said(fault) for fault in tokens.faults(asked_columns(request))]
    found += _unknown(place, request)
    found += addresses.size_fault("limit", request.GET.get("limit", ""), PAGE_SIZES, usual=USUAL_SIZE)
    found += _aggregate(request)
    if request.GET.get("sort") and not request.GET.get("group"):
        found += _unknown_order(place, order)
    return found


def of_groups(request: HttpRequest, page: groups.GroupPage) -> list[str]:
    """Of a table of groups: their order."""
    fault, skip = groups.order_fault(request.GET.get("sort", ""), page.measures, page.by), request.GET.get("skip", "")
    found = [said(fault)] if fault else []
    return found if not skip or whole(skip, -1) >= 0 else [*found, f"skip: {skip[:40]!r} is no number of groups."]


def of_comparison(made: Comparison, every: Sequence[str]) -> list[str]:
    """Of a comparison: its order, how its curves are drawn, and axes that are not among ``every`` one there is."""
    found, view = [said(fault) for fault in compared.faults(made)], made.view
    for name in AXES:
        known = [word for word in every if name != "group" or word.startswith("p.")]
        if wrong := [word for word in view.words(name) if word not in known]:
            listed = ", ".join(repr(word[:60]) for word in wrong[:NAMED])
            found.append(f"{name}: these runs do not differ in {listed}, and have no such metric.")
    if (metric := view.get("im")) and metric not in made.metrics:
        found += _none_has("metric", "im", [metric])
    return found


def said(fault: DomainError) -> str:
    """A refusal as a page says it, with the field."""
    return f"{fault.field}: {fault.message}" if fault.field else fault.message


def _aggregate(request: HttpRequest) -> list[str]:
    try:
        asked_agg(request)
    except Invalid as fault:
        return [f"{said(fault)} Columns show the last value."]
    return []


def _unknown(place: Place, request: HttpRequest) -> list[str]:
    """Columns of names that no run here has: they would stand empty without a word."""
    chosen, found = tokens.read(asked_columns(request)), []
    for mark, (kind, word) in KINDS.items():
        names = list(dict.fromkeys(t.name for t in chosen if t.kind == mark))
        found += _none_has(word, "cols", _absent(place, kind, names))
    return found


def _unknown_order(place: Place, order: Order) -> list[str]:
    word = dict(KINDS.values()).get(order.kind)
    return _none_has(word, "sort", _absent(place, order.kind, [order.key])) if word else []


def _absent(place: Place, kind: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    here = metricstore.have(queries.scope_of(place), kind, names)
    return [name for name in names if name not in here]


def _none_has(word: str, field: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    listed = ", ".join(repr(name[:60]) for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if names[NAMED:] else ""
    return [f"{field}: no run here has the {word}{'s' if names[1:] else ''} {listed}{more}."]
