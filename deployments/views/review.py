"""What the promotion page says: verdict sentence, key numbers, table with intervals, steps, lineage."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import cached_property

from deployments import gates
from deployments.models import GateResult, ModelVersion, PromotionRequest
from deployments.proof.rules import plain_number, signed
from experiments.training.catalogue import METRICS
from mlportal.lib.ui import inside_a_sentence
from projects.actor import Actor

ARROWS = {"higher": "↑", "lower": "↓"}
CENTRE, REACH = 50.0, 44.0


@dataclass(frozen=True)
class Interval:
    """A drawn interval of a change; to the right of the centre is better."""

    low: float
    mid: float
    high: float
    tone: str


@dataclass(frozen=True)
class Row:
    """One line of the table candidate against production."""

    label: str
    arrow: str
    production: str
    candidate: str
    change: str
    tone: str
    words: str
    interval: Interval | None
    rule: str = ""
    status: str = ""
    candidate_is_best: bool = True


@dataclass(frozen=True)
class Number:
    """One key number with its change."""

    label: str
    value: str
    change: str = ""
    tone: str = ""


@dataclass
class Review:
    """Everything the page prints, from rows that are loaded already."""

    request: PromotionRequest
    results: list[GateResult]
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> ModelVersion:
        """The candidate."""
        return self.request.version

    @cached_property
    def failed(self) -> list[GateResult]:
        """Rules that did not pass, the blocking ones first."""
        return [item for item in self.results if not item.passed]

    @cached_property
    def blocking(self) -> list[GateResult]:
        """Rules that stop an approval unless somebody overrode them."""
        overridden = {item.gate for item in self.request.overrides.all()}
        return [item for item in self.failed if item.level == "blocking" and item.name not in overridden]

    @cached_property
    def advisory(self) -> list[GateResult]:
        """Failed rules the approver has to tick."""
        return [item for item in self.failed if item.level == "advisory"]

    @property
    def metric_gates(self) -> str:
        """How many of the metric rules pass, for one line in place of many; they are in the table above."""
        metric = [item for item in self.results if item.metric]
        good = sum(item.passed for item in metric)
        return f"{good} of {len(metric)}" if good else ""

    @property
    def listed(self) -> list[GateResult]:
        """Rules that get a line of their own: what failed, and what is not about a metric."""
        return [item for item in self.results if not (item.passed and item.metric)]

    @property
    def passed_count(self) -> int:
        """How many rules passed."""
        return len(self.results) - len(self.failed)

    @cached_property
    def rows(self) -> list[Row]:
        """Table rows: metrics in the order they were compared, then the time of one prediction."""
        lines = [self._metric_row(item) for item in self.found.get("metrics", [])]
        return [*lines, *self._latency_rows()]

    @property
    def numbers(self) -> list[Number]:
        """At most four: three metrics and the time of one prediction."""
        metrics = [item for item in self.rows if not item.label.startswith("Predict")]
        shown = [*metrics[:3], *(item for item in self.rows if item.label.startswith("Predict"))]
        return [Number(f"{item.label} {item.arrow}", item.candidate, item.change, item.tone) for item in shown]

    @cached_property
    def headline(self) -> str:
        """The one sentence that says what is true."""
        name = self.version.label
        if not self.results:
            return f"{name} is being measured."
        if not self.found:
            return f"{name} could not be measured."
        if self.request.baseline_id is None:
            return f"{name} would be the first version there."
        return f"{name} {self._compared()}{self._but()}"

    @property
    def summary(self) -> str:
        """The second sentence: gates in numbers, and what fails."""
        if not self.results:
            return "The gates are judged as soon as the evaluation has finished."
        text = f"{self.passed_count} of {len(self.results)} gates pass."
        if self.blocking:
            return f"{text} Approval is blocked by {_listed(self.blocking)}."
        if self.advisory:
            word = "The failing one is advisory" if len(self.advisory) == 1 else "The failing ones are advisory"
            return f"{text} {word}: {_listed(self.advisory)}."
        return text

    def _compared(self) -> str:
        key = gates.primary(self.version)
        first = next((row for row in self.found.get("metrics", []) if row["metric"] == key), None)
        rival = self.request.baseline.label if self.request.baseline else "production"
        if first is None or first["low"] is None:
            return f"could not be compared with {rival}."
        label = METRICS[first["metric"]]["label"]
        good, bad = (first["low"] > 0, first["high"] < 0)
        if METRICS[first["metric"]]["better"] == "lower":
            good, bad = (first["high"] < 0, first["low"] > 0)
        if good:
            return f"is better than {rival} on {label}."
        return f"is worse than {rival} on {label}." if bad else f"and {rival} are about equal on {label}."

    def _but(self) -> str:
        worse = [row for row in self.rows if row.status in ("advisory", "fail") and row.tone == "down"]
        if not worse:
            return ""
        return " One metric got worse." if len(worse) == 1 else f" {len(worse)} metrics got worse."

    def _metric_row(self, item: dict[str, Any]) -> Row:
        known = METRICS.get(item["metric"], {"label": item["metric"], "better": "higher"})
        verdict = next((result for result in self.results if result.metric == item["metric"]), None)
        status = verdict.status if verdict else ""
        common = {
            "label": known["label"],
            "arrow": ARROWS[known["better"]],
            "candidate": plain_number(item["candidate"]),
            "rule": verdict.rule if verdict else "",
            "status": status,
        }
        if item["difference"] is None:
            return Row(production="–", change="", tone="", words="", interval=None, **common)
        gain = item["difference"] if known["better"] == "higher" else -item["difference"]
        tone = "up" if gain > 0 else "down" if gain < 0 else ""
        return Row(
            production=plain_number(item["production"]),
            change=signed(item["difference"]),
            tone=tone,
            words=_words(item),
            interval=_interval(item, known["better"], status),
            candidate_is_best=gain >= 0,
            **common,
        )

    def _latency_rows(self) -> list[Row]:
        ours, theirs = self.found.get("latency_ms"), self.found.get("production_latency_ms")
        if ours is None:
            return []
        verdict = next((result for result in self.results if result.name == "latency_at_most"), None)
        change = f"{signed(round(ours - theirs, 1))} ms" if theirs is not None else ""
        return [
            Row(
                label="Predict p99",
                arrow="↓",
                production=f"{theirs:.3g} ms" if theirs is not None else "–",
                candidate=f"{ours:.3g} ms",
                change=change,
                tone="",
                words="",
                interval=None,
                rule=verdict.rule if verdict else "",
                status=verdict.status if verdict else "",
                candidate_is_best=theirs is None or ours <= theirs,
            )
        ]


def load(request: PromotionRequest) -> Review:
    """Build the page's words for a request whose relations are joined."""
    work = getattr(request, "evaluation", None)
    results = [item for item in request.gate_results.all() if item.phase == GateResult.Phase.REQUEST]
    found = work.result if work is not None and work.result else {}
    return Review(request, results, found)


def barred_because(by: Actor, request: PromotionRequest, people: list[tuple[Any, str]]) -> str:
    """Say why this reader may not decide, in the words of the four-eyes rules, or nothing."""
    from deployments.services import holds

    if not request.policy.four_eyes:
        return ""
    return next((f"You {why}." for other, why in people if holds.same_person(by.user, other)), "")


def _listed(items: list[GateResult]) -> str:
    words = [f"{inside_a_sentence(item.title)} ({item.found})" for item in items[:3]]
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(words) + more


def _words(item: dict[str, Any]) -> str:
    if item["low"] is None:
        return ""
    return f"between {signed(item['low'])} and {signed(item['high'])}"


def _interval(item: dict[str, Any], better: str, status: str) -> Interval | None:
    """Place an interval on a line of 100 units; the widest of its ends reaches the border."""
    if item["low"] is None:
        return None
    turn = 1.0 if better == "higher" else -1.0
    ends = sorted((turn * item["low"], turn * item["high"]))
    widest = max(abs(ends[0]), abs(ends[1]), 1e-12)
    low, mid, high = (
        round(CENTRE + REACH * value / widest, 1) for value in (ends[0], turn * item["difference"], ends[1])
    )
    clear = ends[0] > 0
    tone = "warn" if status in ("advisory", "fail") else "ok" if clear else "mut"
    return Interval(low, mid, high, tone)
