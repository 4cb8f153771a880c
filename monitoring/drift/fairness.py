"""How groups were treated in a window, from counts of answers and, where labels came, confusion cells. Plain Python."""

from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.drift import performance
from monitoring.drift.performance import Cells

SMALL = 30
FOUR_FIFTHS = 0.8


@dataclass(frozen=True, slots=True)
class Group:
    """Rates of one group, 0 to 1; None is a share of nothing. ``rows`` were answered, ``labelled`` have a truth."""

    name: str
    rows: int
    labelled: int
    selection_rate: float | None
    tpr: float | None
    fpr: float | None
    accuracy: float | None


def groups(selected: Mapping[str, tuple[int, int]], cells: Mapping[str, Cells]) -> list[Group]:
    """Describe the groups of one column, largest first; groups of fewer than 30 rows are left out.

    Parameters
    ----------
    selected : mapping of group to (rows answered with the positive class, rows)
        Of all predictions, labelled or not.
    cells : mapping of group to Cells
        Of the labelled ones, as `monitoring.drift.performance.count` makes them.
    """
    confusion = dict(performance.groups_of(cells))
    shown = [(name, chosen, rows) for name, (chosen, rows) in selected.items() if rows >= SMALL]
    return [
        _group(name, chosen, rows, confusion.get(name, [0.0] * 4))
        for name, chosen, rows in sorted(shown, key=lambda group: (-group[2], group[0]))
    ]


def figures(shown: list[Group]) -> dict[str, float]:
    """Return the largest differences and the smallest ratio between groups, by name; empty with fewer than two.

    Notes
    -----
    Source: fairlearn's ``MetricFrame.difference`` and ``ratio`` between groups. A rate counts only for groups with
    30 labelled rows.
    """
    found: dict[str, float] = {}
    for name in ("selection_rate", "tpr", "fpr", "accuracy"):
        least = 0 if name == "selection_rate" else SMALL
        rates = [getattr(group, name) for group in shown if group.labelled >= least]
        known = [rate for rate in rates if rate is not None]
        if len(known) < 2:
            continue
        found[f"{name}_difference"] = max(known) - min(known)
        if name == "selection_rate" and max(known):
            found["selection_rate_ratio"] = min(known) / max(known)
    return found


def _group(name: str, chosen: int, rows: int, cells: list[float]) -> Group:
    right_no, false_yes, missed, hit = (int(cell) for cell in cells)
    labelled = right_no + false_yes + missed + hit
    return Group(
        name, rows, labelled, _share(chosen, rows), _share(hit, hit + missed), _share(false_yes, false_yes + right_no),
        _share(right_no + hit, labelled),
    )  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
