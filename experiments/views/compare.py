"""The compare page: curves, parallel coordinates, scatter, contour, spread, importance, and what differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments import queries
from experiments.models import Experiment
from experiments.queries import RunFacts, compared, evaluations, panels
from experiments.queries.compared import Comparison, View
from experiments.views import address_faults, compare_importance, compare_table, saved
from experiments.views.compare_recorded import recorded
from experiments.views.runs_of import Addresses, RunsOf

CONTROLS = {"x": "step", "y": "lin", "smooth": "0", "clip": ""}
LISTED = 200
NAMED = 10
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a select or a check list."""

    token: str
    label: str
    chosen: bool


class Compared(RunsOf):
    """Base of everything that answers for one comparison."""

    abstract = True

    def comparison(self, request: HttpRequest, experiment: str, *, around: bool = True) -> Comparison:
        """The runs that the address names, and those around them."""
        return compared.compare(self.actor, self.place(experiment), View(request.GET), around=around)

    def posted(self, request: HttpRequest, experiment: str) -> Comparison:
        """The comparison that a form carries."""
        view = View.of_text(request.POST.get("state", ""))
        return compared.compare(self.actor, self.place(experiment, view), view)


class RunCompare(Compared):
    """Several runs side by side; the address holds the whole view."""

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Compare the runs of the address, or the best ones."""
        if request.GET.get("as") == "filter":
            return redirect(_kept(request))
        place = self.place(experiment)
        if view := saved.opened(request, self.actor, place, "compare"):
            return redirect(view)
        made = compared.compare(self.actor, place, View(request.GET))
        chosen = queries.facts_of(made.coloured)
        more = saved.context(request, self.actor, place, "compare")
        if made.primary:
            more["importance"] = compare_importance.card(self.actor, made)
        return render(request, "experiments/run_compare.html", {**context(made, chosen), **more})


def _kept(request: HttpRequest) -> str:
    """The address that compares what the ranges keep: they become part of the filter."""
    view = View(request.GET)
    text = f"{view.get('q')} {view.get('keep')}".strip()
    return f"{request.path}?{view.text(q=text, keep=None, runs=None, hi=None)}"


def context(made: Comparison, chosen: list[RunFacts]) -> Json:
    """Everything the compare template reads; the points of the charts come by their own addresses."""
    asked = made.view.asked
    curves = panels.curve_names(made)
    plan = panels.plan(made)
    made.load([*curves, *([made.primary] if made.primary else [])])
    cards = compare_table.cards(made, chosen)
    return {
        **where(made), "made": made, "fault": made.fault, "absent": absent(made), "unread": unread(made.view),
        "address_faults": address_faults.of_comparison(made, plan["every"]) if chosen else [],
        "cards": cards, "heading": heading(made),
        "primary": made.primary, "primary_label": queries.label_of(made.primary),
        "curves": [_curve(made, name) for name in curves], "metric_choices": _metric_choices(made, curves),
        "has_contour": panels.has_surface(made, plan),
        "choices": _choices(plan), "axis_count": len(plan["axes"]), "has_facts": bool(plan["every"] and made.primary),
        "has_boxes": bool(plan["params"] and made.primary), "has_axes": len(plan["axes"]) > 1,
        "controls": {name: asked.get(name, initial) for name, initial in CONTROLS.items()},
        "has_system": any(m.startswith(queries.SYSTEM) for f in chosen for m in f.metrics),
        "system": asked.get("system") == "1", "asked": asked, "crowd_size": len(made.dots),
        "grey": len(made.compared) - len(made.coloured), "hi_text": ", ".join(str(pk) for pk in made.coloured),
        "runs_text": ",".join(str(pk) for pk in made.compared) if asked.get("runs") or not asked.get("q") else "",
        "evaluations": evaluations.read(made), **recorded(chosen, made.place.project, asked),
        **compare_table.table(made, chosen),
    }  # fmt: skip


def where(made: Comparison) -> Json:
    """What every page of a comparison says of its place, and its address."""
    place = made.place
    return {
        "place": place, "at": Addresses.of(place), "state": made.view.text(),
        "experiment": queries.experiment_of(place), "folder_path": () if isinstance(place, Experiment) else place.path,
    }  # fmt: skip


def absent(made: Comparison) -> str:
    """Which runs that were asked for are not of the place compared."""
    shown = made.absent[:NAMED]
    if not shown:
        return ""
    more = f" and {len(made.absent) - NAMED:,} more" if made.absent[NAMED:] else ""
    where = f"in {made.place.name}" if isinstance(made.place, Experiment) else "here"
    words = "Run {} is not {}." if len(made.absent) == 1 else "Runs {} are not {}."
    return words.format(f"{', '.join(map(str, shown))}{more}", where)


def unread(view: View) -> str:
    """What is wrong with the numbers of runs in an address."""
    words = [word[:40] for _, word in view.unread]
    return f"'{words[0]}' is no number of a run; write 2311,2304." if words else ""


def heading(made: Comparison) -> str:
    """Compare 6 runs."""
    return f"Compare {len(made.compared):,} run{'' if len(made.compared) == 1 else 's'}"


def _curve(made: Comparison, name: str) -> Json:
    return {
        "name": name, "label": queries.label_of(name), "arrow": queries.arrow_of(name),
        "finding": panels.finding(made, name),
    }  # fmt: skip


def _metric_choices(made: Comparison, shown: list[str]) -> list[Choice]:
    """Those drawn first, then as many as a list bears; others are named by hand."""
    rest = [m for m in made.metrics if m not in shown]
    return [Choice(m, queries.label_of(m), m in shown) for m in [*shown, *rest][:LISTED]]


def _choices(plan: Json) -> dict[str, list[Choice]]:
    """Options of each select of the charts."""
    lists = {
        "sx": plan["every"], "sy": plan["every"], "cx": plan["numeric"], "cy": plan["numeric"], "cz": plan["measures"],
        "group": plan["params"], "axes": plan["every"],
    }  # fmt: skip
    return {name: _options(plan[name], options) for name, options in lists.items()}


def _options(chosen: str | list[str], every: list[str]) -> list[Choice]:
    picked = [chosen] if isinstance(chosen, str) else chosen
    listed = [*(t for t in picked if t), *(t for t in every if t not in picked)][:LISTED]
    order = {t: at for at, t in enumerate(every)}
    if isinstance(chosen, str):
        listed.sort(key=lambda t: order.get(t, 0))
    return [Choice(t, panels.label_of(t), t in picked) for t in listed]
