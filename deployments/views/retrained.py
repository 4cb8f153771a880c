"""What the review page says of a request that an alert led to: the alert, what drifted, both models on other rows."""

from dataclasses import dataclass
from typing import Any

from deployments.proof.rules import plain_number, signed
from experiments.training.catalogue import METRICS

MOST_METRICS = 3
MOST_COLUMNS = 5
DIGITS = 4
NAMES = {
    "holdout": "The rows production was approved on",
    "newest": "The newest predictions whose label came",
}


@dataclass(frozen=True)
class Line:
    """One metric of both models on the same rows."""

    label: str
    production: str
    candidate: str
    change: str
    tone: str


@dataclass(frozen=True)
class Panel:
    """One set of rows: how many, the metrics, and why something is missing."""

    heading: str
    rows: int
    lines: list[Line]
    why: str


@dataclass(frozen=True)
class Retrained:
    """Everything the section prints."""

    report: dict[str, Any]
    panels: list[Panel]

    @property
    def drifted(self) -> list[dict[str, Any]]:
        """Columns of the window, worst first."""
        columns = self.report.get("drift", {}).get("columns", [])
        return [one for one in columns if one["state"] in ("alert", "warn")][:MOST_COLUMNS]


def of(found: dict[str, Any]) -> Retrained | None:
    """Read it from an evaluation's result; None when no alert led to the request."""
    told = found.get("retraining")
    if not told:
        return None
    panels = [_panel(NAMES[name], told[name]) for name in NAMES if name in told]
    return Retrained(told.get("report") or {}, panels)


def _panel(heading: str, held: dict[str, Any]) -> Panel:
    return Panel(heading, held["rows"], [_line(one) for one in held["metrics"][:MOST_METRICS]], held["why"])


def _line(one: dict[str, Any]) -> Line:
    known = METRICS.get(one["metric"], {"label": one["metric"], "better": "higher"})
    turn = 1 if known["better"] == "higher" else -1
    low, high = one["low"], one["high"]
    change = tone = ""
    if low is not None and high is not None:
        change = " ".join((_signed(one["difference"]), f"({_signed(low)} to {_signed(high)})"))
        ends = sorted((turn * low, turn * high))
        tone = "up" if ends[0] > 0 else "down" if ends[1] < 0 else ""
    production = "–" if one["production"] is None else plain_number(round(one["production"], DIGITS))
    return Line(known["label"], production, plain_number(round(one["candidate"], DIGITS)), change, tone)


def _signed(value: float) -> str:
    return signed(round(value, DIGITS))
