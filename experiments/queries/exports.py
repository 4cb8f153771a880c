"""All runs of a question with all they recorded, some hundred at a time: nothing is ever held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from experiments import metricstore
from experiments.metricstore import Question
from experiments.models import Run

from .runs import RunFacts, aggregated, dataset_label, facts_of, values_at
from .tokens import settled, step_of

ROWS_AT_ONCE = 200
ORDERED_AT_ONCE = 1000  # an order by the value at a step of few runs is made anew for each part
IDS_AT_ONCE = 1000
METRICS_AT_ONCE = 200
FACTS = (
    "run", "name", "experiment", "state", "user", "dataset", "started_at", "ended_at", "took_seconds", "uuid", "notes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """The runs to export: those named, or all that answer a question in its order; metrics by one aggregate."""

    question: Question
    run_ids: Sequence[int] | None = None
    agg: str = "last"


@dataclass(frozen=True, slots=True)
class Names:
    """What the runs recorded, in order."""

    metrics: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    @property
    def heads(self) -> list[str]:
        """Names of the columns of a table."""
        return [
            *FACTS, *(f"metrics.{name}" for name in self.metrics), *(f"params.{name}" for name in self.params),
            *(f"tags.{name}" for name in self.tags),
        ]  # fmt: skip


def count(wanted: Wanted) -> int:
    """Count the runs exactly."""
    return sum(len(part) for part in _numbers(wanted, 20_000))


def names(wanted: Wanted) -> Names:
    """Return the names of all that these runs recorded."""
    found: dict[str, set[int]] = {"metric": set(), "param": set(), "tag": set()}
    for part in _numbers(wanted, IDS_AT_ONCE):
        for kind, keys in metricstore.keys_used(part).items():
            found[kind] |= keys
    return Names(*(metricstore.key_names(found[kind]) for kind in ("metric", "param", "tag")))


def prepare(wanted: Wanted) -> None:
    """Read all values that the order of a file needs, before it is begun."""
    while wanted.run_ids is None and step_of(wanted.question.order.agg) is not None:
        try:
            metricstore.first(wanted.question)
        except metricstore.Reading:
            continue
        return


def rows(wanted: Wanted) -> Iterator[list[RunFacts]]:
    """Yield the runs, some hundred at a time, in the order of the question."""
    if wanted.run_ids is not None:
        for part in _named(wanted, wanted.run_ids, ROWS_AT_ONCE):
            yield facts_of(part)
        return
    cursor = ""
    while True:
        found = metricstore.search(wanted.question, limit=ORDERED_AT_ONCE, after=cursor)
        for start in range(0, len(found.run_ids), ROWS_AT_ONCE):
            yield facts_of(found.run_ids[start : start + ROWS_AT_ONCE])
        cursor = found.after
        if not cursor:
            return


def facts_line(row: RunFacts) -> list[object]:
    """The facts of a run in the order of `FACTS`."""
    run = row.run
    return [
        run.pk, run.name, run.experiment.name, run.state, run.created_by.username if run.created_by else run.user_name,
        dataset_label(run) or "", run.started_at.isoformat() if run.started_at else "",
        run.ended_at.isoformat() if run.ended_at else "", run.took_seconds, run.uuid, run.notes,
    ]  # fmt: skip


def metrics_of(rows: Sequence[RunFacts], agg: str) -> list[dict[str, float | None]]:
    """All metrics of each run by the aggregate, None where a run did not come to the step asked for."""
    step = step_of(agg)
    if step is None:
        return [{name: aggregated(point, settled(agg, name)) for name, point in row.metrics.items()} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    found: dict[tuple[int, str, int], float] = {}
    for start in range(0, len(names), METRICS_AT_ONCE):
        found |= values_at(rows, names[start : start + METRICS_AT_ONCE], step)
    return [{name: found.get((row.run.pk, name, step)) for name in row.metrics} for row in rows]


def _numbers(wanted: Wanted, at_once: int) -> Iterator[list[int]]:
    if wanted.run_ids is not None:
        yield from _named(wanted, wanted.run_ids, at_once)
        return
    last = 0
    while found := metricstore.numbers(wanted.question, after=last, limit=at_once):
        yield found
        last = found[-1]


def _named(wanted: Wanted, named: Sequence[int], at_once: int) -> Iterator[list[int]]:
    """The named runs that are there, in the order given."""
    asked = wanted.question
    scope = asked.context.scope
    there = Run.objects.filter(lifecycle=asked.lifecycle)
    whole = scope.project_id is not None
    there = there.filter(project=scope.project_id) if whole else there.filter(experiment__in=scope.ids)
    for start in range(0, len(named), at_once):
        part = named[start : start + at_once]
        known = set(there.filter(pk__in=part).values_list("pk", flat=True))
        yield [pk for pk in part if pk in known]
