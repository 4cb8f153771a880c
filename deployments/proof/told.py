"""Verdicts in words for whoever may not see the values of some columns.

Words are sealed as they were written. A reader is told them anew, from the same evidence under the same rule, with
places instead of names: of groups the words tell, and of those that an author of rules typed.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployments.proof import measured, rules, veil
from deployments.proof.rules import Facts, Gate, Outcome

REMARKS = "dataset_warnings"
UNNAMED = "a group"  # that the evidence does not have
UNTOLD = "measured by values that are masked for you"
Remark = tuple[str, str]


@dataclass(frozen=True)
class Evidence:
    """What was measured for a request.

    Attributes
    ----------
    result, trouble
        The stored result, and in words why there is no comparison.
    primary
        Key of the primary metric.
    dataset_state
        State word of the dataset version, None without one.
    remarks
        Column and words of each warning in its profile.
    """

    result: Mapping[str, Any]
    trouble: str
    primary: str
    dataset_state: str | None = None
    remarks: Sequence[Remark] = ()


def remarks(warnings: Sequence[Any] | None) -> list[Remark]:
    """Return column and words of each warning of a profile; what is only worth knowing is none."""
    plain = [row if isinstance(row, dict) else {"message": row} for row in warnings or []]
    return [(str(row.get("column") or ""), str(row.get("message", ""))) for row in plain if row.get("level") != "info"]


def verdicts(gates: Sequence[Mapping[str, Any]], found: Evidence, hidden: Collection[str]) -> dict[str, Outcome]:
    """Judge the rules about hidden columns again, in words without their values; by the name of the sealed verdict."""
    return {sealed.name: outcome for sealed, outcome in _pairs(gates, found, hidden)}


def by_title(gates: Sequence[Mapping[str, Any]], found: Evidence, hidden: Collection[str]) -> dict[str, Outcome]:
    """Return the same by the title as it was kept, of several with one title the one that fails.

    A title tells the metric by its label, which is known where the group was found: so it is judged by its name here.
    """
    told = [outcome for _sealed, outcome in _pairs(gates, found, hidden)]
    kept = rules.judge(_about(gates, hidden), _facts(found, ()))
    pairs = sorted(zip(kept, told, strict=True), key=lambda pair: not pair[1].passed)
    return {sealed.title: outcome for sealed, outcome in pairs}


def _about(gates: Sequence[Mapping[str, Any]], hidden: Collection[str]) -> tuple[Gate, ...]:
    return tuple(gate for gate in rules.parse(list(gates)) if gate.column in hidden or gate.kind == REMARKS)


def _pairs(
    gates: Sequence[Mapping[str, Any]], found: Evidence, hidden: Collection[str]
) -> list[tuple[Outcome, Outcome]]:
    known = veil.names(found.result, hidden)
    about = _about(gates, hidden)
    facts = _facts(found, hidden)
    told = rules.judge(tuple(masked(gate, known.get(gate.column, {}), hidden) for gate in about), facts)
    return list(zip(rules.judge(about, facts), told, strict=True))


def masked(gate: Gate, known: Mapping[str, str], hidden: Collection[str]) -> Gate:
    """Return a rule that names no group of a hidden column, neither as its value nor inside its own name."""
    if gate.column not in hidden or not gate.value:
        return gate
    place = known.get(gate.value, UNNAMED)
    word = rf"(?<![\w.]){re.escape(gate.value)}(?![\w.])"
    return replace(gate, value=place, name=re.sub(word, place, gate.name, flags=re.IGNORECASE))


def _facts(found: Evidence, hidden: Collection[str]) -> Facts:
    seen = veil.result(found.result, hidden)
    return Facts(
        run_state="", dataset_state=found.dataset_state,
        dataset_warnings=tuple(f"a remark about {name}" if name in hidden else text for name, text in found.remarks),
        metrics=measured.metrics(seen), segments=measured.segments(seen), groups=measured.groups(seen),
        primary=found.primary, evaluation=found.trouble, missing=measured.missing(seen),
    )  # fmt: skip
