"""Values at steps that are kept: the same as those that are read, whatever happens to the runs meanwhile."""

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import metricstore
from experiments.metricstore import (
    Context,
    Measure,
    Order,
    Question,
    Reading,
    Scope,
    Sorted,
    Top,
    folding,
    kept,
    leaders,
    stepping,
)
from experiments.models import Experiment, Run, StepColumn, StepValue
from experiments.services import attempts, bulk
from experiments.services.bulk import Chosen
from tests.experiments.metricstore.test_stepping import NOT_EACH_TIME, RUN, model, rank
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """All runs are more than are read each time, and two are read a call."""
    monkeypatch.setattr(stepping, "MOST", 0)
    monkeypatch.setattr(kept, "READ_A_CALL", 2)


def ask(work):
    """Ask until all is read; return the answer, and what was said before it."""
    said = []
    for _ in range(50):
        try:
            return work(), said
        except Reading as reading:
            said.append((reading.got, reading.limit))
    raise AssertionError(said)


def question(*experiments, step, key="auc", **order):
    scope = Scope(tuple(e.pk for e in experiments))
    return Question(Context(scope, 0), (), Order("metric", key, agg=f"step:{step}", **order))


def paged(asked, limit):
    page, found = ask(lambda: metricstore.search(asked, limit=limit))[0], []
    while True:
        found += page.run_ids
        if not page.after:
            return found
        page = metricstore.search(asked, limit=limit, after=page.after)


@settings(max_examples=25, deadline=None, suppress_health_check=NOT_EACH_TIME)
@given(
    drawn=st.lists(st.tuples(RUN, RUN), max_size=5), step=st.integers(-6, 12), limit=st.integers(1, 4),
    opened=st.booleans(),
)  # fmt: skip
def test_kept_values_order_runs_as_read_ones_do_whenever_points_come(project, drawn, step, limit, opened):
    experiment = make_experiment(project, f"e{Experiment.objects.count()}")
    made = [make_run(experiment) for _ in drawn]
    for run, ((batches, _), _) in zip(made, drawn, strict=True):
        for batch in batches:
            metricstore.append(run.pk, metrics=[("auc", *point) for point in batch])
    if opened:
        ask(lambda: metricstore.first(question(experiment, step=step)))
    known = []
    for run, ((first, _), (second, state)) in zip(made, drawn, strict=True):
        for batch in second:
            metricstore.append(run.pk, metrics=[("auc", *point) for point in batch])
            folding.fold(run.pk)
        Run.objects.filter(pk=run.pk).update(state=state, started_ms=run.pk)
        known.append((run.pk, state, model([p for batch in [*first, *second] for p in batch], step)))
    for descending in (True, False):
        for settled in (True, False):
            asked = question(experiment, step=step, descending=descending, settled_first=settled)
            wanted = sorted(known, key=lambda run: rank(run, descending=descending, settled=settled))
            assert paged(asked, limit) == [pk for pk, _, _ in wanted]


def test_it_is_told_how_far_reading_came_and_nothing_is_read_twice(project):
    experiment, other = make_experiment(project), make_experiment(project, "other")
    for at in range(5):
        log(make_run(experiment), "auc", [0.1 * at, 0.2])
    log(make_run(other), "auc", [0.9, 0.9])
    asked = question(experiment, other, step=0)
    found, said = ask(lambda: metricstore.search(asked))
    assert len(found.run_ids) == 6
    assert [total for _, total in said] == [6] * len(said)
    assert [done for done, _ in said] == [2, 4, 5]  # the other experiment waits for the next call
    assert StepValue.objects.count() == 6
    assert metricstore.first(question(other, step=0)) == found.run_ids[0]


def test_groups_and_the_best_are_those_of_values_that_are_read(project, monkeypatch):
    experiment = make_experiment(project)
    for at in range(6):
        run = make_run(experiment, params={"depth": str(at % 2)})
        log(run, "auc", [0.1 * at, float("nan") if at == 4 else 1 - 0.1 * at, 0.5][: at + 1])
    asked = Question(Context(Scope.of(experiment.pk), 0), ())
    wanted = [Top("auc", "step:1"), Top("auc", "step:1", "min"), Top("auc", "step:0"), Top("auc"), Top("no", "step:0")]

    def answers():
        measures = [Measure("auc", "step:1"), Measure("auc", "step:0")]
        found = metricstore.grouped(asked, [("param", "depth")], measures, Sorted(), limit=5)
        leaders.read_on(asked, wanted, 6)
        return found, metricstore.tops(asked, wanted, 6)

    now, said = ask(answers)
    assert len(said) == 4
    monkeypatch.setattr(leaders, "FEW_TO_COUNT", 0)
    assert answers() == now
    StepColumn.objects.all().delete()
    monkeypatch.setattr(stepping, "MOST", 100)
    assert answers() == now
    assert now[1][0] == pytest.approx(0.9)
    assert StepColumn.objects.count() == 0


def test_a_column_that_is_not_kept_yet_has_no_best(project):
    experiment = make_experiment(project)
    for _ in range(3):
        log(make_run(experiment), "auc", [0.1, 0.2])
    asked = Question(Context(Scope.of(experiment.pk), 0), ())
    assert metricstore.tops(asked, [Top("auc", "step:0"), Top("auc")], 3) == [None, 0.2]
    with pytest.raises(Reading):
        leaders.read_on(asked, [Top("auc", "step:0")], 3)


def test_runs_that_move_take_their_values_along(project):
    here, there = make_experiment(project), make_experiment(project, "there")
    moved, stays = make_run(here, "moved"), make_run(here, "stays")
    for run in (moved, stays):
        log(run, "auc", [0.1, 0.2])
    log(make_run(there, "native"), "auc", [0.3, 0.4])
    ask(lambda: metricstore.search(question(here, step=0)))
    ask(lambda: metricstore.search(question(there, step=1)))
    by = writer(project)
    action = bulk.run(
        by, project=project, kind="move", chosen=Chosen(here, run_ids=[moved.pk], text="", deleted=False),
        given={"experiment": "there"},
    )  # fmt: skip
    assert action.done == 1
    assert set(StepValue.objects.filter(run=moved).values_list("experiment", "step", "value")) == {(there.pk, 1, 0.2)}
    assert metricstore.search(question(here, step=0)).run_ids == [stays.pk]
    assert metricstore.search(question(there, step=1)).run_ids[1] == moved.pk
    bulk.undo(by, action=action)
    assert set(StepValue.objects.filter(run=moved).values_list("experiment", "step", "value")) == {(here.pk, 0, 0.1)}


def test_an_attempt_that_begins_anew_forgets_its_values(project):
    experiment = make_experiment(project)
    run = make_run(experiment)
    log(run, "auc", [0.1, 0.2])
    ask(lambda: metricstore.search(question(experiment, step=0)))
    attempts._forget_earlier(run)
    assert StepValue.objects.count() == 0


def test_the_column_asked_for_longest_ago_makes_room(project, monkeypatch):
    monkeypatch.setattr(kept, "MOST_COLUMNS", 2)
    monkeypatch.setattr(kept, "TOUCHED_EVERY", timedelta(0))
    experiment = make_experiment(project)
    log(make_run(experiment), "auc", [0.1, 0.2, 0.3])
    for step in (0, 1, 0, 2):
        ask(lambda at=step: metricstore.search(question(experiment, step=at)))
    assert set(StepColumn.objects.values_list("step", flat=True)) == {0, 2}
    assert set(StepValue.objects.values_list("step", flat=True)) == {0, 2}


def test_columns_nobody_asks_for_are_forgotten(project):
    experiment = make_experiment(project)
    log(make_run(experiment), "auc", [0.1, 0.2, 0.3])
    for step in (0, 1):
        ask(lambda at=step: metricstore.search(question(experiment, step=at)))
    StepColumn.objects.filter(step=0).update(asked_at=timezone.now() - timedelta(days=8))
    assert kept.forget(timezone.now()) == 1
    assert set(StepValue.objects.values_list("step", flat=True)) == {1}
    assert kept.forget(timezone.now()) == 0


@pytest.mark.only_on("postgresql")  # SQLite has one writer
@pytest.mark.django_db(transaction=True)
def test_a_fold_that_did_not_see_the_column_ends_before_its_runs_are_read(project):
    experiment = make_experiment(project)
    run = make_run(experiment)
    log(run, "auc", [0.1, 0.2])
    folding.fold(run.pk)
    metricstore.append(run.pk, metrics=[("auc", 0.9, 2_000_000_000_000, 1)])
    answer = []

    def reader():
        try:
            answer.append(kept._read(experiment.pk, stepping.column_of("auc", 1), 10))
        finally:
            connections.close_all()

    asking = threading.Thread(target=reader)
    with transaction.atomic():
        folding.fold(run.pk)  # looked for columns, found none, has not ended
        asking.start()
        asking.join(0.5)
        assert asking.is_alive()
    asking.join(30)
    assert answer == [(1, True)]
    assert StepValue.objects.get(run=run).value == 0.9
