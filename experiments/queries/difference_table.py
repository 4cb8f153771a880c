"""The difference table of a comparison: metrics, parameters, data, code, packages, baseline first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments import charts
from mlportal.lib import quantities
from projects.models import Project

from . import environments, recorded, runs, spread
from . import metrics as named
from .compared import Comparison, View
from .runs import Difference, RunFacts
from .spread import Spread

SECTION = "Data and models"
CODE = "Code"
PACKAGES = "Packages"
# What clients write of the code a run was made with, and the words for it.
COMMIT, ENTRY = "mlflow.source.git.commit", "mlflow.source.name"
CODE_TAGS = {
    COMMIT: "git commit", "mlflow.source.git.branch": "git branch",
    "mlflow.source.git.repoURL": "repository", ENTRY: "entry point",
    "mlflow.project.entryPoint": "project entry point", "mlflow.source.git.dirty": "changed since the commit",
}  # fmt: skip
# Runs of one page of the table: the baseline and 15 others.
RUNS = 16
# Rows of one page, and metrics of a page of many runs; what more there are is found by name.
MOST_ROWS, MOST_METRICS = 400, 60
WORDS = {"up": "better", "down": "worse", "": ""}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A page of the difference table.

    Parameters
    ----------
    heads : list of RunFacts
        The runs of the page, baseline first.
    rows : list of Difference
        All rows; values in the order of the heads. Whether they differ was asked of all compared runs.
    spreads : mapping of str to Spread
        How far metrics reach over all compared runs, where the page does not show them all.
    page, pages, runs : int
    """

    heads: list[RunFacts]
    rows: list[Difference]
    spreads: Mapping[str, Spread]
    page: int
    pages: int
    runs: int

    def drawn(self, rows: Sequence[Difference]) -> list[Json]:
        """These rows with a cell a run."""
        return [row(d, range(len(self.heads)), self.spreads.get(d.name) if d.is_number else None) for d in rows]

    def shown(self, view: View) -> list[Difference]:
        """The rows that a view asks for: those that differ unless it wants all, and those named so."""
        only, find = view.get("diff", "1") != "0", view.get("dfind").strip().casefold()
        return [d for d in self.rows if (d.differs or not only) and find in d.name.casefold()]

    def first(self, rows: Sequence[Difference]) -> list[Difference]:
        """Return those of the rows that a page bears: metrics leave room for what the runs were made with."""
        others = [d for d in rows if d.section != "Metrics"]
        room = MOST_METRICS if self.pages > 1 else max(MOST_METRICS, MOST_ROWS - len(others))
        return [*[d for d in rows if d.section == "Metrics"][:room], *others][:MOST_ROWS]


def table(made: Comparison, chosen: Sequence[RunFacts] | None = None) -> Table:
    """Return the page of the table that a comparison asks for.

    Parameters
    ----------
    chosen : sequence of RunFacts, optional
        The coloured runs, where they were read already.
    """
    system = made.view.get("system") == "1"
    if len(made.compared) <= RUNS:
        facts = list(chosen) if chosen is not None else runs.facts_of(made.coloured)
        heads = [facts[i] for i in base_first(made, facts)]
        rows = _read_first(made, rows_of(heads, made.place.project, system=system) if heads else [])
        return Table(heads, rows, {}, 1, 1, len(heads))
    return _page(made, system=system)


def _page(made: Comparison, *, system: bool) -> Table:
    """One page of many runs: metrics are read of its runs alone, everything else of all, to say what differs."""
    others = [pk for pk in dict.fromkeys([*made.coloured, *made.compared]) if pk != made.base]
    pages = math.ceil(len(others) / (RUNS - 1))
    asked = made.view.get("dpage")
    page = max(1, min(pages, int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1))
    first = (page - 1) * (RUNS - 1)
    order = [pk for pk in [made.base, *others] if pk is not None]
    every = runs.documents_of(order)
    places = [0, *range(1 + first, min(len(every), first + RUNS))]
    heads = runs.facts_of([every[i].run.pk for i in places])
    facts = rows_of(every, made.place.project)  # these were read without metrics
    spreads = spread.of_metrics(order)
    rows = [*_metric_rows(heads, spreads, len(every), system=system), *(_at(d, places) for d in facts)]
    return Table(heads, _read_first(made, rows, spreads), spreads, page, pages, len(every))


def _read_first(
    made: Comparison, rows: Sequence[Difference], spreads: Mapping[str, Spread] | None = None
) -> list[Difference]:
    """Metrics in the order people read them; of many runs first those that most have."""
    rank = {name: at for at, name in enumerate(made.metrics)}
    count = {name: each.count for name, each in spreads.items()} if spreads else {}
    metrics = [d for d in rows if d.section == "Metrics"]
    metrics.sort(key=lambda d: (-count.get(d.name, 0), rank.get(d.name, len(rank))))
    return [*metrics, *(d for d in rows if d.section != "Metrics")]


def _at(difference: Difference, places: Sequence[int]) -> Difference:
    return replace(difference, values=[difference.values[i] for i in places])


def _metric_rows(
    heads: Sequence[RunFacts], spreads: Mapping[str, Spread], count: int, *, system: bool
) -> list[Difference]:
    names = [name for name in sorted(spreads) if system or not name.startswith(named.SYSTEM)]
    return [
        Difference("Metrics", name, [f.value(name) for f in heads], True, named.higher_is_better(name),
                   spreads[name].differs(count))
        for name in names
    ]  # fmt: skip


def rows_of(chosen: Sequence[RunFacts], project: Project, *, system: bool = False) -> list[Difference]:
    """All rows of the table, those that do not differ too."""
    rows = runs.differences(chosen, only_different=False)
    if not system:
        rows = [d for d in rows if d.section != "Metrics" or not d.name.startswith(named.SYSTEM)]
    more = [*recorded_rows(chosen, project), *code_rows(chosen), *package_rows(chosen)]
    return [*rows, *(replace(row, differs=len(set(row.values)) > 1) for row in more)]


def base_first(made: Comparison, chosen: Sequence[RunFacts]) -> list[int]:
    """Places of the runs with the baseline's in front."""
    at_base = next((i for i, f in enumerate(chosen) if f.run.pk == made.base), 0)
    return [at_base, *(i for i in range(len(chosen)) if i != at_base)] if chosen else []


def recorded_rows(chosen: Sequence[RunFacts], project: Project) -> list[Difference]:
    """Datasets by what they were read for, and the models made."""
    ids = [f.run.pk for f in chosen]
    datasets, models = recorded.datasets_of(project, ids), recorded.models_of_runs(ids)
    contexts = list(dict.fromkeys(line.context for pk in ids for line in datasets[pk]))
    rows = [
        Difference(SECTION, f"dataset, {context or 'no context'}",
                   [_joined(d.label for d in datasets[pk] if d.context == context) for pk in ids])
        for context in sorted(contexts)
    ]  # fmt: skip
    for direction, words in (("output", "models made"), ("input", "models read")):
        values = [_joined(line.model.name for line in models[pk] if line.direction == direction) for pk in ids]
        if any(values):
            rows.append(Difference(SECTION, words, list(values)))
    if any(models.values()):
        rows.append(Difference(SECTION, "registered as", [
            _joined(v.label for line in models[pk] for v in line.versions) for pk in ids
        ]))  # fmt: skip
    return rows


def code_rows(chosen: Sequence[RunFacts]) -> list[Difference]:
    """Version of the code, as the clients' tags tell: the commit, or what was run where there is none."""
    version = Difference(CODE, "code version", [f.tags.get(COMMIT) or f.tags.get(ENTRY) for f in chosen])
    told = [Difference(CODE, words, [f.tags.get(tag) for f in chosen]) for tag, words in CODE_TAGS.items()]
    rows = [version, *told]
    return [row for row in rows if any(value is not None for value in row.values)]


def package_rows(chosen: Sequence[RunFacts]) -> list[Difference]:
    """Versions of Python and of the packages, from the files that were stored with the runs."""
    found = environments.packages_of([f.run.pk for f in chosen])
    names = sorted({name for packages in found.values() for name in packages})
    return [Difference(PACKAGES, name, [found[f.run.pk].get(name) for f in chosen]) for name in names]


def row(difference: Difference, order: Sequence[int], reach: Spread | None = None) -> Json:
    """One row with a cell a run, the first being the baseline's; the best is looked for in all that is compared."""
    values = [difference.values[i] for i in order]
    arrow = named.arrow_of(difference.name) if difference.is_number else ""
    found = [reach.low, reach.high] if reach is not None else values
    numbers = [v for v in found if isinstance(v, float) and math.isfinite(v)] if difference.is_number else []
    best = (max if difference.higher_is_better else min)(numbers) if arrow and len(set(numbers)) > 1 else None
    cells = [_cell(difference, values, at, best=best, judged=bool(arrow)) for at in range(len(values))]
    label = named.label_of(difference.name) if difference.is_number else difference.name
    return {"section": difference.section, "name": difference.name, "label": label, "arrow": arrow,
            "is_number": difference.is_number, "cells": cells}  # fmt: skip


def _cell(difference: Difference, values: Sequence[object], at: int, *, best: float | None, judged: bool) -> Json:
    value, base = values[at], values[0]
    if difference.is_number:
        found = delta(value, base, higher=difference.higher_is_better) if at else {}
    else:  # a parameter that is a number shows by how much it differs, without a judgement
        is_param = difference.section == "Parameters" and at and value != base
        judged, found = False, delta(_number(value), _number(base), higher=True) if is_param else {}
    if found and not judged:
        found |= {"way": "", "word": ""}
    if found.get("delta") is not None:
        found["text"] = quantities.signed(found["delta"]) if difference.is_number else _plain(found["delta"])
    return {
        "value": value, "best": best is not None and value == best, "is_base": at == 0,
        "changed": not difference.is_number and value != base, **found,
    }  # fmt: skip


def delta(value: object, other: object, *, higher: bool) -> Json:
    """How far a value is from the baseline's, and whether that is better."""
    if not isinstance(value, float) or not isinstance(other, float) or not math.isfinite(value - other):
        return {"delta": None, "way": "", "word": ""}
    found = value - other
    way = "" if found == 0 else "up" if (found > 0) == higher else "down"
    return {"delta": found, "way": way, "word": WORDS[way]}


def _number(value: object) -> float | None:
    return charts.number(value) if isinstance(value, str) else None


def _plain(value: float) -> str:
    return f"{value:+.4g}".replace("-", quantities.MINUS)


def _joined(values: Any) -> str | None:
    return ", ".join(dict.fromkeys(values)) or None
