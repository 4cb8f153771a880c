"""Parameter importance on the compare page: a card that asks for it, waits, and shows it."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from experiments import charts, queries
from experiments.models import ImportanceStudy
from experiments.queries import compared
from experiments.queries.compared import Comparison, View
from experiments.services import importance
from experiments.views.runs_of import Addresses, RunsOf
from projects.actor import Actor
from projects.permissions import Permission

SHOWN = 20
CAVEAT = (
    "Importance says what the forest used to predict the metric, not what causes it. Parameters that vary together "
    "share importance, few runs make it unsteady, and below an out-of-bag score of about 0.3 the order means little."
)
Json = dict[str, Any]


def card(by: Actor, made: Comparison) -> Json:
    """What the card reads: the question, why it cannot be asked, or the study so far."""
    metric = found if (found := made.view.get("im")) in made.metrics else made.primary
    asked = importance.question_of(made, metric)
    study = None if asked.refusal else importance.found(by, asked=asked)
    return {
        "metric": metric, "label": queries.label_of(metric), "runs": len(asked.dots), "refusal": asked.refusal,
        "study": study, "caveat": CAVEAT,
        "choices": [(m, queries.label_of(m), m == metric) for m in made.metrics[:200]],
        **(shown(study, metric) if study is not None and study.result else {}),
    }  # fmt: skip


def shown(study: ImportanceStudy, metric: str) -> Json:
    """The answer as a figure and as table rows, most important first."""
    result = study.result
    lines = [
        {**line, "way": _way(line["correlation"])} for line in result["params"][:SHOWN]
    ]  # fmt: skip
    figure = charts.importance([{"feature": p["name"], "mean": p["mean"], "std": p["std"]} for p in lines])
    top = lines[0]
    words = (
        f"{top['name']} matters most for {queries.label_of(metric)} over {result['runs']:,} runs; "
        f"out-of-bag score {result['oob']:.2f}."
    )
    return {"lines": lines, "oob": result["oob"], "finding": words,
            "figure_json": json.dumps({**figure, "xt": "Loss of R2 when shuffled", "label": words})}  # fmt: skip


def _way(correlation: float | None) -> str:
    if correlation is None:
        return "words, no direction"
    if abs(correlation) < 0.1:
        return "no direction"
    return "more goes with more" if correlation > 0 else "more goes with less"


class CompareImportance(RunsOf):
    """The card alone, and asking for a study."""

    write_permission = Permission.RUN_EDIT  # it takes a worker; who may only look sees what was computed

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponseBase:
        """Show the card: htmx asks while a worker computes."""
        made = compared.compare(self.actor, self.place(experiment), View(request.GET))
        return self._card(request, made)

    def post(self, request: HttpRequest, experiment: str = "") -> HttpResponseBase:
        """Have it computed."""
        view = View.of_text(request.POST.get("state", ""))
        made = compared.compare(self.actor, self.place(experiment, view), view)
        asked = importance.question_of(made, found if (found := view.get("im")) in made.metrics else made.primary)
        importance.ask(self.actor, asked=asked)
        if request.headers.get("HX-Request"):
            return self._card(request, made)
        return redirect(f"{Addresses.of(made.place)['compare']}?{view.text()}")

    def _card(self, request: HttpRequest, made: Comparison) -> HttpResponseBase:
        return render(request, "experiments/_importance.html", {
            "importance": card(self.actor, made), "state": made.view.text(), "at": Addresses.of(made.place),
        })  # fmt: skip
