"""What a comparison is asked for, as its address says it, and the runs it is about."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.http import QueryDict

from experiments import charts, metricstore
from experiments.metricstore import FilterError, Order, Question, Reading, Scope
from experiments.models import Experiment, Run
from mlportal.lib.errors import DomainError, Invalid
from projects.actor import Actor

from . import metrics as named
from . import runs
from .places import Place, RunSet, scope_of
from .tokens import aggregate

MOST_RUNS = 1000
COLOURED = 16
FIRST_COLOURED = 6
POPULATION = 300
MOST_METRICS = 8
MOST_PARAMS = 500
LONGEST_VALUE = 200
MOST_SMOOTH = 95
CHOICES = {"x": ("step", "rel", "time"), "y": ("lin", "log")}
# What an address may say of a comparison; all else in it belongs to the page.
STATE = ("folder", "runs", "q", "sort", "agg", "all", "deleted", "base", "hi", "m", "metric", "x", "y", "smooth",
         "clip", "axes", "axis", "sx", "sy", "cx", "cy", "cz", "group", "im", "keep", "diff", "dpage", "dfind",
         "orient", "system", "img", "table")  # fmt: skip


class View:
    """A comparison as its address says it; what is wrong falls back to the default."""

    def __init__(self, asked: QueryDict) -> None:
        self.asked = asked

    @classmethod
    def of_text(cls, text: str) -> View:
        """Read a stored query string."""
        return cls(QueryDict(text.lstrip("?")))

    def get(self, name: str, default: str = "") -> str:
        """One value."""
        return str(self.asked.get(name, default))

    def words(self, *names: str) -> list[str]:
        """All values under these names, each a word or a list with commas."""
        found = [part for name in names for value in self.asked.getlist(name) for part in str(value).split(",")]
        return list(dict.fromkeys(part for part in found if part))

    def numbers(self, *names: str) -> list[int]:
        """Run numbers; what is none is left out."""
        return [int(n) for n in self.words(*names) if _is_number(n.strip())]

    @property
    def unread(self) -> list[tuple[str, str]]:
        """(field, word) of what stands where runs are named and is no number of a run."""
        fields = ("runs", "base", "hi")
        return [(name, word) for name in fields for word in self.words(name) if not _is_number(word.strip())]

    @property
    def axis(self) -> str:
        """``step``, ``rel`` or ``time``."""
        return found if (found := self.get("x")) in ("rel", "time") else "step"

    @property
    def folder(self) -> int | None:
        """The folder whose experiments are meant, None for all; what is no number is none that exists."""
        text = self.get("folder")
        return None if not text else int(text) if _is_number(text) else -1

    def text(self, **changes: str | None) -> str:
        """The query string of this view, without what belongs to a page only."""
        kept = QueryDict(mutable=True)
        for name in STATE:
            if name in self.asked:
                kept.setlist(name, self.asked.getlist(name))
        for name, value in changes.items():
            if value is None:
                kept.pop(name, None)
            else:
                kept[name] = value
        return kept.urlencode()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


@dataclass(frozen=True, slots=True)
class Dot:
    """One run as the charts need it."""

    id: int
    name: str
    state: str
    started_ms: int
    params: Mapping[str, str]
    metrics: dict[str, float] = field(default_factory=dict)

    def fact(self, token: str) -> object:
        """Value of ``p.<parameter>`` or ``m.<metric>``; None when missing or not finite."""
        kind, _, name = token.partition(".")
        return self.params.get(name) if kind == "p" else self.metrics.get(name)


@dataclass(slots=True)
class Comparison:
    """The runs of a view: those compared, those coloured, and the crowd around them."""

    place: Place
    view: View
    compared: list[int]
    coloured: list[int]
    dots: dict[int, Dot]
    metrics: list[str]
    held: list[str] = field(default_factory=list)  # those of the metrics that a coloured run has
    total: int = 0
    absent: list[int] = field(default_factory=list)  # asked for by number, and not of this place
    fault: FilterError | None = None
    order_fault: DomainError | None = None

    @property
    def colours(self) -> dict[int, tuple[int, int]]:
        """Colour and dash of each coloured run."""
        return {pk: charts.colour_of(at) for at, pk in enumerate(self.coloured)}

    @property
    def crowd(self) -> list[Dot]:
        """Everything drawn: the coloured first."""
        front = [self.dots[pk] for pk in self.coloured]
        chosen = set(self.coloured)
        return [*front, *(dot for pk, dot in self.dots.items() if pk not in chosen)]

    @property
    def base(self) -> int | None:
        """The run that others are measured against."""
        asked = self.view.numbers("base")
        return next((pk for pk in asked if pk in self.coloured), self.coloured[0] if self.coloured else None)

    @property
    def primary(self) -> str:
        """A metric that all coloured runs have, where there is one: without it there is nothing to compare by."""
        return self.metrics[0] if self.metrics else ""

    @property
    def varying(self) -> list[str]:
        """Parameters with more than one value among the runs drawn, most varied first."""
        seen: dict[str, set[str | None]] = {}
        names = {name for dot in self.dots.values() for name in dot.params}
        for name in names:
            seen[name] = {dot.params.get(name) for dot in self.dots.values()}
        varied = [name for name, values in seen.items() if len(values) > 1]
        return sorted(varied, key=lambda name: (-len(seen[name]), name))[:MOST_PARAMS]

    def load(self, metrics: Sequence[str]) -> None:
        """Read the latest values of these metrics of all runs drawn, in one query."""
        found = metricstore.latest(list(self.dots), list(dict.fromkeys(metrics)))
        for pk, points in found.items():
            self.dots[pk].metrics.update(
                {name: p.value for name, p in points.items() if math.isfinite(p.value)}
            )  # fmt: skip

    def drawn(self, dot: Dot) -> dict[str, Any]:
        """A run's name, colour and dash; colour 0 is grey."""
        colour, dash = self.colours.get(dot.id, (0, 0))
        return {"id": dot.id, "name": f"{dot.id} {dot.name}", "k": colour, "dash": dash}


def load(dots: Mapping[int, Dot], metrics: Sequence[str]) -> None:
    """Read the latest values of these metrics of runs, in one query; only finite ones are kept."""
    for pk, points in metricstore.latest(list(dots), list(dict.fromkeys(metrics))).items():
        dots[pk].metrics.update({name: p.value for name, p in points.items() if math.isfinite(p.value)})


def faults(made: Comparison) -> list[DomainError]:
    """What an address asks of a comparison and cannot have: an order, an axis, metrics that none of its runs has."""
    view, found = made.view, [made.order_fault] if made.order_fault else []
    for name, allowed in CHOICES.items():
        if (value := view.get(name)) and value not in allowed:
            words = f"{value[:40]!r} is none of {', '.join(allowed)}."
            found.append(Invalid(words, field=name, got=value[:40], limit=list(allowed)))
    smooth = view.get("smooth")
    if smooth and not (_is_number(smooth) and int(smooth) <= MOST_SMOOTH):
        words = f"{smooth[:40]!r} is no whole number from 0 to {MOST_SMOOTH}."
        found.append(Invalid(words, field="smooth", got=smooth[:40], limit=MOST_SMOOTH))
    page = view.get("dpage")
    if page and not (_is_number(page) and int(page)):
        found.append(Invalid(f"{page[:40]!r} is no number of a page.", field="dpage", got=page[:40]))
    asked = view.words("metric", "m")
    hidden = [name for name in asked if name not in made.metrics and name.startswith(named.SYSTEM)]
    if hidden and view.get("system") != "1":
        found.append(Invalid("Metrics of the machine are drawn with system=1 only.", field="m", got=hidden[0][:250]))
    elif absent := [name for name in asked if name not in made.metrics]:
        listed = ", ".join(repr(name[:60]) for name in absent[:MOST_METRICS])
        found.append(Invalid(f"None of these runs has {listed}.", field="m", got=absent[0][:250]))
    if len(asked) > MOST_METRICS:
        words = f"At most {MOST_METRICS} metrics are drawn; the first {MOST_METRICS} are."
        found.append(Invalid(words, field="m", got=len(asked), limit=MOST_METRICS))
    return found


def compare(by: Actor, place: Place, view: View, *, around: bool = True) -> Comparison:
    """Find the runs of a view in a fixed number of queries.

    ``runs`` names up to 1,000; else ``q``, or ``all`` without a filter, gives the first 1,000, in the order of ``sort``
    or best first; with neither the first six are compared. Few runs are compared before the filter's first 300, unless
    ``around`` is false. Over several experiments the newest take the place of the best, and few runs are compared
    before those of their own experiments.
    """
    given, text = view.numbers("runs"), view.get("q").strip()
    fault: FilterError | None = None
    order_fault: DomainError | None = None
    crowd: list[int] = []
    total = 0
    is_whole = bool(text) or view.get("all") == "1"
    if not given or (around and len(given) <= COLOURED):
        near = _near(place, given)
        order, order_fault = _order(near, view)
        try:
            most = MOST_RUNS if is_whole and not given else POPULATION
            crowd, total = _found(by, near, view, text, order, most=most)
        except FilterError as error:
            fault = error
            crowd, total = _found(by, near, view, "", runs.first_order(near), most=POPULATION)
        except Reading as error:
            order_fault = error
            crowd, total = _found(by, near, view, text, runs.first_order(near), most=most)
    wanted = [*given, *view.numbers("base")] if given else crowd if is_whole and not fault else crowd[:FIRST_COLOURED]
    wanted = list(dict.fromkeys(wanted))[:MOST_RUNS]
    metricstore.fold_runs(wanted)  # what was just logged counts; a search has folded all that it found
    dots = dots_of(scope_of(place), list(dict.fromkeys([*wanted, *crowd])))
    compared = [pk for pk in wanted if pk in dots]
    made = Comparison(
        place, view, compared, _coloured(view, compared), dots, [],
        total=len(given) if given else total, absent=[pk for pk in wanted if pk not in dots],
        fault=fault, order_fault=order_fault,
    )  # fmt: skip
    made.metrics, made.held = _metrics(made)
    return made


def _near(place: Place, given: Sequence[int]) -> Place:
    """Where the crowd is looked for: of several experiments those that the runs asked for belong to."""
    if isinstance(place, Experiment) or not given:
        return place
    home = set(Run.objects.filter(pk__in=given[:MOST_RUNS]).values_list("experiment_id", flat=True))
    kept = tuple(pk for pk in place.scope.ids if pk in home)
    return RunSet(place.project, Scope(kept), place.path) if kept else place


def _order(place: Place, view: View) -> tuple[Order, Invalid | None]:
    """The order of the table that the address comes from, else best first."""
    text = view.get("sort")
    try:
        agg = aggregate(view.get("agg"))
        return runs.checked_order(place, text, agg) if text else runs.first_order(place), None
    except FilterError as fault:
        return runs.first_order(place), Invalid(fault.message, field="sort", got=text[:100])
    except Invalid as fault:
        return runs.first_order(place), fault


def _found(by: Actor, place: Place, view: View, text: str, order: Order, *, most: int) -> tuple[list[int], int]:
    lifecycle = "deleted" if view.get("deleted") == "1" else "active"
    question: Question = runs.question(by, place, text, order, lifecycle)
    ids = metricstore.search(question, limit=most).run_ids
    return ids, metricstore.count(question) if len(ids) == most else len(ids)


def _coloured(view: View, compared: Sequence[int]) -> list[int]:
    """All of a few runs; of many those that the address colours, else the first six, with the baseline."""
    if len(compared) <= COLOURED:
        return list(compared)
    known, base = set(compared), view.numbers("base")[:1]
    asked = [pk for pk in view.numbers("hi") if pk in known]
    chosen = asked or [*(pk for pk in base if pk in known), *compared[:FIRST_COLOURED]]
    return list(dict.fromkeys(chosen))[:COLOURED]


def dots_of(scope: Scope, wanted: Sequence[int]) -> dict[int, Dot]:
    """Runs of these experiments by number, in the order asked for; others are left out."""
    inside = frozenset(scope.ids)
    rows = Run.objects.filter(pk__in=wanted).values_list(
        "pk", "name", "state", "started_ms", "params", "experiment_id"
    )  # fmt: skip
    found = {
        pk: Dot(pk, name, state, started, _short(params))
        for pk, name, state, started, params, home in rows.iterator(chunk_size=200) if home in inside
    }  # fmt: skip
    return {pk: found[pk] for pk in wanted if pk in found}


def _short(params: str) -> dict[str, str]:
    """Parameters that a chart can place: not too many, not too long, so that 1,000 runs fit into memory."""
    read: dict[str, str] = json.loads(params)
    kept = [(name, value) for name, value in read.items() if len(value) <= LONGEST_VALUE]
    return dict(kept[:MOST_PARAMS])


def _metrics(made: Comparison) -> tuple[list[str], list[str]]:
    """Metrics that the runs have, first those of all coloured runs, then of some; and those of any coloured run."""
    counts, shared = _metric_counts(list(made.dots)), _metric_counts(made.coloured)
    names = named.default_metrics(made.place, sorted({*counts, *shared}))
    if made.view.get("system") != "1":
        names = [n for n in names if not n.startswith(named.SYSTEM)]
    whole = len(made.coloured)
    names.sort(key=lambda n: (shared.get(n, 0) < whole, n not in shared))
    return names, [n for n in names if n in shared]


def _metric_counts(run_ids: Sequence[int]) -> dict[str, int]:
    """How many of the runs have each metric."""
    if not run_ids:
        return {}
    marks = ", ".join(["%s"] * len(run_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT k.name, found.runs FROM (
                  SELECT key_id, count(*) AS runs FROM experiments_runmetric
                  WHERE run_id IN ({marks}) GROUP BY key_id
                ) found JOIN experiments_key k ON k.id = found.key_id""",  # noqa: S608 - marks only
            [*run_ids],
        )
        return dict(cursor.fetchall())
