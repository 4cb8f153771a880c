"""The compare page: curves, parallel coordinates, scatter, spread, and a table of what differs."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from experiments import charts, metricstore, queries
from experiments.metricstore import FilterError, Order
from experiments.models import Experiment
from experiments.queries import Difference, RunFacts
from experiments.views.compare_recorded import recorded, recorded_rows
from experiments.views.runs_of import RunsOf

MAX_RUNS = 16
FIRST_RUNS = 6
FIRST_METRICS = 4
MAX_METRICS = 8
LOOKED_AT = 24
POPULATION = 300
POINTS = 500
AXES = 7
CONTROLS = {"x": "step", "y": "lin", "smooth": "0", "clip": ""}


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a select or a check list."""

    token: str
    label: str
    chosen: bool


class RunCompare(RunsOf):
    """Several runs side by side; the address holds the whole view."""

    def get(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """Compare the runs of the address, or the best ones."""
        found = self.experiment(experiment)
        known = metricstore.known_keys(found.pk)
        metrics = queries.default_metrics(found, known["metric"])
        if request.GET.get("system") != "1":
            metrics = [m for m in metrics if not m.startswith(queries.SYSTEM)]
        crowd, fault = self._crowd(request, found, self.order(found, ""))
        chosen = self._chosen(request, found, crowd)
        context = _Comparison(request, found, metrics, chosen, crowd).context()
        return render(request, "experiments/run_compare.html", {**context, "fault": fault})

    def _crowd(
        self, request: HttpRequest, found: Experiment, order: Order
    ) -> tuple[list[RunFacts], FilterError | None]:
        text, fault = request.GET.get("q", ""), None
        try:
            question = queries.question(self.actor, found, text, order)
            ids = metricstore.search(question, limit=POPULATION).run_ids
        except FilterError as error:
            fault = error
            ids = metricstore.search(queries.question(self.actor, found, "", order), limit=POPULATION).run_ids
        return queries.facts_of(ids), fault

    def _chosen(self, request: HttpRequest, found: Experiment, crowd: list[RunFacts]) -> list[RunFacts]:
        given = request.GET.get("runs", "")
        numbers = [int(n) for n in given.split(",") if n.isascii() and n.isdigit() and len(n) < 19]
        base = request.GET.get("base", "")
        if base.isascii() and base.isdigit() and len(base) < 19 and int(base) not in numbers:
            numbers.append(int(base))
        if not given:
            return crowd[:FIRST_RUNS]
        wanted = list(dict.fromkeys(numbers))[:MAX_RUNS]
        return [f for f in queries.facts_of(wanted) if f.run.experiment_id == found.pk]


class _Comparison:
    """Everything the compare template reads."""

    def __init__(
        self,
        request: HttpRequest,
        experiment: Experiment,
        metrics: list[str],
        chosen: list[RunFacts],
        crowd: list[RunFacts],
    ) -> None:
        self.asked, self.experiment, self.metrics, self.chosen = request.GET, experiment, metrics, chosen
        ids = {f.run.pk for f in chosen}
        self.crowd = [*chosen, *(f for f in crowd if f.run.pk not in ids)]
        self.colours = {f.run.pk: charts.colour_of(at) for at, f in enumerate(chosen)}
        # A metric that all of them have, where there is one: without it there is nothing to compare by.
        shared = (m for m in metrics if all(f.value(m) is not None for f in chosen))
        self.primary = next(shared, metrics[0] if metrics else "")
        base = self.asked.get("base", "")
        self.base = next((f for f in chosen if str(f.run.pk) == base), chosen[0] if chosen else None)

    def context(self) -> dict[str, Any]:
        """Template context."""
        varying = queries.varying_params(self.crowd)
        curves = self._curves()
        return {
            "experiment": self.experiment, "cards": self._cards(), "heading": self._heading(),
            "base": self.base, "primary": self.primary,
            "primary_label": queries.label_of(self.primary) if self.primary else "", "curves": curves,
            "curve_data": self._curve_data([c["name"] for c in curves]), "metric_choices": self._metric_choices(curves),
            **self._parallel(varying), **self._scatter(varying), **self._boxes(varying), **self._differences(),
            "controls": {name: self.asked.get(name, initial) for name, initial in CONTROLS.items()},
            "has_system": any(m.startswith(queries.SYSTEM) for f in self.chosen for m in f.metrics),
            "system": self.asked.get("system") == "1", **recorded(self.chosen, self.experiment.project, self.asked),
            "runs_text": ",".join(str(f.run.pk) for f in self.chosen), "crowd_size": len(self.crowd),
            "asked": self.asked,
        }  # fmt: skip

    def _heading(self) -> str:
        return f"Compare {len(self.chosen)} run{'' if len(self.chosen) == 1 else 's'}"

    def _cards(self) -> list[dict[str, Any]]:
        other = self.base.value(self.primary) if self.base and self.primary else None
        ids = [str(f.run.pk) for f in self.chosen]
        cards = []
        for at, facts in enumerate(self.chosen):
            value = facts.value(self.primary) if self.primary else None
            cards.append(
                {
                    "run": facts.run, "k": self.colours[facts.run.pk][0], "value": value, "is_base": facts is self.base,
                    **_delta(value, other, higher=queries.higher_is_better(self.primary)),
                    "others": ",".join(i for j, i in enumerate(ids) if j != at),
                }
            )  # fmt: skip
        return cards

    def _curves(self) -> list[dict[str, str]]:
        asked = [m for m in self.asked.get("m", "").split(",") if m in self.metrics][:MAX_METRICS]
        picked = [m for m in self.asked.getlist("metric") if m in self.metrics][:MAX_METRICS]
        names = picked or asked or self._with_curves()[:FIRST_METRICS] or self.metrics[:FIRST_METRICS]
        return [
            {
                "name": n,
                "label": queries.label_of(n),
                "arrow": queries.arrow_of(n),
                "finding": self._finding(n),
            }
            for n in names
        ]

    def _with_curves(self) -> list[str]:
        """Metrics that one of the runs logged more than once."""
        ids = [f.run.pk for f in self.chosen]
        series = metricstore.many_series(
            ids, [m for m in self.metrics if not m.startswith("cv/")][:LOOKED_AT], at_most=POINTS
        )
        long = {name for (_, name), found in series.items() if found.total > 1}
        return [m for m in self.metrics if m in long]

    def _finding(self, metric: str) -> str:
        """Say what a chart shows, for those who do not see it."""
        known = [(v, f.run) for f in self.chosen if (v := f.value(metric)) is not None and math.isfinite(v)]
        if not known:
            return f"{queries.label_of(metric)}: none of these runs has values."
        value, run = (max if queries.higher_is_better(metric) else min)(known, key=lambda pair: pair[0])
        return f"{queries.label_of(metric)} of {len(known)} runs; run {run.pk} is best with {value:.4g}."

    def _curve_data(self, names: list[str]) -> dict[str, Any]:
        ids = [f.run.pk for f in self.chosen]
        found = metricstore.many_series(ids, names, at_most=POINTS)
        runs = []
        for facts in self.chosen:
            colour, dash = self.colours[facts.run.pk]
            series = {n: found[facts.run.pk, n] for n in names if (facts.run.pk, n) in found}
            runs.append(
                {
                    "id": facts.run.pk, "name": f"{facts.run.pk} {facts.run.name}", "k": colour, "dash": dash,
                    "started": facts.run.started_ms,
                    "metrics": {
                        n: {
                            "steps": s.steps.tolist(),
                            "times": s.stamps.tolist(),
                            "values": charts.finite(s.values.tolist()),
                        }
                        for n, s in series.items()
                    },
                }
            )  # fmt: skip
        return {"runs": runs}

    def _metric_choices(self, curves: list[dict[str, str]]) -> list[Choice]:
        shown = {c["name"] for c in curves}
        return [Choice(m, queries.label_of(m), m in shown) for m in self.metrics]

    def _fact(self, facts: RunFacts, token: str) -> object:
        kind, _, name = token.partition(".")
        if kind == "p":
            return facts.params.get(name)
        value = facts.value(name)
        return value if value is not None and math.isfinite(value) else None

    def _drawn(self, facts: RunFacts) -> dict[str, Any]:
        colour, dash = self.colours.get(facts.run.pk, (0, 0))
        return {"id": facts.run.pk, "name": f"{facts.run.pk} {facts.run.name}", "k": colour, "dash": dash}

    def _parallel(self, varying: list[str]) -> dict[str, Any]:
        every = {f"p.{p}": p for p in varying} | {f"m.{m}": queries.label_of(m) for m in self.metrics}
        picked = [t for t in self.asked.getlist("axis") if t in every] or [
            t for t in self.asked.get("axes", "").split(",") if t in every
        ]
        standard = [*(f"p.{p}" for p in varying[: AXES - 1]), *([f"m.{self.primary}"] if self.primary else [])]
        names = {t: every[t] for t in (picked or standard)[:10]}
        rows = [{**self._drawn(f), "values": {t: self._fact(f, t) for t in names}} for f in self.crowd]
        data = charts.parallel(names, rows) if len(names) > 1 else None
        return {
            "parallel": data if data and data["rows"] else None,
            "axis_choices": [Choice(t, label, t in names) for t, label in every.items()],
        }

    def _scatter(self, varying: list[str]) -> dict[str, Any]:
        xs = [f"p.{p}" for p in varying] + [f"m.{m}" for m in self.metrics]
        ys = [f"m.{m}" for m in self.metrics]
        if not xs or not ys:
            return {"scatter": None}
        x = self.asked.get("sx") if self.asked.get("sx") in xs else xs[0]
        y = self.asked.get("sy") if self.asked.get("sy") in ys else f"m.{self.primary}"
        points = [
            {**self._drawn(f), "x": self._fact(f, x), "y": self._fact(f, y)}
            for f in self.crowd
            if self._fact(f, x) is not None and self._fact(f, y) is not None
        ]
        label = {t: queries.label_of(t[2:]) for t in xs}
        return {
            "scatter": charts.scatter(label[x], label[y], points),
            "scatter_label": f"{label[y]} by {label[x]} for {len(points)} runs.",
            "scatter_x": [Choice(t, label[t], t == x) for t in xs],
            "scatter_y": [Choice(t, label[t], t == y) for t in ys],
        }

    def _boxes(self, varying: list[str]) -> dict[str, Any]:
        if not varying or not self.primary:
            return {"boxes": None}
        measured = [f for f in self.crowd if self._fact(f, f"m.{self.primary}") is not None]
        known = [p for p in varying if sum(p in f.params for f in measured) > 1]
        name = self.asked.get("group") if self.asked.get("group") in varying else (known or varying)[-1]
        groups: dict[str, list[float]] = defaultdict(list)
        for facts in self.crowd:
            value = self._fact(facts, f"m.{self.primary}")
            if name in facts.params and value is not None:
                groups[facts.params[name]].append(float(value))
        label = queries.label_of(self.primary)
        return {
            "boxes": charts.boxes(name, label, groups),
            "box_label": f"Spread of {label} for {len(groups)} values of {name}.",
            "box_choices": [Choice(p, p, p == name) for p in varying],
        }

    def _differences(self) -> dict[str, Any]:
        everything = [*_without_system(queries.differences(self.chosen, only_different=False), self.asked),
                      *recorded_rows(self.chosen, self.experiment.project)]  # fmt: skip
        different = [d for d in everything if d.differs]
        only = self.asked.get("diff", "1") != "0"
        base_at = self.chosen.index(self.base) if self.base else 0
        order = [base_at, *(i for i in range(len(self.chosen)) if i != base_at)]
        rows = [_row(d, order) for d in (different if only else everything)]
        cards = self._cards()
        diff_cards = [cards[i] for i in order] if self.chosen else []
        params = sum(d.section == "Parameters" for d in everything)
        return {
            "diff_by_run": [(card, [(r, r["cells"][at]) for r in rows]) for at, card in enumerate(diff_cards)],
            "only": only, "diff_rows": rows, "diff_runs": diff_cards,
            "by_rows": self.asked.get("orient") == "rows", "param_count": params,
            "param_diff": sum(d.section == "Parameters" for d in different),
        }  # fmt: skip


def _without_system(rows: list[Difference], asked: QueryDict) -> list[Difference]:
    """Leave out what clients measured of the machine, unless it is asked for."""
    if asked.get("system") == "1":
        return rows
    return [d for d in rows if d.section != "Metrics" or not d.name.startswith(queries.SYSTEM)]


def _row(difference: Difference, order: list[int]) -> dict[str, Any]:
    values = [difference.values[i] for i in order]
    arrow = queries.arrow_of(difference.name) if difference.is_number else ""
    numbers = [v for v in values if isinstance(v, float) and math.isfinite(v)] if difference.is_number else []
    best = (max if difference.higher_is_better else min)(numbers) if arrow and len(set(numbers)) > 1 else None
    cells = []
    for at, value in enumerate(values):
        delta = _delta(value, values[0], higher=difference.higher_is_better) if at and difference.is_number else {}
        if delta and not arrow:
            delta["way"] = ""
        cells.append(
            {
                "value": value, "best": best is not None and value == best, "is_base": at == 0,
                "changed": not difference.is_number and value != values[0], **delta,
            }
        )  # fmt: skip
    label = queries.label_of(difference.name) if difference.is_number else difference.name
    return {"section": difference.section, "name": difference.name, "label": label, "arrow": arrow,
            "is_number": difference.is_number, "cells": cells}  # fmt: skip


def _delta(value: object, other: object, *, higher: bool) -> dict[str, Any]:
    if not isinstance(value, float) or not isinstance(other, float) or not math.isfinite(value - other):
        return {"delta": None, "way": ""}
    delta = value - other
    return {"delta": delta, "way": "" if delta == 0 else "up" if (delta > 0) == higher else "down"}
