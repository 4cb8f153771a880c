"""What the promotion page says: verdict sentence, key numbers, table with intervals, steps, lineage."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import cached_property

from deployments import gates
from deployments.models import GateResult, ModelVersion, PromotionRequest
from deployments.proof.rules import plain_number, signed
from deployments.services import evidence
from deployments.views.evidence import Evidence
from experiments.training.catalogue import METRICS
from mlportal.lib.ui import inside_a_sentence
from projects.actor import Actor

ARROWS = {"higher": "↑", "lower": "↓"}
CENTRE, REACH = 50.0, 44.0
NOTHING = 1e-9
FIRST_ROWS = 5


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
        return [item for item in self.failed if item.level == "blocking" and item.sealed_name not in overridden]

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
    def passed_listed(self) -> list[GateResult]:
        """Rules that passed and are not about a metric; those are in the table."""
        return [item for item in self.results if item.passed and not item.metric]

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
    def first_rows(self) -> list[Row]:
        """What the decision needs at a glance: gates that fail and the metric judged by come first."""
        key = next(iter(item["metric"] for item in self.found.get("metrics", [])), "")
        label = METRICS.get(key, {"label": key})["label"]
        ranked = sorted(self.rows, key=lambda row: (row.label != label, row.status not in ("fail", "advisory")))
        kept = {id(row) for row in ranked[:FIRST_ROWS]}
        return [row for row in self.rows if id(row) in kept]

    @property
    def other_rows(self) -> list[Row]:
        """The rest of the table."""
        first = {id(row) for row in self.first_rows}
        return [row for row in self.rows if id(row) not in first]

    @property
    def numbers(self) -> list[Number]:
        """Four: two metrics, the calibration error and the time of one prediction; a third metric without the error."""
        metrics = [item for item in self.rows if not item.label.startswith("Predict")]
        error = _calibration_error(self.found)
        shown = [*metrics[: 2 if error else 3], *([error] if error else [])]
        shown += [item for item in self.rows if item.label.startswith("Predict")]
        return [Number(f"{item.label} {item.arrow}", item.candidate, item.change, item.tone) for item in shown]

    @cached_property
    def headline(self) -> str:
        """The one sentence that says what is true."""
        name = self.version.label
        if not self.results:
            return f"{name} is being measured."
        if not self.found:
            return f"{name} could not be measured."
        return f"{self._compared()}; {self._gates()}."

    @property
    def summary(self) -> str:
        """The second sentence: what fails, and where the candidate got worse."""
        if not self.results:
            return "The gates are judged as soon as the evaluation has finished."
        if self.blocking:
            return f"Approval is blocked by {_listed(self.blocking)}.{self._worse()}"
        if self.advisory:
            return f"Advisory: {_listed(self.advisory)}.{self._worse()}"
        return f"Nothing stands against it.{self._worse()}".strip() if not self._worse() else self._worse().strip()

    def _gates(self) -> str:
        total = len(self.results)
        if self.blocking:
            return f"{len(self.blocking)} of {total} gates {_verb(self.blocking, 'block')}"
        if self.advisory:
            return f"{len(self.advisory)} of {total} gates {_verb(self.advisory, 'need')} reading"
        return f"all {total} gates pass" if not self.failed else f"{self.passed_count} of {total} gates pass"

    def _compared(self) -> str:
        key = gates.primary(self.version)
        first = next((row for row in self.found.get("metrics", []) if row["metric"] == key), None)
        rows = f"on {self.found.get('rows', 0):,} frozen rows"
        if first is None:
            return f"{self.version.label} could not be judged by {METRICS.get(key, {'label': key})['label']}"
        label = METRICS[key]["label"]
        if self.request.baseline_id is None:
            return f"First version there: {label} {plain_number(first['candidate'])} {rows}"
        if first["low"] is None:
            return f"Not compared with production: {label} {plain_number(first['candidate'])} {rows}"
        turn = 1 if METRICS[key]["better"] == "higher" else -1
        ends = sorted((turn * _rounded(first["low"]), turn * _rounded(first["high"])))
        word = "Better than" if ends[0] > 0 else "Worse than" if ends[1] < 0 else "About equal to"
        between = f"{signed(_rounded(first['low']))} to {signed(_rounded(first['high']))}"
        return f"{word} production: {label} {signed(_rounded(first['difference']))} ({between}) {rows}"

    def _worse(self) -> str:
        """Say which metrics, segments and groups got worse beyond their interval."""
        metrics = [row.label for row in self.rows if row.tone == "down" and row.interval and row.interval.high < CENTRE]
        worse = [*metrics, *self.evidence.worse_segments, *self.evidence.worse_groups]
        if not worse:
            return ""
        more = f" and {len(worse) - 3} more" if len(worse) > 3 else ""
        return f" Got worse: {', '.join(worse[:3])}{more}."

    @cached_property
    def evidence(self) -> Evidence:
        """What is shown below the decision."""
        return Evidence(self.request, self.found)

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


def load(by: Actor, request: PromotionRequest) -> Review:
    """Build the page's words for a request whose relations are joined, as the actor may read them."""
    work = getattr(request, "evaluation", None)
    results = [item for item in request.gate_results.all() if item.phase == GateResult.Phase.REQUEST]
    found = evidence.readable(by, request=request, result=work.result if work is not None else None) or {}
    return Review(request, evidence.verdicts(by, request=request, rows=results), found)


def _calibration_error(found: dict[str, Any]) -> Row | None:
    """Return the expected calibration error as a row, None without probabilities."""
    calibration = found.get("calibration")
    if not calibration:
        return None
    ours, theirs = calibration["candidate"]["ece"], (calibration.get("baseline") or {}).get("ece")
    change = None if theirs is None else ours - theirs
    tone = "" if not change else "up" if change < 0 else "down"
    return Row(
        label="Calibration error", arrow=ARROWS["lower"], candidate=plain_number(round(ours, 4)), tone=tone, words="",
        production="–" if theirs is None else plain_number(round(theirs, 4)), interval=None,
        change="" if change is None else signed(round(change, 4)),
    )  # fmt: skip


def _verb(items: list[GateResult], word: str) -> str:
    return f"{word}s" if len(items) == 1 else word


def _rounded(value: float) -> float:
    """Keep three significant digits: an interval says no more, and what arithmetic leaves over says nothing."""
    return float(f"{value:.3g}") if abs(value) >= NOTHING else 0.0


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
