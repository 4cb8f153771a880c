"""Metrics of one run as its page shows them: in groups by prefix, the machine's own apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments import metricstore, queries
from experiments.metricstore import Series
from experiments.queries import RunFacts
from mlportal.lib import quantities

FOLDS = "cv/"
FIRST_OF_GROUP = 6
FIRST_OF_ALL = 12
MOST = 24
POINTS = 500
SYSTEM_POINTS = 200
SYSTEM_CURVES = 16
UNITS = {
    "_megabytes_per_second": "MB/s", "_percentage": "%", "_megabytes": "MB", "_gigabytes": "GB", "_watts": "W",
    "_seconds": "s", "_celsius": "°C",
}  # fmt: skip
_OBVIOUS = frozenset({"usage", "utilization"})
_ORDER = ("cpu", "memory", "gpu", "disk", "network")
_SHORT = {"cpu": "CPU", "gpu": "GPU", "tpu": "TPU", "io": "I/O", "receive": "received", "transmit": "sent"}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CurveGroup:
    """Curves whose names share a prefix; ``total`` counts them all, ``curves`` are those drawn."""

    name: str
    total: int
    curves: list[Json]
    is_open: bool = False

    @property
    def label(self) -> str:
        """The prefix, or what stands without one."""
        return self.name or "Without prefix"

    @property
    def left(self) -> int:
        """How many are not drawn."""
        return self.total - len(self.curves)


def group_of(name: str) -> str:
    """The prefix of a metric: ``train`` of ``train/loss``."""
    head, slash, _ = name.partition("/")
    return head if slash else ""


def is_system(name: str) -> bool:
    """Whether a metric tells of the machine and not of the model."""
    return name.startswith(queries.SYSTEM)


def unit_of(name: str) -> str:
    """The unit that a system metric's name ends with."""
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


def system_label(name: str) -> str:
    """``system/cpu_utilization_percentage`` for people: CPU utilization."""
    text = name.removeprefix(queries.SYSTEM)
    for ending in UNITS:
        text = text.removesuffix(ending)
    words = text.replace("system_memory", "memory").replace("/", "_").split("_")
    text = " ".join(_SHORT.get(word, word) for word in words if word not in _OBVIOUS)
    if "usage" in words and unit_of(name) == "MB":  # beside the share of it, which has the plain name
        text += " used"
    return text[:1].upper() + text[1:]


def system_text(name: str, value: float) -> str:
    """A system metric's value with its unit."""
    unit = unit_of(name)
    if not math.isfinite(value):
        return quantities.metric(value)
    text = f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text}{'' if unit == '%' else ' '}{unit}".strip()


class RunMetrics:
    """The metrics of a run, sorted into curves, folds, single values and those of the machine."""

    def __init__(self, facts: RunFacts, names: list[str], asked: str = "") -> None:
        self.facts, self.asked = facts, asked
        self.counts = queries.points_per_metric(facts.run.pk)
        self.system = sorted((n for n in names if is_system(n)), key=_place)
        self.folds = [n for n in names if n.startswith(FOLDS)]
        self.own = [n for n in names if not is_system(n) and not n.startswith(FOLDS)]
        self.curved = [n for n in self.own if self.counts.get(n, 0) > 1]
        self.drawn = self._drawn()
        wanted = [*self.drawn, *self.folds]
        self.series = metricstore.many_series([facts.run.pk], wanted, at_most=POINTS)
        self.machine = [n for n in self.system if self.counts.get(n, 0) > 1][:SYSTEM_CURVES]
        self.machine_series = metricstore.many_series([facts.run.pk], self.machine, at_most=SYSTEM_POINTS)

    def of(self, name: str) -> Series | None:
        """Points of a metric that is drawn."""
        return self.series.get((self.facts.run.pk, name))

    def groups(self) -> list[CurveGroup]:
        """Curves by prefix; those asked for, or as many as a page bears."""
        found = []
        for name, members in self._members().items():
            curves = [self._head(m) for m in self.drawn if group_of(m) == name]
            found.append(CurveGroup(name, len(members), curves, is_open=self.asked == (name or "-")))
        return found

    def drawn_series(self) -> dict[str, Series]:
        """Points of the curves that are drawn."""
        return {n: s for n in self.drawn if (s := self.of(n)) is not None}

    def system_curves(self) -> list[Json]:
        """Heads of the charts of the machine."""
        return [
            {"name": n, "label": system_label(n), "unit": unit_of(n), "id": f"s-{at}",
             "value": system_text(n, self.facts.metrics[n].value)}
            for at, n in enumerate(self.machine)
        ]  # fmt: skip

    def system_series(self) -> dict[str, Series]:
        """Points of the charts of the machine."""
        return {name: found for (_, name), found in self.machine_series.items()}

    def system_values(self) -> list[Json]:
        """Values of the machine that were logged once and make no curve."""
        return [
            {"label": system_label(n), "value": system_text(n, self.facts.metrics[n].value)}
            for n in self.system if n not in self.machine
        ]  # fmt: skip

    def _members(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.curved:
            found.setdefault(group_of(name), []).append(name)
        return found

    def _drawn(self) -> list[str]:
        members = self._members()
        key = "" if self.asked == "-" else self.asked
        if self.asked and key in members:
            return members[key][:MOST]
        out: list[str] = []
        for names in members.values():
            out += names[: min(FIRST_OF_GROUP, max(0, FIRST_OF_ALL - len(out)))]
        return out

    def _head(self, name: str) -> Json:
        found = self.of(name)
        gaps = 0 if found is None else sum(not math.isfinite(v) for v in found.values.tolist())
        return {
            "name": name, "label": queries.label_of(name), "arrow": queries.arrow_of(name),
            "value": self.facts.value(name), "id": f"c-{self.drawn.index(name)}", "remark": _remark(gaps),
        }  # fmt: skip


def _place(name: str) -> tuple[int, str, bool, str]:
    """Order of the machine's charts: processor, memory, cards, disk, network; shares before amounts."""
    part = next((at for at, word in enumerate(_ORDER) if word in name and "gpu" not in name), None)
    part = part if part is not None else (_ORDER.index("gpu") if "gpu" in name else len(_ORDER))
    return part, system_label(name), unit_of(name) != "%", name


def _remark(gaps: int) -> str:
    if not gaps:
        return ""
    return f"{gaps} {'point is' if gaps == 1 else 'points are'} NaN or infinite and left as gaps."


def by_prefix(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Rows of the metrics table in groups; those without a prefix first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        found.setdefault(group_of(line["name"]), []).append(line)
    return sorted(found.items(), key=lambda pair: pair[0] != "")
