"""Judging one gate from facts: about the run, its files, its data and its budgets. No database, no clock."""

from collections.abc import Callable
from datetime import datetime, timedelta

from deployments.proof.rules_catalogue import KINDS, name_of
from deployments.proof.rules_shapes import MEGABYTE, Facts, Gate, Outcome, plain_number

NAMED = 5  # gaps that a verdict lists
Judge = Callable[[Gate, Facts], Outcome]


def verdict(
    gate: Gate,
    title: str,
    passed: bool,  # noqa: FBT001  # what is said, not a switch
    rule: str,
    found: str,
    *,
    metric: str = "",
    detail: str = "",
) -> Outcome:
    """Return what was found for a gate that had something to judge."""
    return Outcome(name_of(gate), title, gate.level, passed, rule, found, metric, detail)


def nothing(gate: Gate, title: str, rule: str, why: str, *, metric: str = "") -> Outcome:
    """Return the verdict of a gate without evidence: it has not passed."""
    return Outcome(name_of(gate), title, gate.level, False, rule, why, metric, evidence=False)


def run_succeeded(gate: Gate, facts: Facts) -> Outcome:
    """Judge the state of the run."""
    if not facts.run_state:
        return nothing(gate, "Run finished", "the run has finished", "the version has no run in the portal")
    return verdict(gate, "Run finished", facts.run_state == "finished", "the run has finished", facts.run_state)


def reproduced_within(gate: Gate, facts: Facts) -> Outcome:
    """Judge when a certificate last said that the training came out again."""
    rule = f"reproduced in the {gate.limit:g} days before"
    if facts.reproduced is None:
        return nothing(gate, "Reproduced", rule, "no certificate of reproduction is on record")
    fresh = _age_within(facts.reproduced, gate, facts)
    return verdict(gate, "Reproduced", fresh, rule, f"certified on {facts.reproduced:%Y-%m-%d}")


def artifact_verified(gate: Gate, facts: Facts) -> Outcome:
    """Judge hashes and signature."""
    found = facts.damaged[0] if facts.damaged else "every file hashed again, signature checked"
    return verdict(gate, "Artifact verified and signed", not facts.damaged, "hashes match", found)


def signature_present(gate: Gate, facts: Facts) -> Outcome:
    """Judge the schema of inputs and outputs."""
    good = facts.inputs > 0 and facts.outputs > 0
    found = f"{facts.inputs} inputs, {facts.outputs} outputs" if good else "no input and output schema"
    return verdict(gate, "Signature present", good, "inputs and outputs are described", found)


def dataset_profiled(gate: Gate, facts: Facts) -> Outcome:
    """Judge whether the training data was read."""
    rule = "profiled without errors"
    if facts.dataset_state is None:
        return nothing(gate, "Dataset profiled", rule, "the run names no dataset version")
    good = facts.dataset_state == "succeeded"
    return verdict(gate, "Dataset profiled", good, rule, "no errors" if good else facts.dataset_state)


def dataset_warnings(gate: Gate, facts: Facts) -> Outcome:
    """Judge the warnings of the profile."""
    rule = "no warnings in the profile"
    if facts.dataset_state is None:
        return nothing(gate, "Profile warnings", rule, "the run names no dataset version")
    count = len(facts.dataset_warnings)
    found = f"{count} warning{'s' if count > 1 else ''}: {facts.dataset_warnings[0]}" if count else "no warnings"
    return verdict(gate, "Profile warnings", not count, rule, found)


def dataset_checks(gate: Gate, facts: Facts) -> Outcome:
    """Judge the declared checks of the training data."""
    rule = "every check passes"
    if facts.check_state in (None, "none"):
        why = "the run names no dataset version" if facts.check_state is None else "no checks were run on it"
        return nothing(gate, "Dataset checks", rule, why)
    words = {"passed": "every check passed", "failed": "a check failed", "error": "a check could not be run"}
    found = words.get(facts.check_state or "", facts.check_state or "")
    return verdict(gate, "Dataset checks", facts.check_state == "passed", rule, found)


def data_fresh(gate: Gate, facts: Facts) -> Outcome:
    """Judge the age of the training data."""
    rule = f"made in the {gate.limit:g} days before"
    if facts.dataset_made is None:
        return nothing(gate, "Data freshness", rule, "the run names no dataset version")
    fresh = _age_within(facts.dataset_made, gate, facts)
    return verdict(gate, "Data freshness", fresh, rule, f"made on {facts.dataset_made:%Y-%m-%d}")


def latency_at_most(gate: Gate, facts: Facts) -> Outcome:
    """Judge the measured time of one row."""
    limit, quantile = gate.limit or 0.0, gate.quantile or "p99"
    title, rule = f"Predict {quantile}", f"at most {plain_number(limit)} ms"
    taken = facts.latency_ms.get(quantile)
    if taken is None:
        return nothing(gate, title, rule, facts.evaluation or facts.missing.get("latency") or "not measured")
    return verdict(gate, title, taken <= limit, rule, f"{taken:.3g} ms for one row")


def size_at_most(gate: Gate, facts: Facts) -> Outcome:
    """Judge the size of the model file."""
    limit = gate.limit or 0.0
    rule = f"at most {plain_number(limit / MEGABYTE)} MB"
    if facts.size_bytes is None:
        return nothing(gate, "Model size", rule, "not measured")
    found = f"{max(facts.size_bytes / MEGABYTE, 0.01):.3g} MB"
    return verdict(gate, "Model size", facts.size_bytes <= limit, rule, found)


def card_complete(gate: Gate, facts: Facts) -> Outcome:
    """Judge the parts of the model card that a person has to write."""
    title, rule = KINDS[gate.kind].label, "every required part is written"
    if facts.card_gaps is None:
        return nothing(gate, title, rule, "nobody looked at the model card")
    found = f"missing: {', '.join(facts.card_gaps)}" if facts.card_gaps else "nothing is missing"
    return verdict(gate, title, not facts.card_gaps, rule, found)


def technical_file_complete(gate: Gate, facts: Facts) -> Outcome:
    """Judge the parts of the technical file that a person has to write."""
    title, rule = KINDS[gate.kind].label, "every part that people write is written"
    if facts.file_gaps is None:
        return nothing(gate, title, rule, "nobody looked at the technical file")
    rest = len(facts.file_gaps) - NAMED
    more = f" and {rest} more" if rest > 0 else ""
    found = f"missing: {', '.join(facts.file_gaps[:NAMED])}{more}" if facts.file_gaps else "nothing is missing"
    return verdict(gate, title, not facts.file_gaps, rule, found)


def _age_within(made: datetime, gate: Gate, facts: Facts) -> bool:
    if facts.now is None:
        raise ValueError(f"{gate.kind} needs the moment of judging")
    return facts.now - made <= timedelta(days=gate.limit or 0.0)


JUDGES: dict[str, Judge] = {
    judge.__name__: judge
    for judge in (
        run_succeeded, reproduced_within, artifact_verified, signature_present, dataset_profiled, dataset_warnings,
        dataset_checks, data_fresh, latency_at_most, size_at_most, card_complete,
        technical_file_complete,
    )
}  # fmt: skip
