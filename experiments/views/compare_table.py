"""The run strip and the difference table of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from experiments import charts, queries
from experiments.queries import Difference, RunFacts
from experiments.queries.compared import Comparison
from experiments.views.compare_recorded import recorded_rows
from mlportal.lib import ui

Json = dict[str, Any]
WORDS = {"up": "better", "down": "worse", "": ""}


def cards(made: Comparison, chosen: Sequence[RunFacts]) -> list[Json]:
    """One card a coloured run, measured against the baseline."""
    primary, base = made.primary, next((f for f in chosen if f.run.pk == made.base), None)
    other = base.value(primary) if base and primary else None
    out = []
    for facts in chosen:
        pk, value = facts.run.pk, facts.value(primary) if primary else None
        out.append({
            "run": facts.run, "k": made.colours[pk][0], "value": value, "is_base": pk == made.base,
            **delta(value, other, higher=queries.higher_is_better(primary)),
            "others": ",".join(str(i) for i in made.compared if i != pk),
        })  # fmt: skip
    return out


def differences(made: Comparison, chosen: Sequence[RunFacts]) -> list[Difference]:
    """All rows of the table: metrics, parameters, data, code and packages, tags."""
    rows = queries.differences(chosen, only_different=False)
    if made.view.get("system") != "1":
        rows = [d for d in rows if d.section != "Metrics" or not d.name.startswith(queries.SYSTEM)]
    return [*rows, *recorded_rows(chosen, made.experiment.project)]


def table(made: Comparison, chosen: Sequence[RunFacts], strip: Sequence[Json]) -> Json:
    """What the table's template reads: the baseline first, only what differs unless all is asked for."""
    everything = differences(made, chosen) if chosen else []
    different = [d for d in everything if d.differs]
    only = made.view.get("diff", "1") != "0"
    at_base = next((i for i, f in enumerate(chosen) if f.run.pk == made.base), 0)
    order = [at_base, *(i for i in range(len(chosen)) if i != at_base)] if chosen else []
    rows = [row(d, order) for d in (different if only else everything)]
    heads = [strip[i] for i in order]
    return {
        "diff_by_run": [(card, [(r, r["cells"][at]) for r in rows]) for at, card in enumerate(heads)],
        "only": only, "diff_rows": rows, "diff_runs": heads, "by_rows": made.view.get("orient") == "rows",
        "param_count": sum(d.section == "Parameters" for d in everything),
        "param_diff": sum(d.section == "Parameters" for d in different),
    }  # fmt: skip


def row(difference: Difference, order: Sequence[int]) -> Json:
    """One row with a cell a run, the first being the baseline's."""
    values = [difference.values[i] for i in order]
    arrow = queries.arrow_of(difference.name) if difference.is_number else ""
    numbers = [v for v in values if isinstance(v, float) and math.isfinite(v)] if difference.is_number else []
    best = (max if difference.higher_is_better else min)(numbers) if arrow and len(set(numbers)) > 1 else None
    cells = [_cell(difference, values, at, best=best, judged=bool(arrow)) for at in range(len(values))]
    label = queries.label_of(difference.name) if difference.is_number else difference.name
    return {"section": difference.section, "name": difference.name, "label": label, "arrow": arrow,
            "is_number": difference.is_number, "cells": cells}  # fmt: skip


def _cell(difference: Difference, values: Sequence[object], at: int, *, best: float | None, judged: bool) -> Json:
    value, base = values[at], values[0]
    if difference.is_number:
        found = delta(value, base, higher=difference.higher_is_better) if at else {}
    else:  # a parameter that is a number shows by how much it differs, without a judgement
        judged, found = False, delta(_number(value), _number(base), higher=True) if at and value != base else {}
    if found and not judged:
        found |= {"way": "", "word": ""}
    if found.get("delta") is not None:
        found["text"] = ui.signed(found["delta"]) if difference.is_number else _plain(found["delta"])
    return {
        "value": value, "best": best is not None and value == best, "is_base": at == 0,
        "changed": not difference.is_number and value != base, **found,
    }  # fmt: skip


def _number(value: object) -> float | None:
    return charts.number(value) if isinstance(value, str) else None


def _plain(value: float) -> str:
    return f"{value:+.4g}".replace("-", ui.MINUS)


def delta(value: object, other: object, *, higher: bool) -> Json:
    """How far a value is from the baseline's, and whether that is better."""
    if not isinstance(value, float) or not isinstance(other, float) or not math.isfinite(value - other):
        return {"delta": None, "way": "", "word": ""}
    found = value - other
    way = "" if found == 0 else "up" if (found > 0) == higher else "down"
    return {"delta": found, "way": way, "word": WORDS[way]}
