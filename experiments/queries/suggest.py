"""What can stand next in a filter: names with their types and values, operators, values with their counts.

Every answer costs a bounded number of looks, however many runs and names there are: names are found by hops
through an index, values likewise, and facts of runs are counted among the newest 10,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import models

from experiments.metricstore import names, spelling
from experiments.metricstore.completion import Spot, spot
from experiments.metricstore.meaning import STATES
from experiments.models import Experiment, Lifecycle

from .places import Place, hints_of, runs_of

SHOWN = 12
OF_A_KIND = 6
NEWEST = 10_000
FIELDS = {
    "state": "queued, running, finished, failed, cancelled", "user": "who ran it", "started": "7d, or a date",
    "data": "dataset version", "name": "part of the name", "tag": "any tag", "took": "how long it ran",
    "ended": "7d, or a date", "source": "job, mlflow, api", "run": "number",
    "experiment": "its name or number",
}  # fmt: skip
KINDS = {"metric": "metric", "param": "parameter", "tag": "tag"}
OPERATORS = {
    ":": "is", ">": "more than", ">=": "at least", "<": "less than", "<=": "at most", "!=": "is not",
    "~": "contains",
}  # fmt: skip
TIMES = {"<1d": "the last day", "<7d": "the last week", "<30d": "the last 30 days", ">30d": "before that"}
SPANS = {">1m": "over a minute", ">10m": "over ten minutes", ">1h": "over an hour"}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One thing to put in: what is shown, what is written, a word on it."""

    label: str
    insert: str
    note: str


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What can replace the text from ``start`` to the cursor."""

    start: int
    found: list[Suggestion]


def suggest(place: Place, text: str, at: int) -> Suggestions:
    """Return at most 12 suggestions for the place `at` of a filter."""
    here = spot(text, at)
    if here is None:
        return Suggestions(at, [])
    found = _values(place, here) if here.kind == "value" else _names(place, here)
    return Suggestions(here.start, list(found)[:SHOWN])


def _names(place: Place, here: Spot) -> Iterable[Suggestion]:
    wanted, out = here.text.lower(), []
    if here.entity in ("bare", "attribute"):
        fields = [f for f in FIELDS if f.startswith(wanted)]
        if wanted in fields:
            return [Suggestion(f"{wanted}:", f"{wanted}:", FIELDS[wanted])]
        out = [Suggestion(f, f"{f}:", FIELDS[f]) for f in fields]
    if here.entity == "attribute":
        return out
    for kind, word in KINDS.items():
        if here.entity in ("bare", kind):
            out += _of_kind(place, kind, word, here)
    # The very name that was written asks for an operator; else what begins alike comes first.
    exact = [s for s in out if s.label.lower() == wanted and not s.insert.endswith(":")]
    if exact and wanted:
        offered = {op: words for op, words in OPERATORS.items() if op != "~" or not exact[0].note.startswith("metric")}
        return [Suggestion(exact[0].insert + op, exact[0].insert + op, words) for op, words in offered.items()]
    return sorted(out, key=lambda s: not s.label.lower().startswith(wanted)) if wanted else out


def _of_kind(place: Place, kind: str, word: str, here: Spot) -> list[Suggestion]:
    found, _ = names.search(hints_of(place), kind, here.text, OF_A_KIND)
    if here.text not in found and names.have(hints_of(place), kind, [here.text] if here.text else []):
        found = [here.text, *found]
    notes = _notes(place, kind, found)
    out = []
    for name in found:
        written = (spelling.bare(name) if here.entity == "bare" else None) or spelling.name(kind, name)
        out.append(Suggestion(name, written, f"{word}{notes.get(name, '')}"))
    return out


def _notes(place: Place, kind: str, found: Sequence[str]) -> dict[str, str]:
    if kind == "metric":
        ends = names.ranges(hints_of(place), found)
        return {name: f", {low:.4g} to {high:.4g}" for name, (low, high) in ends.items()}
    counts = names.value_counts(hints_of(place), kind, found)
    return {
        name: f", {'over 20' if count > names.VALUES_COUNTED else count} value{'' if count == 1 else 's'}"
        for name, count in counts.items()
    }


def _values(place: Place, here: Spot) -> Iterable[Suggestion]:
    if here.entity in ("started", "ended", "took"):
        return _spans(SPANS if here.entity == "took" else TIMES, here)
    facts = _facts(place, here.entity)
    if facts is not None:
        wanted = here.text.lower()
        mine = [Suggestion("me", "me", "your own runs")] if here.entity == "user" and "me".startswith(wanted) else []
        return [*mine, *(_counted(value, count) for value, count in facts if wanted in value.lower())]
    for kind in KINDS if here.entity == "bare" else [here.entity] if here.entity in KINDS else []:
        if names.have(hints_of(place), kind, [here.key]):
            return _recorded(place, kind, here)
    if here.entity == "tagged":
        found, _ = names.search(hints_of(place), "tag", here.text, SHOWN)
        return [Suggestion(name, spelling.value(name), "tag") for name in found]
    return []


def _spans(table: dict[str, str], here: Spot) -> Iterable[Suggestion]:
    """Times with their sign, unless one is written."""
    sign = here.operator.lstrip(":").strip()[:1]
    for value, words in table.items():
        rest = value[1:] if sign in ("<", ">") else value
        if rest.startswith(here.text) and (not sign or sign not in "<>" or value.startswith(sign)):
            yield Suggestion(rest, rest, words)


def _recorded(place: Place, kind: str, here: Spot) -> Iterable[Suggestion]:
    if kind == "metric":
        low, high = names.ranges(hints_of(place), [here.key]).get(here.key, (None, None))
        ends = [(low, "the least"), (high, "the greatest")]
        return [Suggestion(f"{v:.6g}", f"{v:.6g}", words) for v, words in ends if v is not None]
    return [_counted(value, count) for value, count in names.values(hints_of(place), kind, here.key, here.text, SHOWN)]


def _counted(value: str, count: int) -> Suggestion:
    shown = f"{count:,} run{'' if count == 1 else 's'}" if count <= names.COUNTED_RUNS else f"over {count - 1:,} runs"
    return Suggestion(value if len(value) <= 80 else f"{value[:79]}…", spelling.value(value), shown)


def _facts(place: Place, kind: str) -> list[tuple[str, int]] | None:
    """Values of a fact among the newest 10,000 runs, most frequent first; None where there is no list."""
    if kind == "experiment":
        return _experiments(place)
    runs = runs_of(place).filter(lifecycle=Lifecycle.ACTIVE).order_by("-started_ms", "-id")
    if kind in ("state", "source"):
        counts = Counter(runs.values_list(kind, flat=True)[:NEWEST])
        order = STATES if kind == "state" else sorted(counts)
        return [(value, counts[value]) for value in order]
    if kind == "user":
        people = Counter(runs.values_list("created_by__username", flat=True)[:NEWEST])
        return [(name, count) for name, count in people.most_common() if name][:50]
    if kind == "data":
        used = Counter(runs.values_list("dataset_version__dataset__name", "dataset_version__number")[:NEWEST])
        return [(f"{name}@v{number}", count) for (name, number), count in used.most_common() if name][:50]
    return None


def _experiments(place: Place) -> list[tuple[str, int]]:
    """Names of the experiments that changed last, each with its number of active runs."""
    rows = Experiment.objects.filter(pk__in=hints_of(place).ids).order_by("-updated_at", "-pk")
    active = models.Count("runs", filter=models.Q(runs__lifecycle=Lifecycle.ACTIVE))
    return list(rows.annotate(count=active).values_list("name", "count"))
