"""Gate rules: what a promotion must show, judged from facts that were measured elsewhere."""

from dataclasses import replace

from deployments.proof import rules_judges, rules_metrics
from deployments.proof.rules_catalogue import KINDS, name_of, parse, plain
from deployments.proof.rules_shapes import (
    MEGABYTE,
    Facts,
    Gate,
    Groups,
    Metric,
    Outcome,
    Segment,
    plain_number,
    signed,
)

__all__ = [
    "DEFAULT_GATES", "KINDS", "MEGABYTE", "Facts", "Gate", "Groups", "Metric", "Outcome", "Segment", "deciding",
    "judge", "name_of", "parse", "plain", "plain_number", "signed", "standing",
]  # fmt: skip
_JUDGES = {**rules_judges.JUDGES, **rules_metrics.JUDGES}


def judge(gates: tuple[Gate, ...], facts: Facts) -> list[Outcome]:
    """Judge every rule; a rule about ``others`` gives one verdict per remaining metric.

    Names of verdicts are unique: a second one of the same name, as when a rule about ``primary`` and one about that
    very metric meet, is numbered.
    """
    every = [_JUDGES[single.kind](single, facts) for gate in gates for single in _expand(gate, gates, facts)]
    seen: dict[str, int] = {}
    for place, outcome in enumerate(every):
        seen[outcome.name] = turn = seen.get(outcome.name, 0) + 1
        if turn > 1:
            every[place] = replace(outcome, name=f"{outcome.name}#{turn}")
    return every


def standing(outcomes: list[Outcome]) -> str:
    """Sum verdicts up: ``block``, ``none`` (only evidence is missing) or ``pass``."""
    stopping = [item for item in outcomes if item.blocks]
    if any(item.evidence for item in stopping):
        return "block"
    return "none" if stopping else "pass"


def deciding(outcomes: list[Outcome]) -> Outcome | None:
    """Return the verdict that stops an approval, one with evidence before one without; None when it passes."""
    stopping = sorted((item for item in outcomes if item.blocks), key=lambda item: not item.evidence)
    return stopping[0] if stopping else None


def _expand(gate: Gate, gates: tuple[Gate, ...], facts: Facts) -> list[Gate]:
    if gate.metric == "primary":
        return [replace(gate, metric=facts.primary or "primary")]
    if gate.metric != "others":
        return [gate]
    named = {facts.primary if other.metric == "primary" else other.metric for other in gates if other.kind == gate.kind}
    name = f"{gate.name}:" if gate.name else ""
    return [
        replace(gate, metric=item.key, name=name and f"{name}{item.key}")
        for item in facts.metrics
        if item.key not in named
    ]


DEFAULT_GATES = (
    Gate("metric_not_worse", metric="primary", margin=0.01, relative=True),
    Gate("metric_not_worse", level="advisory", metric="others", margin=0.02, relative=True),
    Gate("run_succeeded"),
    Gate("artifact_verified"),
    Gate("signature_present"),
    Gate("dataset_profiled"),
    Gate("dataset_warnings", level="advisory"),
    Gate("latency_at_most", level="advisory", limit=250.0, quantile="p99"),
    Gate("size_at_most", limit=1000.0 * MEGABYTE),
)
