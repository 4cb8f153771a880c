"""The evidence below the decision: figures and tables of segments, groups, probabilities, time and size."""

import json
from dataclasses import dataclass
from typing import Any

from django.utils.functional import cached_property

from deployments.models import PromotionRequest
from deployments.proof.rules import plain_number, signed
from deployments.views import explained
from experiments.training.catalogue import METRICS

RATES = {
    "selection_rate": "Selection rate", "tpr": "True positive rate", "fpr": "False positive rate",
    "accuracy": "Accuracy",
}  # fmt: skip
# Which way a rate gets better; being selected is good or bad by what it is for.
TURNS = {"selection_rate": 0, "tpr": 1, "fpr": -1, "accuracy": 1}
EXPLAINED = 12  # columns of an explained answer that the page lists
OTHERS = "other columns"
MEGABYTE = 1e6
Json = dict[str, Any]


@dataclass
class Evidence:
    """What an evaluation found, in the words and shapes of the page."""

    request: PromotionRequest
    found: Json

    @cached_property
    def segments(self) -> list[Json]:
        """Segments by column: rows, and the first metric of both with the interval of the difference."""
        columns: dict[str, list[Json]] = {}
        for row in self.found.get("segments") or []:
            key, metric = next(iter(row["metrics"].items()), ("", {}))
            known = METRICS.get(key, {"label": key, "better": "higher"})
            columns.setdefault(row["column"], []).append(
                {"value": row["value"], "rows": row["rows"], **_against(metric, known["better"])}
            )
        return [{"column": column, "lines": lines} for column, lines in columns.items()]

    @property
    def segment_metric(self) -> str:
        """Name of the metric that the segments show first."""
        first = next((row for row in self.found.get("segments") or [] if row["metrics"]), None)
        key = next(iter(first["metrics"])) if first else ""
        return str(METRICS.get(key, {"label": key})["label"])

    @cached_property
    def worse_segments(self) -> list[str]:
        """Segments in which the candidate is surely worse."""
        return [
            f"{each['column']} {line['value']}"
            for each in self.segments
            for line in each["lines"]
            if line["clear"] == "down"
        ]

    @cached_property
    def fairness(self) -> list[Json]:
        """Groups by column: four rates of both with intervals, the ratio and whether four fifths hold."""
        return [self._column(place, column) for place, column in enumerate(self.found.get("fairness") or [])]

    @cached_property
    def worse_groups(self) -> list[str]:
        """Rates of groups that surely got worse."""
        return [
            f"{label.lower()} of {column['column']} {line['value']}"
            for column in self.fairness
            for line in column["lines"]
            for label, rate in zip(RATES.values(), line["rates"], strict=True)
            if rate["change"] and rate["change"]["clear"] == "down"
        ]

    def _column(self, place: int, column: Json) -> Json:
        lines = [
            {
                "value": group["value"], "rows": group["rows"],
                "rates": [
                    {side: _share((group[side] or {}).get(rate)) for side in ("candidate", "baseline")}
                    | {"change": _gained((group.get("difference") or {}).get(rate), rate)}
                    for rate in RATES
                ],
            }
            for group in column["groups"]
        ]  # fmt: skip
        ratio = column["selection_ratio"]
        lowest, highest = (
            pick(column["groups"], key=lambda group: group["candidate"]["selection_rate"]["value"])
            for pick in (min, max)
        )
        words = (
            f"{lowest['value']} is selected {ratio['candidate']:.0%} as often as {highest['value']}"
            if ratio["candidate"] is not None
            else "nobody is selected"
        )
        was = f"; {ratio['baseline']:.0%} in production" if ratio["baseline"] is not None else ""
        return {
            "id": f"d-fair-{place}", "column": column["column"], "lines": lines, "holds": column["four_fifths"],
            "words": f"{words}{was}.", "figure": self._figure(column),
            "compared": bool(column["groups"][0]["baseline"]),
        }  # fmt: skip

    def _figure(self, column: Json) -> str:
        """Dots with intervals, a row for each group of each rate."""
        groups = column["groups"]
        sides = [(self.request.version.label, "candidate")]
        if groups[0]["baseline"]:
            sides.insert(0, (f"{self.request.baseline.label if self.request.baseline else ''} production", "baseline"))
        parts = {}
        for rate, label in RATES.items():
            shown = [
                {"name": name, "k": place + 1, **_dots([group[side][rate] for group in groups])}
                for place, (name, side) in enumerate(reversed(sides))
            ]
            parts[rate] = {
                "kind": "dots", "xt": label, "labels": [f"{group['value']} ({group['rows']:,})" for group in groups],
                "series": shown, "label": f"{label} by {column['column']}: {_spread(groups, rate)}",
            }  # fmt: skip
        return json.dumps(parts)

    @cached_property
    def calibration(self) -> Json | None:
        """Reliability lines of both, and their errors."""
        found = self.found.get("calibration")
        if not found:
            return None
        sides = [(self.request.version.label, found["candidate"])]
        if found.get("baseline") and self.request.baseline:
            sides.append((f"{self.request.baseline.label} production", found["baseline"]))
        lines = [
            {
                "name": name, "k": place + 1, "dash": place, "marks": True,
                "x": [each["said"] for each in side["bins"]], "y": [each["seen"]["value"] for each in side["bins"]],
            }
            for place, (name, side) in enumerate(sides)
        ]  # fmt: skip
        words = "; ".join(f"{name} errs by {side['ece']:.3f} on average" for name, side in sides)
        figure = {
            "kind": "lines", "xt": "Predicted probability", "yt": "Observed share", "unit": True, "diagonal": True,
            "lines": lines, "label": f"Calibration: {words}.",
        }  # fmt: skip
        table = [
            {
                "name": name,
                "ece": plain_number(round(side["ece"], 4)),
                "brier": plain_number(round(side["brier"], 4)),
                "range": f"{side['brier_low']:.4f} to {side['brier_high']:.4f}",
            }
            for name, side in sides
        ]  # fmt: skip
        return {"figure": json.dumps(figure), "words": words, "lines": table}

    @cached_property
    def costs(self) -> list[Json]:
        """Time of one row and of a batch, and size: production, candidate, difference."""
        latency, lines = self.found.get("latency") or {}, []
        ours, theirs = latency.get("candidate") or {}, latency.get("baseline") or {}
        for name, ends in (("One row", ""), (f"{(ours.get('batch') or {}).get('rows', 0):,} rows", "batch")):
            one, other = (ours.get(ends) or {}, theirs.get(ends) or {}) if ends else (ours, theirs)
            lines += [
                _cost(f"{name}, {p}", one.get(f"{p}_ms"), other.get(f"{p}_ms"), "ms") for p in ("p50", "p95", "p99")
            ]
        size = self.found.get("size") or {}
        was = size.get("baseline_bytes")
        lines.append(_cost("Model file", _megabytes(size.get("candidate_bytes")), _megabytes(was), "MB"))
        return [line for line in lines if line["candidate"] is not None]

    @cached_property
    def explanations(self) -> Json | None:
        """Permutation importance as bars."""
        return explained.importance(self._told.get("importance") or [])

    @cached_property
    def curves(self) -> list[Json]:
        """How the output depends on the columns that matter most."""
        return explained.curves(self._told.get("partial_dependence") or [])

    @cached_property
    def examples(self) -> Json | None:
        """A handful of answers: a line for each column that adds most, with a cell an answer, and the rest in one."""
        told = self._told.get("examples")
        if not told:
            return None
        rows = told["rows"]
        lines = [
            {"column": name, "cells": [_cell(row, place) for row in rows]}
            for place, name in enumerate(told["columns"][:EXPLAINED])
        ]
        if len(told["columns"]) > EXPLAINED:
            rest = [{"value": "", "adds": sum(row["contributions"][EXPLAINED:])} for row in rows]
            lines.append({"column": OTHERS, "cells": rest})
        return {
            "rows": rows, "lines": lines, "scale": told["scale"], "class": told["class"],
            "method": explained.METHODS[told["method"]],
        }  # fmt: skip

    @property
    def _told(self) -> Json:
        return self.found.get("explanations") or {}

    @property
    def missing(self) -> list[Json]:
        """Parts that could not be had, and why."""
        return list(self.found.get("missing") or [])


def _against(metric: Json, better: str) -> Json:
    """Write one metric of a segment against production."""
    if not metric:
        return {"candidate": "–", "baseline": "–", "change": "", "range": "", "clear": ""}
    out = {
        "candidate": plain_number(metric["candidate"]),
        "baseline": plain_number(metric["baseline"]) if metric["baseline"] is not None else "–",
        "change": "", "range": "", "tone": "", "clear": "",
    }  # fmt: skip
    if metric["difference"] is None or metric["low"] is None:
        return out
    turn = 1 if better == "higher" else -1
    gain, ends = turn * metric["difference"], sorted((turn * metric["low"], turn * metric["high"]))
    tone = "up" if gain > 0 else "down" if gain < 0 else ""
    clear = "up" if ends[0] > 0 else "down" if ends[1] < 0 else ""
    return out | {
        "change": signed(metric["difference"]), "range": f"{signed(metric['low'])} to {signed(metric['high'])}",
        "tone": tone, "clear": clear,
    }  # fmt: skip


def _share(rate: Json | None) -> str:
    if not rate or rate["value"] is None:
        return "–"
    return f"{rate['value']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})"


def _gained(change: Json | None, rate: str) -> Json | None:
    """Write the candidate's rate minus production's in points with its interval, None without production."""
    if not change or change["value"] is None:
        return None
    words = signed(round(100 * change["value"], 2))
    if change["low"] is None:
        return {"words": words, "range": "", "clear": ""}
    turn = TURNS[rate]
    ends = sorted((turn * change["low"], turn * change["high"]))
    clear = "up" if ends[0] > 0 else "down" if ends[1] < 0 else ""
    low, high = (signed(round(100 * change[end], 2)) for end in ("low", "high"))
    return {"words": words, "range": f"{low} to {high}", "clear": clear}


def _cell(row: Json, place: int) -> Json:
    """Return value and contribution of a column; what is summed up as other columns has no value."""
    return {"value": row["values"][place] if place < len(row["values"]) else "", "adds": row["contributions"][place]}


def _dots(rates: list[Json]) -> Json:
    """Places of the dots and how far their intervals reach to both sides."""
    return {
        "x": [rate["value"] for rate in rates],
        "less": [None if rate["value"] is None else rate["value"] - rate["low"] for rate in rates],
        "more": [None if rate["value"] is None else rate["high"] - rate["value"] for rate in rates],
    }


def _spread(groups: list[Json], rate: str) -> str:
    found = [group["candidate"][rate]["value"] for group in groups if group["candidate"][rate]["value"] is not None]
    return f"from {min(found):.1%} to {max(found):.1%}" if found else "no group has one"


def _cost(name: str, ours: float | None, theirs: float | None, unit: str) -> Json:
    change = "" if ours is None or theirs is None else f"{signed(round(ours - theirs, 2))} {unit}"
    return {
        "name": name, "change": change, "candidate": None if ours is None else f"{ours:.3g} {unit}",
        "baseline": "–" if theirs is None else f"{theirs:.3g} {unit}",
    }  # fmt: skip


def _megabytes(size: int | None) -> float | None:
    return None if size is None else size / MEGABYTE
