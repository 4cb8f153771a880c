"""Shapes of gates: a rule, the facts it judges, its verdict, and how numbers are written in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from deployments.proof.canonical import Plain

Level = Literal["blocking", "advisory"]
Better = Literal["higher", "lower"]
MEGABYTE = 1_000_000
RATES: Mapping[str, str] = {
    "selection_rate": "selection rate", "tpr": "true positive rate", "fpr": "false positive rate",
    "accuracy": "accuracy",
}  # fmt: skip
LOWER_RATES = ("fpr",)  # of which less is better


@dataclass(frozen=True)
class Gate:
    """One rule of a policy. Which of the values count is declared by its kind in ``rules_catalogue``.

    Attributes
    ----------
    kind
        A key of :data:`deployments.proof.rules_catalogue.KINDS`.
    level
        ``blocking`` stops an approval, ``advisory`` asks the approver for an explicit tick.
    name
        Name chosen by people, unique in a policy; empty takes one from kind and values.
    metric
        ``primary``, ``others`` or the key of a metric.
    margin
        How much worse than production is still accepted, in the metric's unit or as a share of production's value.
    relative
        Whether ``margin`` is a share.
    interval
        Whether the bad end of the 95 % interval has to stay inside the margin, not only the measured difference.
    limit
        The bar: metric value, share, milliseconds, bytes or days.
    column, value
        Column that splits the rows into segments or groups, and one value of it; an empty value means every one.
    least_rows
        Segments with fewer rows are not judged.
    measure
        What is compared between groups: ``selection_rate``, ``tpr``, ``fpr`` or ``accuracy``.
    quantile
        Which latency: ``p50``, ``p95`` or ``p99``.
    threshold, false_positive, false_negative
        Probability from which a row counts as positive, and what one mistake of each kind costs.
    """

    kind: str
    level: Level = "blocking"
    name: str = ""
    metric: str = ""
    margin: float = 0.0
    relative: bool = False
    interval: bool = False
    limit: float | None = None
    column: str = ""
    value: str = ""
    least_rows: float = 0
    measure: str = ""
    quantile: str = ""
    threshold: float = 0.5
    false_positive: float = 1.0
    false_negative: float = 1.0


@dataclass(frozen=True)
class Metric:
    """One metric of candidate and production on the same rows, with a 95 % interval of the difference."""

    key: str
    label: str
    better: Better
    candidate: float
    production: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Segment:
    """Metrics of the rows that have one value in one column."""

    column: str
    value: str
    rows: int
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Groups:
    """Fairness over the values of one column: rates per group by measure, and the smallest ratio of selection rates.

    ``changes`` holds each rate of each group beside production's, with the paired interval of the difference.
    """

    column: str
    rates: Mapping[str, Mapping[str, float]]
    ratio: float | None
    changes: Mapping[str, tuple["Metric", ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decisions:
    """Who says positive at each threshold, of :func:`deployments.proof.threshold.cells`; with production or without."""

    cells: Sequence[Sequence[int]]
    compared: bool


@dataclass(frozen=True)
class Facts:
    """What was found out about a candidate before it is judged. None and an empty tuple mean: no evidence.

    Attributes
    ----------
    run_state
        State word of the run.
    damaged
        Sentences about files or hashes that do not match; empty when the version verified.
    inputs, outputs
        Number of columns in the signature.
    dataset_state, dataset_warnings, check_state, dataset_made
        State word, profile warnings, outcome of the checks and birth of the dataset version, None without one.
    metrics, segments, groups
        Comparison with production, or the candidate alone: over all rows, by segment, by group.
    called
        What groups of marked columns are called here, by column and by their own name.
    primary
        Key of the primary metric.
    evaluation
        Empty, or why the comparison could not be made.
    decisions
        Counts by threshold of a binary classifier.
    missing
        Why a part of the evaluation is not there, by its name.
    latency_ms
        Measured time of one row in milliseconds by quantile.
    size_bytes
        Size of the model file.
    card_gaps
        What the model card lacks, None when nobody looked.
    file_gaps
        What nobody has written in the technical file, None when nobody looked.
    reproduced
        When a certificate last said that the training, repeated, came out again.
    now
        The moment of judging, for the rules that count days.
    """

    run_state: str
    damaged: tuple[str, ...] = ()
    inputs: int = 0
    outputs: int = 0
    dataset_state: str | None = None
    dataset_warnings: tuple[str, ...] = ()
    check_state: str | None = None
    dataset_made: datetime | None = None
    metrics: tuple[Metric, ...] = ()
    segments: tuple[Segment, ...] = ()
    groups: tuple[Groups, ...] = ()
    called: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    primary: str = ""
    evaluation: str = ""
    decisions: Decisions | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    size_bytes: int | None = None
    card_gaps: tuple[str, ...] | None = None
    file_gaps: tuple[str, ...] | None = None
    reproduced: datetime | None = None
    now: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """The verdict of one rule: what was asked, what was found and in words why.

    ``evidence`` is false when there was nothing to judge; such a rule has not passed.
    """

    name: str
    title: str
    level: Level
    passed: bool
    rule: str
    found: str
    metric: str = ""
    detail: str = ""
    evidence: bool = True

    @property
    def blocks(self) -> bool:
        """Whether an approval stops here."""
        return not self.passed and self.level == "blocking"

    def plain(self) -> dict[str, Plain]:
        """Return the verdict as plain data."""
        return dict(vars(self))


def signed(value: float) -> str:
    """Write a change with its sign and a true minus: ``+0.0081``."""
    return f"{'−' if value < 0 else '+'}{plain_number(abs(value))}"


def plain_number(value: float) -> str:
    """Write a number with four significant digits and no trailing noise: ``0.8792``, ``71``, ``12300``."""
    text = f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"
    text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return text.replace("-", "−")
