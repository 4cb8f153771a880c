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


def table(made: Comparison, chosen: Sequence[RunFacts]) -> Json:
    """What the table's template reads: the baseline first, only what differs unless all is asked for."""
    found = difference_table.table(made, chosen)
    shown = found.shown(made.view)
    rows = found.drawn(found.first(shown))
    colours = made.colours
    heads = [
        {"run": f.run, "k": colours.get(f.run.pk, (0, 0))[0], "is_base": f.run.pk == made.base} for f in found.heads
    ]
    params = [d.differs for d in found.rows if d.section == "Parameters"]
    return {
        "diff_by_run": [(head, [(r, r["cells"][at]) for r in rows]) for at, head in enumerate(heads)],
        "only": made.view.get("diff", "1") != "0", "diff_rows": rows, "diff_runs": heads,
        "by_rows": made.view.get("orient") == "rows", "diff": found, "find": made.view.get("dfind"),
        "row_count": len(shown), "param_count": len(params), "param_diff": sum(params),
        "before": str(found.page - 1) if found.page > 1 else "",
        "after": str(found.page + 1) if found.page < found.pages else "",
    }  # fmt: skip
