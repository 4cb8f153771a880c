"""The kinds of gates and their values, declared once: form, API, validation, comparison and reference read this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deployments.proof.canonical import Plain
from deployments.proof.rules_shapes import MEGABYTE, RATES, Gate
from mlportal.lib.errors import Invalid

LEVELS = ("blocking", "advisory")
MAX_GATES = 50
MAX_NAME = 110  # a verdict's name may add a metric to it and is kept in 130 characters
Stricter = Literal["up", "down", "on", "unclear"]


@dataclass(frozen=True)
class Value:
    """One value of a kind of gate.

    Attributes
    ----------
    name, label, about
        Field of :class:`Gate`, name for people, hint.
    type
        ``number``, ``flag``, ``choice`` or ``text``.
    default
        Taken when nothing is given; None asks for one.
    low, high
        Bounds of a number, both allowed.
    choices
        Words of a choice.
    longest
        Most characters of a text.
    names
        Whether it says which rows or metric are meant; two gates that differ here are different gates.
    stricter
        Which way raises the bar; ``unclear`` when it depends, so that any change counts as lowering it.
    unit, scale
        Unit for people, and by how much the kept number is larger than the one people type.
    """

    name: str
    label: str
    type: Literal["number", "flag", "choice", "text"]
    default: float | bool | str | None = None
    low: float = 0.0
    high: float = 1e12
    choices: tuple[str, ...] = ()
    longest: int = 100
    names: bool = False
    stricter: Stricter = "unclear"
    unit: str = ""
    scale: float = 1.0
    about: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of gate: its words and its values."""

    key: str
    label: str
    about: str
    values: tuple[Value, ...] = ()

    def value(self, name: str) -> Value:
        """Return one declared value."""
        return next(item for item in self.values if item.name == name)


METRIC = Value(
    "metric", "Metric", "text", "primary", names=True,
    about="Its key, or primary for the metric the run is judged by first.",
)  # fmt: skip
METRIC_OR_OTHERS = Value(
    "metric", "Metric", "text", "primary", names=True,
    about="Its key, primary, or others for each metric that no other gate names.",
)  # fmt: skip
MARGIN = Value(
    "margin", "Margin", "number", 0.0, high=1e9, stricter="down", about="How much worse than production is accepted.",
)  # fmt: skip
RELATIVE = Value(
    "relative", "Margin is a share of production's value", "flag", False, about="0.01 then means one per cent."
)
INTERVAL = Value(
    "interval", "The whole 95% interval has to stay inside", "flag", False, stricter="on",
    about="Else the measured difference alone is judged.",
)  # fmt: skip
COLUMN = Value("column", "Column", "text", names=True, about="A column of the held-out rows.")
SEGMENT = Value("value", "Value", "text", "", names=True, about="One value of the column; empty judges every value.")
LEAST_ROWS = Value(
    "least_rows", "Smallest segment", "number", 30, low=1, high=1e9, unit="rows", about="Smaller ones are not judged."
)
GROUP = Value("value", "Group", "text", "", names=True, about="One value of the column; empty judges every group.")
MEASURE = Value("measure", "Rate", "choice", "tpr", names=True, choices=tuple(RATES))
LEAST_COST, MOST_COST = 0.001, 1e9
MISTAKES = tuple(
    Value(
        name, label, "number", 1.0, low=LEAST_COST, high=MOST_COST, about="In any unit, the same for both mistakes.",
    )
    for name, label in (("false_positive", "Cost of a false positive"), ("false_negative", "Cost of a false negative"))
)  # fmt: skip
THRESHOLD = Value(
    "threshold", "Threshold", "number", 0.5, high=1.0,
    about="A row counts as positive from this probability on; endpoints answer by 0.5.",
)  # fmt: skip
BAR = Value("limit", "Bar", "number", low=-1e12, about="At least this, or at most this where a lower value is better.")

KINDS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind(
            "metric_not_worse", "Not worse than production",
            "The metric on the held-out rows is at most a margin worse than that of the version in production.",
            (METRIC_OR_OTHERS, MARGIN, RELATIVE, INTERVAL),
        ),
        Kind("metric_at_least", "Metric bar", "The metric reaches a fixed value.", (METRIC, BAR)),
        Kind(
            "segment_not_worse", "Segment not worse than production",
            "In each segment of a column the metric is at most a margin worse than in production.",
            (COLUMN, SEGMENT, METRIC, MARGIN, RELATIVE, INTERVAL, LEAST_ROWS),
        ),
        Kind(
            "segment_at_least", "Segment bar", "In each segment of a column the metric reaches a fixed value.",
            (COLUMN, SEGMENT, METRIC, BAR, LEAST_ROWS),
        ),
        Kind(
            "fairness_ratio", "Selection ratio between groups",
            "The lowest selection rate of a group is at least this share of the highest; 0.8 is the four-fifths rule.",
            (COLUMN, Value("limit", "At least", "number", 0.8, high=1.0, stricter="up")),
        ),
        Kind(
            "fairness_gap", "Gap between groups", "The rates of any two groups differ at most by this much.",
            (
                COLUMN, MEASURE,
                Value("limit", "At most", "number", 0.1, high=1.0, stricter="down"),
            ),
        ),
        Kind(
            "fairness_not_worse", "No group worse than production",
            "In each group the rate is at most a margin worse than with the version in production, on the same rows: "
            "lower, or higher for fpr. Groups under 30 rows are not judged.",
            (
                COLUMN, GROUP, MEASURE,
                Value(
                    "margin", "Margin", "number", 0.02, high=1.0, stricter="down",
                    about="How much worse than production is accepted; 0.02 is two percentage points.",
                ),
                Value("interval", INTERVAL.label, "flag", True, stricter="on", about=INTERVAL.about),
            ),
        ),
        Kind(
            "expected_cost", "Expected cost not worse than production",
            "A row costs by its mistakes at most a margin more than with production, at one threshold; binary "
            "classifiers only. The review weighs thresholds by these costs.",
            (
                *MISTAKES, THRESHOLD, MARGIN, RELATIVE, INTERVAL,
            ),
        ),
        Kind("run_succeeded", "Run finished", "The run that trained the version ended well."),
        Kind(
            "reproduced_within", "Reproduced lately",
            "A signed certificate says that the training, repeated from its recipe, gave the same within tolerance.",
            (Value("limit", "Within", "number", 90, low=1, high=3650, stricter="down", unit="days"),),
        ),
        Kind("artifact_verified", "Artifact intact", "Every file has its recorded hash and the signature verifies."),
        Kind("signature_present", "Signature present", "Input and output columns of the model are described."),
        Kind("dataset_profiled", "Dataset profiled", "The training data was read and profiled without errors."),
        Kind("dataset_warnings", "No profile warnings", "The profile of the training data has no warnings."),
        Kind("dataset_checks", "Dataset checks passed", "The declared checks of the training data passed."),
        Kind(
            "data_fresh", "Data is fresh", "The dataset version was made at most this many days ago.",
            (Value("limit", "At most", "number", 30, low=1, high=3650, stricter="down", unit="days"),),
        ),
        Kind(
            "latency_at_most", "Latency budget", "One row is answered in at most this time in the evaluation.",
            (
                Value("quantile", "Quantile", "choice", "p99", choices=("p50", "p95", "p99"), names=True),
                Value("limit", "At most", "number", high=1e6, stricter="down", unit="ms"),
            ),
        ),
        Kind(
            "size_at_most", "Size budget", "The model file is at most this large.",
            (Value("limit", "At most", "number", high=1e13, stricter="down", unit="MB", scale=MEGABYTE),),
        ),
        Kind(
            "card_complete", "Model card complete",
            "The parts of the model card that the policy asks for are written.",
        ),
        Kind(
            "technical_file_complete", "Technical file complete",
            "Every part of the technical file that no record can tell is written, with the three it takes from the "
            "model card.",
        ),
    )
}  # fmt: skip


def parse(rows: object) -> tuple[Gate, ...]:
    """Check the gates of a policy as they came from outside.

    Parameters
    ----------
    rows
        A list of dicts with ``kind``, ``level``, ``name`` and the values of the kind.

    Returns
    -------
    tuple of Gate
        In the given order.

    Raises
    ------
    Invalid
        Naming the gate by number, the value, what came and what is allowed; its field is ``gates.<number>.<value>``.
    """
    if not isinstance(rows, list) or len(rows) > MAX_GATES:
        got = len(rows) if isinstance(rows, list) else type(rows).__name__
        raise _refusal("gates", f"Gates must be a list of at most {MAX_GATES} rules.", got, MAX_GATES)
    gates = tuple(_gate(number, row) for number, row in enumerate(rows, start=1))
    names = [name_of(gate) for gate in gates]
    for number, name in enumerate(names, start=1):
        if name in names[: number - 1]:
            raise _refusal(f"gates.{number}.name", f"Gate {number}: {name} is in the list twice.", name)
    return gates


def plain(gate: Gate) -> dict[str, Plain]:
    """Return a rule as plain data: kind, level, name and the values of its kind."""
    values = {item.name: getattr(gate, item.name) for item in KINDS[gate.kind].values}
    return {"kind": gate.kind, "level": gate.level, "name": name_of(gate), **values}


def name_of(gate: Gate) -> str:
    """Return the name of a rule: its own, or kind and what it is about, as ``metric_not_worse:primary``."""
    return gate.name or derived_name(gate)


def derived_name(gate: Gate) -> str:
    """Return the name a rule has when nobody gave it one."""
    about = [str(getattr(gate, item.name)) for item in KINDS[gate.kind].values if item.names]
    usual = {item.name: item.default for item in KINDS[gate.kind].values}
    if "quantile" in usual and gate.quantile in ("", usual["quantile"]):
        about = []
    return ":".join([gate.kind, *(word for word in about if word)])


def _gate(number: int, row: object) -> Gate:
    where = f"Gate {number}"
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str) or row["kind"] not in KINDS:
        got = row.get("kind") if isinstance(row, dict) else row
        raise _refusal(
            f"gates.{number}.kind", f"{where}: the kind must be one of {', '.join(KINDS)}.", got, list(KINDS)
        )
    kind = KINDS[row["kind"]]
    known = ("kind", "level", "name", *(item.name for item in kind.values))
    if unknown := sorted(str(key) for key in row if key not in known):
        text = f"{where}: {unknown[0][:50]} is not a value of {kind.key}; it has {', '.join(known)}."
        raise _refusal(f"gates.{number}.{unknown[0][:50]}", text, unknown[0], list(known))
    level = row.get("level", "blocking")
    if level not in LEVELS:
        text = f"{where}: the level must be blocking or advisory."
        raise _refusal(f"gates.{number}.level", text, level, list(LEVELS))
    values = {item.name: check(item, row.get(item.name), f"gates.{number}", where) for item in kind.values}
    gate = Gate(kind.key, level, _name(number, row.get("name", "")), **values)  # type: ignore[arg-type]
    if len(name_of(gate)) > MAX_NAME:
        raise _refusal(
            f"gates.{number}.name",
            f"{where}: give it a name of at most {MAX_NAME} characters.",
            name_of(gate),
            MAX_NAME,
        )
    return Gate(**{**vars(gate), "name": "" if gate.name == derived_name(gate) else gate.name})


def check(item: Value, given: object, field: str, where: str) -> float | bool | str:
    """Return a value as it is kept, or refuse it.

    Raises
    ------
    Invalid
        Naming the value, what came and its limits.
    """
    given = item.default if given is None or given == "" else given
    if given is None:
        raise _refusal(f"{field}.{item.name}", f"{where}: {item.name} is missing.", None)
    checked = {"number": _number, "flag": _flag, "choice": _choice, "text": _text}[item.type](item, given)
    if checked is None:
        raise _refusal(
            f"{field}.{item.name}", f"{where}: {item.name} must be {words(item)}; it is {str(given)[:50]!r}.",
            given, limits(item),
        )  # fmt: skip
    return checked


def words(item: Value) -> str:
    """Say which values are allowed: ``a number from 0 to 1``."""
    if item.type == "number":
        return f"a number from {item.low:g} to {item.high:g}"
    if item.type == "flag":
        return "true or false"
    if item.type == "choice":
        return f"one of {', '.join(item.choices)}"
    return f"a text of at most {item.longest} characters" + ("" if item.default == "" else ", not empty")


def limits(item: Value) -> Plain:
    """Return the bounds of a value as plain data."""
    if item.type == "number":
        return [item.low, item.high]
    if item.type == "text":
        return item.longest
    return list(item.choices) if item.type == "choice" else [True, False]


def _number(item: Value, given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return float(given) if item.low <= given <= item.high else None


def _flag(item: Value, given: object) -> bool | None:
    return given if isinstance(given, bool) else None


def _choice(item: Value, given: object) -> str | None:
    return given if isinstance(given, str) and given in item.choices else None


def _text(item: Value, given: object) -> str | None:
    good = isinstance(given, str) and len(given) <= item.longest and given.isprintable()
    text = given.strip() if good else ""  # type: ignore[attr-defined]
    return text if good and (text or item.default == "") else None


def _name(number: int, given: object) -> str:
    if not isinstance(given, str) or not given.isprintable() or len(given) > MAX_NAME:
        text = f"Gate {number}: name must be a text of at most {MAX_NAME} characters."
        raise _refusal(f"gates.{number}.name", text, given, MAX_NAME)
    return given.strip()


def _refusal(field: str, text: str, got: object, limit: object = None) -> Invalid:
    return Invalid(text, code="bad_gates", field=field, got=str(got)[:100], limit=limit)
