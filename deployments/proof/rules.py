"""Gate rules: what a promotion must show, judged from facts that were measured elsewhere."""

from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from deployments.proof.canonical import Plain
from mlportal.lib.errors import Invalid

Level = Literal["blocking", "advisory"]
KINDS = (
    "run_succeeded",
    "artifact_verified",
    "signature_present",
    "dataset_profiled",
    "dataset_checks",
    "metric_not_worse",
    "metric_at_least",
    "latency_at_most",
    "size_at_most",
)
WANTS_LIMIT = {"metric_at_least", "latency_at_most", "size_at_most"}
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Gate:
    """One rule of a policy.

    Attributes
    ----------
    kind
        One of :data:`KINDS`.
    level
        ``blocking`` stops an approval, ``advisory`` asks the approver for an explicit tick.
    metric
        ``primary``, ``others`` or the key of a metric, for the metric rules.
    margin
        How much worse than production is still accepted, in the metric's unit or as a share of production's value.
    relative
        Whether ``margin`` is a share.
    limit
        The bar of an absolute rule: metric value, milliseconds or bytes.
    """

    kind: str
    level: Level = "blocking"
    metric: str = ""
    margin: float = 0.0
    relative: bool = False
    limit: float | None = None

    def plain(self) -> dict[str, Plain]:
        """Return the rule as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Metric:
    """One metric of candidate and production on the same rows, with a 95 % interval of the difference."""

    key: str
    label: str
    better: Literal["higher", "lower"]
    candidate: float
    production: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Facts:
    """What was found out about a candidate before it is judged.

    Attributes
    ----------
    run_state
        State word of the run.
    damaged
        Sentences about files or hashes that do not match; empty when the version verified.
    inputs, outputs
        Number of columns in the signature.
    dataset_state, dataset_warnings
        State word and warnings of the data set version, None when the run names no data set.
    metrics
        Comparison with production, or the candidate alone.
    primary
        Key of the primary metric.
    evaluation
        Empty, or why the comparison could not be made.
    latency_ms, size_bytes
        Measured p99 of one row, and the size of the model file.
    """

    run_state: str
    damaged: tuple[str, ...] = ()
    inputs: int = 0
    outputs: int = 0
    dataset_state: str | None = None
    dataset_warnings: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    primary: str = ""
    evaluation: str = ""
    latency_ms: float | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The verdict of one rule: what was asked, what was found and in words why."""

    name: str
    title: str
    level: Level
    passed: bool
    rule: str
    found: str
    metric: str = ""
    detail: str = field(default="")

    def plain(self) -> dict[str, Plain]:
        """Return the verdict as plain data."""
        return asdict(self)


def parse(rows: object) -> tuple[Gate, ...]:
    """Check the gates of a policy as they came from outside.

    Parameters
    ----------
    rows
        A list of dicts with the fields of :class:`Gate`.

    Returns
    -------
    tuple of Gate
        In the given order.

    Raises
    ------
    Invalid
        Naming the gate by number, the field, what came and what is allowed.
    """
    if not isinstance(rows, list) or len(rows) > 50:
        raise Invalid("Gates must be a list of at most 50 rules.", code="bad_gates", field="gates")
    gates = tuple(_gate(number, row) for number, row in enumerate(rows, start=1))
    names = [name_of(gate) for gate in gates]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Invalid(
            f"The gate {doubled[0]} is in the list twice.",
            code="bad_gates",
            field="gates",
            got=doubled[0],
        )
    return gates


def name_of(gate: Gate) -> str:
    """Return the name of a rule, unique in a policy: ``metric_not_worse:primary``."""
    return f"{gate.kind}:{gate.metric}" if gate.metric else gate.kind


def judge(gates: tuple[Gate, ...], facts: Facts) -> list[Outcome]:
    """Judge every rule; a rule about ``others`` gives one verdict per remaining metric."""
    every = [single for gate in gates for single in _expand(gate, gates, facts)]
    return [_JUDGES[single.kind](single, facts) for single in every]


def signed(value: float) -> str:
    """Write a change with its sign and a true minus: ``+0.0081``."""
    return f"{'−' if value < 0 else '+'}{plain_number(abs(value))}"


def plain_number(value: float) -> str:
    """Write a number with four significant digits and no trailing noise: ``0.8792``, ``71``, ``12300``."""
    text = f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"
    text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return text.replace("-", "−")


def _gate(number: int, row: object) -> Gate:
    where = f"Gate {number}"
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str) or row["kind"] not in KINDS:
        got = row.get("kind") if isinstance(row, dict) else row
        raise Invalid(
            f"{where}: the kind must be one of {', '.join(KINDS)}.",
            code="bad_gates",
            field="gates",
            got=str(got)[:100],
        )
    unknown = sorted(str(key) for key in row if key not in Gate.__dataclass_fields__)
    if unknown:
        raise Invalid(
            f"{where}: {unknown[0]} is not known.",
            code="bad_gates",
            field="gates",
            got=unknown[0][:100],
        )
    if row.get("level", "blocking") not in ("blocking", "advisory"):
        raise Invalid(
            f"{where}: the level must be blocking or advisory.",
            code="bad_gates",
            field="gates",
        )
    gate = Gate(
        kind=row["kind"],
        level=row.get("level", "blocking"),
        metric=_metric(where, row),
        margin=_number(where, "margin", row.get("margin", 0.0), least=0.0),
        relative=row.get("relative", False) is True,
        limit=None if row.get("limit") is None else _number(where, "limit", row["limit"], least=None),
    )
    if gate.kind in WANTS_LIMIT and gate.limit is None:
        raise Invalid(f"{where}: {gate.kind} needs a limit.", code="bad_gates", field="gates")
    return gate


def _metric(where: str, row: dict[str, object]) -> str:
    value = row.get("metric", "")
    if not isinstance(value, str) or len(value) > 100:
        raise Invalid(f"{where}: the metric must be a name.", code="bad_gates", field="gates")
    if row["kind"] in ("metric_not_worse", "metric_at_least"):
        return value or "primary"
    return ""


def _number(where: str, name: str, value: object, *, least: float | None) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    if not good or (least is not None and float(value) < least):  # type: ignore[arg-type]
        bound = f" of at least {least:g}" if least is not None else ""
        raise Invalid(
            f"{where}: {name} must be a number{bound}.",
            code="bad_gates",
            field="gates",
            got=str(value)[:100],
        )
    return float(value)  # type: ignore[arg-type]


def _expand(gate: Gate, gates: tuple[Gate, ...], facts: Facts) -> list[Gate]:
    if gate.metric == "primary":
        return [replace(gate, metric=facts.primary or "primary")]
    if gate.metric != "others":
        return [gate]
    named = {facts.primary if other.metric == "primary" else other.metric for other in gates if other.kind == gate.kind}
    return [replace(gate, metric=item.key) for item in facts.metrics if item.key not in named]


def _run_succeeded(gate: Gate, facts: Facts) -> Outcome:
    return Outcome(
        gate.kind,
        "Run finished",
        gate.level,
        facts.run_state == "finished",
        "the run has finished",
        facts.run_state,
    )


def _artifact_verified(gate: Gate, facts: Facts) -> Outcome:
    found = facts.damaged[0] if facts.damaged else "every file hashed again, signature checked"
    return Outcome(
        gate.kind,
        "Artifact verified and signed",
        gate.level,
        not facts.damaged,
        "hashes match",
        found,
    )


def _signature_present(gate: Gate, facts: Facts) -> Outcome:
    good = facts.inputs > 0 and facts.outputs > 0
    found = f"{facts.inputs} inputs, {facts.outputs} outputs" if good else "no input and output schema"
    return Outcome(
        gate.kind,
        "Signature present",
        gate.level,
        good,
        "inputs and outputs are described",
        found,
    )


def _dataset_profiled(gate: Gate, facts: Facts) -> Outcome:
    found = "the run names no dataset version" if facts.dataset_state is None else facts.dataset_state
    good = facts.dataset_state == "succeeded"
    return Outcome(
        gate.kind,
        "Dataset profiled",
        gate.level,
        good,
        "profiled without errors",
        "no errors" if good else found,
    )


def _dataset_checks(gate: Gate, facts: Facts) -> Outcome:
    count = len(facts.dataset_warnings)
    found = f"{count} warning{'s' if count > 1 else ''}: {facts.dataset_warnings[0]}" if count else "no warnings"
    return Outcome(
        gate.kind,
        "Dataset checks",
        gate.level,
        not count,
        "no warnings in the profile",
        found,
    )


def _metric_not_worse(gate: Gate, facts: Facts) -> Outcome:
    name = name_of(gate)
    metric = next((item for item in facts.metrics if item.key == gate.metric), None)
    title = f"{metric.label if metric else gate.metric} not worse than production"
    if metric is None:
        found = facts.evaluation or f"{gate.metric} was not measured"
        return Outcome(
            name,
            title,
            gate.level,
            False,
            "measured on the same rows",
            found,
            gate.metric,
        )
    if metric.production is None or metric.difference is None:
        found = facts.evaluation or "nothing in production yet"
        return Outcome(
            name,
            title,
            gate.level,
            not facts.evaluation,
            "no production version",
            found,
            gate.metric,
        )
    allowed = gate.margin * abs(metric.production) if gate.relative else gate.margin
    worse = -metric.difference if metric.better == "higher" else metric.difference
    rule = f"not below {signed(-allowed)}" if metric.better == "higher" else f"not above {signed(allowed)}"
    return Outcome(
        name,
        title,
        gate.level,
        worse <= allowed + 1e-12,
        rule,
        signed(metric.difference),
        gate.metric,
        _interval(metric),
    )


def _metric_at_least(gate: Gate, facts: Facts) -> Outcome:
    name, limit = name_of(gate), gate.limit or 0.0
    metric = next((item for item in facts.metrics if item.key == gate.metric), None)
    if metric is None:
        found = facts.evaluation or f"{gate.metric} was not measured"
        return Outcome(
            name,
            f"{gate.metric} bar",
            gate.level,
            False,
            plain_number(limit),
            found,
            gate.metric,
        )
    higher = metric.better == "higher"
    good = metric.candidate >= limit if higher else metric.candidate <= limit
    rule = f"{'at least' if higher else 'at most'} {plain_number(limit)}"
    return Outcome(
        name,
        f"{metric.label} bar",
        gate.level,
        good,
        rule,
        plain_number(metric.candidate),
        gate.metric,
    )


def _latency_at_most(gate: Gate, facts: Facts) -> Outcome:
    limit = gate.limit or 0.0
    rule = f"at most {plain_number(limit)} ms"
    if facts.latency_ms is None:
        return Outcome(
            gate.kind,
            "Predict p99",
            gate.level,
            False,
            rule,
            facts.evaluation or "not measured",
        )
    found = f"{facts.latency_ms:.3g} ms for one row"
    return Outcome(gate.kind, "Predict p99", gate.level, facts.latency_ms <= limit, rule, found)


def _size_at_most(gate: Gate, facts: Facts) -> Outcome:
    limit = gate.limit or 0.0
    rule = f"at most {plain_number(limit / MEGABYTE)} MB"
    if facts.size_bytes is None:
        return Outcome(gate.kind, "Model size", gate.level, False, rule, "not measured")
    found = f"{max(facts.size_bytes / MEGABYTE, 0.01):.3g} MB"
    return Outcome(gate.kind, "Model size", gate.level, facts.size_bytes <= limit, rule, found)


def _interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f"95% interval {signed(metric.low)} to {signed(metric.high)}"


_JUDGES = {
    "run_succeeded": _run_succeeded,
    "artifact_verified": _artifact_verified,
    "signature_present": _signature_present,
    "dataset_profiled": _dataset_profiled,
    "dataset_checks": _dataset_checks,
    "metric_not_worse": _metric_not_worse,
    "metric_at_least": _metric_at_least,
    "latency_at_most": _latency_at_most,
    "size_at_most": _size_at_most,
}

DEFAULT_GATES = (
    Gate("metric_not_worse", metric="primary", margin=0.01, relative=True),
    Gate(
        "metric_not_worse",
        level="advisory",
        metric="others",
        margin=0.02,
        relative=True,
    ),
    Gate("run_succeeded"),
    Gate("artifact_verified"),
    Gate("signature_present"),
    Gate("dataset_profiled"),
    Gate("dataset_checks", level="advisory"),
    Gate("latency_at_most", level="advisory", limit=250.0),
    Gate("size_at_most", limit=1000.0 * MEGABYTE),
)
