"""Runs in order of the value that a metric had at a step, against a plain model."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import metricstore
from experiments.metricstore import Context, Order, Question, Scope, folding
from experiments.models import Run
from tests.factories.experiments import log, make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")
POINT = st.tuples(st.sampled_from([0.25, 0.5, -1.0, NAN, INF, -INF]), st.integers(0, 2), st.integers(-3, 8))
EVEN = st.builds(
    lambda first, space, count: [(math.sin(i), i, first + space * i) for i in range(count)],
    st.integers(-5, 3), st.integers(0, 3), st.integers(1, 40),
)  # fmt: skip
RUN = st.tuples(
    st.lists(st.lists(POINT, min_size=1, max_size=8) | EVEN, max_size=3),
    st.sampled_from(["finished", "running", "failed", "queued"]),
)
NOT_EACH_TIME = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def project():
    return make_project()


def model(points, step):
    """The value at a step, None for a run that did not come so far or began later."""
    known = [(s, t, math.isnan(v), 0.0 if math.isnan(v) else v) for v, t, s in points]
    before = [point for point in known if point[0] <= step]
    if not before or max(known)[0] < step:
        return None
    _, _, is_nan, value = max(before)
    return NAN if is_nan else value


def rank(run, *, descending, settled):
    """The place of (run id, state, value): runs that failed or wait last, of equals the newer first."""
    pk, state, value = run
    if settled and state in ("failed", "queued"):
        return 3, 0.0, -pk
    if value is None:
        return 2, 0.0, -pk
    return (1, 0.0, -pk) if math.isnan(value) else (0, -value if descending else value, -pk)


@settings(max_examples=25, deadline=None, suppress_health_check=NOT_EACH_TIME)
@given(drawn=st.lists(RUN, max_size=6), step=st.integers(-6, 12), limit=st.integers(1, 4))
def test_runs_are_ordered_by_their_value_at_the_step(project, drawn, step, limit):
    experiment = make_experiment(project, f"e{Run.objects.count()}")
    known = []
    for batches, state in drawn:
        run = make_run(experiment)
        for batch in batches:
            metricstore.append(run.pk, metrics=[("auc", *point) for point in batch])
            folding.fold(run.pk)
        Run.objects.filter(pk=run.pk).update(state=state, started_ms=run.pk)
        known.append((run.pk, state, model([point for batch in batches for point in batch], step)))
    for descending in (True, False):
        for settled in (True, False):
            order = Order("metric", "auc", descending, settled_first=settled, agg=f"step:{step}")
            asked = Question(Context(Scope.of(experiment.pk), 0), (), order)
            wanted = sorted(known, key=lambda run: rank(run, descending=descending, settled=settled))
            found, page = [], metricstore.search(asked, limit=limit)
            found += page.run_ids
            while page.after:
                page = metricstore.search(asked, limit=limit, after=page.after)
                found += page.run_ids
            assert found == [pk for pk, _, _ in wanted]


def test_of_several_experiments_all_runs_are_ordered_together(project):
    numbers = []
    for at in range(4):
        run = make_run(make_experiment(project, f"e{at % 2}"), f"r{at}")
        log(run, "auc", [0.0, [0.4, 0.9, 0.1, 0.7][at], 1.0 - at])
        numbers.append(run)
    scope = Scope(tuple({run.experiment_id for run in numbers}), project.pk)
    asked = Question(Context(scope, 0), (), Order("metric", "auc", agg="step:1"))
    assert metricstore.search(asked).run_ids == [numbers[at].pk for at in (1, 3, 0, 2)]
    assert metricstore.first(asked) == numbers[1].pk
