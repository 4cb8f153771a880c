"""The chooser of columns: what is shown, in order, and a search over all names that runs have."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from experiments import metricstore, queries
from experiments.models import Experiment
from experiments.queries import Place, tokens
from experiments.queries.tokens import CONTEXT, Token
from experiments.views import columns
from experiments.views.runs_of import Addresses, Asked, RunsOf, asked_columns
from mlportal.lib import quantities

LISTED = 40
LEFT_OUT = frozenset({"find", "col", "cols", "part", "cursor", "before", "step"})
AGGREGATES = (("last", "the last value"), ("best", "the best value"), ("min", "the minimum"), ("max", "the maximum"),
              ("step", "the value at step"))  # fmt: skip
BY_LISTED = 100
PARTS = {"groups": "_run_group_by.html", "list": "_run_column_list.html", "all": "_run_columns.html"}
MAX_FIND = 250


@dataclass(frozen=True, slots=True)
class Choice:
    """One column that may be shown."""

    token: Token
    label: str
    note: str
    shown: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Columns of one kind that a search found; ``total`` counts those not listed, too."""

    heading: str
    choices: list[Choice]
    total: int

    @property
    def more(self) -> int:
        """How many are not listed."""
        return max(0, self.total - len(self.choices))


class RunColumns(RunsOf):
    """The chooser of columns, as a page of its own or inside the runs table's."""

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """List the columns shown, and at most 40 names a group of those that match the search."""
        found = self.place(experiment)
        chosen, text = tokens.read(asked_columns(request)), request.GET.get("find", "").strip()[:MAX_FIND]
        kept = [(k, v) for k, values in request.GET.lists() for v in values if k not in LEFT_OUT]
        agg = Asked.of(request).agg
        context = {
            "place": found, "at": Addresses.of(found),
            "shown": columns.made(chosen, [], "last", metricstore.NEWEST_FIRST),
            "pinned": sum(token.pinned for token in chosen), "found": _groups(found, text.replace("\0", ""), chosen),
            "aggregates": AGGREGATES, "agg_kind": agg.partition(":")[0], "agg_step": tokens.step_of(agg),
            "find": text, "kept": kept, "cols_text": tokens.written(chosen), "most": tokens.MAX_COLUMNS,
        }  # fmt: skip
        if request.GET.get("part") == "groups":
            context["by"] = _by_choices(found)
            context["grouped"] = ",".join(request.GET.getlist("group")).split(",")
        part = PARTS.get(request.GET.get("part", ""))
        return render(request, f"experiments/{part or 'run_columns.html'}", context)


def _groups(place: Place, text: str, chosen: list[Token]) -> list[Group]:
    shown = {token.text for token in chosen}
    names, total = metricstore.search_names(queries.hints_of(place), "metric", text, LISTED)
    names = queries.default_metrics(place, names)
    system = [n for n in names if n.startswith(queries.SYSTEM)]
    ranges = metricstore.ranges(queries.hints_of(place), names)
    metrics = [Choice(t, queries.label_of(t.name), _range(ranges.get(t.name)), t.text in shown)
               for name in names if name not in system for t in [Token("m", name)]]  # fmt: skip
    machine = [
        Choice(t, name, _range(ranges.get(name)), t.text in shown) for name in system for t in [Token("m", name)]
    ]
    params, fixed, params_total = _texts(place, "param", text, shown)
    tags, one_tag, tags_total = _texts(place, "tag", text, shown)
    found = [
        Group("Metrics", metrics, total - len(machine)), Group("Parameters that vary", params, len(params)),
        Group("Parameters with one value", fixed, params_total - len(params)),
        Group("Tags", [*tags, *one_tag], tags_total), _context(text, shown),
        Group("System metrics", machine, len(machine)),
    ]  # fmt: skip
    return [group for group in found if group.choices]


def _texts(place: Place, kind: str, text: str, shown: set[str]) -> tuple[list[Choice], list[Choice], int]:
    """Parameters or tags that vary, those of one value, and how many match."""
    names, total = metricstore.search_names(queries.hints_of(place), kind, text, LISTED)
    counts = metricstore.value_counts(queries.hints_of(place), kind, names)
    choices = [
        Choice(t, name, _count(counts.get(name, 0)), t.text in shown) for name in names for t in [Token(kind[0], name)]
    ]
    varying = [c for c in choices if counts.get(c.token.name, 0) > 1]
    return varying, [c for c in choices if c not in varying], total


def _by_choices(place: Place) -> list[tuple[str, list[Token]]]:
    """What runs may be grouped by: at most 100 parameters and tags; the experiment where there are several."""
    scope = queries.hints_of(place)
    known = [
        (heading, [Token(kind[0], name) for name in metricstore.search_names(scope, kind, "", BY_LISTED)[0]])
        for kind, heading in (("param", "Parameters"), ("tag", "Tags"))
    ]
    several = [] if isinstance(place, Experiment) else [("Place", [Token("e", "experiment")])]
    return [*several, *((heading, choices) for heading, choices in known if choices)]


def _context(text: str, shown: set[str]) -> Group:
    named = [(Token("c", name), label) for name, label in CONTEXT.items() if text.lower() in f"{name} {label}".lower()]
    return Group("Context", [Choice(t, label, "", t.text in shown) for t, label in named], len(named))


def _range(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return ""
    low, high = (quantities.metric(end) for end in ends)
    return low if low == high else f"{low} to {high}"


def _count(count: int) -> str:
    if count > metricstore.VALUES_COUNTED:
        return f"{metricstore.VALUES_COUNTED}+ values"
    return f"{count} value{'' if count == 1 else 's'}"
