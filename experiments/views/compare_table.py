"""The run strip and the difference table of the compare page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments import queries
from experiments.queries import RunFacts, difference_table
from experiments.queries.compared import Comparison

Json = dict[str, Any]


def cards(made: Comparison, chosen: Sequence[RunFacts]) -> list[Json]:
    """One card a coloured run, measured against the baseline."""
    primary, base = made.primary, next((f for f in chosen if f.run.pk == made.base), None)
    other = base.value(primary) if base and primary else None
    out = []
    for facts in chosen:
        pk, value = facts.run.pk, facts.value(primary) if primary else None
        out.append({
            "run": facts.run, "k": made.colours[pk][0], "value": value, "is_base": pk == made.base,
            **difference_table.delta(value, other, higher=queries.higher_is_better(primary)),
            "others": ",".join(str(i) for i in made.compared if i != pk),
        })  # fmt: skip
    return out


def table(made: Comparison, chosen: Sequence[RunFacts], strip: Sequence[Json]) -> Json:
    """What the table's template reads: the baseline first, only what differs unless all is asked for."""
    system = made.view.get("system") == "1"
    everything = difference_table.rows_of(chosen, made.experiment.project, system=system) if chosen else []
    different = [d for d in everything if d.differs]
    only = made.view.get("diff", "1") != "0"
    order = difference_table.base_first(made, chosen)
    rows = [difference_table.row(d, order) for d in (different if only else everything)]
    heads = [strip[i] for i in order]
    return {
        "diff_by_run": [(card, [(r, r["cells"][at]) for r in rows]) for at, card in enumerate(heads)],
        "only": only, "diff_rows": rows, "diff_runs": heads, "by_rows": made.view.get("orient") == "rows",
        "param_count": sum(d.section == "Parameters" for d in everything),
        "param_diff": sum(d.section == "Parameters" for d in different),
    }  # fmt: skip
