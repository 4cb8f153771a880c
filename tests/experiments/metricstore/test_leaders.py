"""The best of each column, curves and values at a step, against plain models."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import metricstore
from experiments.metricstore import Context, Question, Scope, Top, folding, stepping
from experiments.metricstore import leaders as module
from experiments.services import runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def experiment():
    return make_experiment(make_project())


@pytest.fixture(params=["walk", "walk a little", "read"])
def zoo(experiment, request, monkeypatch):
    monkeypatch.setattr(module, "FEW_TO_COUNT", 1000 if request.param == "read" else 0)
    monkeypatch.setattr(module, "WALKED", 1 if request.param == "walk a little" else 3000)
    series = [[0.9, 0.5], [NAN], [INF, 0.2], [0.7, NAN], [-1.0], [], [0.95, 0.4]]
    for at, values in enumerate(series * 2):
        run = make_run(experiment, tags={"team": "ab"[at % 2]})
        metricstore.append(run.pk, metrics=[("auc", v, 0, i) for i, v in enumerate(values)])
        if at % 7 == 6:
            runs.delete(writer(experiment.project), run=run)


WANTED = [
    Top("auc"), Top("auc", "step:1"), Top("auc", "last", "min"), Top("auc", "max"), Top("auc", "min", "min"),
    Top("auc", "step:0", "min"), Top("auc", "step:7"), Top("none"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("", [0.5, 0.5, -1.0, INF, -1.0, -1.0, None, None]),
        ("team:a", [0.5, 0.5, -1.0, INF, -1.0, -1.0, None, None]),
        ("auc<0.4", [0.2, 0.2, -1.0, INF, -1.0, -1.0, None, None]),
        ("auc>5", [None] * 8),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_the_best_is_over_all_runs_of_the_filter(experiment, text, best):
    question = Question(Context(Scope.of(experiment.pk), 0), metricstore.parse(text))
    assert metricstore.tops(question, WANTED, 10) == best
    assert metricstore.tops(question, WANTED, 0) == [None] * 8
    assert metricstore.tops(question, [], 10) == []


@pytest.mark.parametrize(
    ("most", "total", "best"), [(24, 12, [0.5, INF]), (23, 12, [0.5, None]), (11, 12, [None] * 2), (11, 11, [None] * 2)]
)
@pytest.mark.usefixtures("zoo")
def test_values_at_steps_are_read_for_the_best_while_they_are_few(experiment, monkeypatch, most, total, best):
    monkeypatch.setattr(stepping, "MOST", most)
    question = Question(Context(Scope.of(experiment.pk), 0), ())
    assert metricstore.tops(question, [Top("auc", "step:1"), Top("auc", "step:0")], total) == best


POINTS = st.lists(
    st.tuples(st.sampled_from([0.25, -1.0, NAN, INF]), st.integers(0, 2), st.integers(-3, 8)), min_size=1, max_size=12
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(POINTS, min_size=1, max_size=4), step=st.integers(-4, 9))
def test_the_value_at_a_step_is_the_last_one_up_to_it(experiment, batches, step):
    run = make_run(experiment)
    for batch in batches:
        metricstore.append(run.pk, metrics=[("auc", *point) for point in batch])
        folding.fold(run.pk)
    known = [(s, t, math.isnan(v), 0.0 if math.isnan(v) else v) for part in batches for v, t, s in part if s <= step]
    found = metricstore.at_step([run.pk], ["auc"], step)
    if not known:
        assert found == {}
        return
    _, _, nan, value = max(known)
    assert repr(found[run.pk, "auc"]) == repr(NAN if nan else value)


def test_curves_of_several_metrics_come_by_one_query(experiment, django_assert_num_queries):
    one, two = make_run(experiment), make_run(experiment)
    log(one, "auc", [0.1, NAN, 0.3])
    log(one, "loss", [float(i) for i in range(100)])
    log(two, "auc", [0.5])
    ids = [one.pk, two.pk]
    metricstore.sparks(ids, ["auc", "loss"])
    with django_assert_num_queries(3):  # names, what is not folded yet, and the curves
        found = metricstore.sparks(ids, ["auc", "loss"])
    assert found[one.pk, "auc"] == [0.1, 0.3]
    assert found[two.pk, "auc"] == [0.5]
    assert (len(found[one.pk, "loss"]), found[one.pk, "loss"][0], found[one.pk, "loss"][-1]) == (24, 0.0, 99.0)


def test_of_a_long_curve_parts_from_its_beginning_to_its_end_are_read(experiment, monkeypatch):
    run = make_run(experiment)
    for start in range(0, 40_000, 1000):
        points = [("loss", float(i), i, i) for i in range(start, start + 1000)]
        metricstore.append(run.pk, metrics=points)
    found = metricstore.sparks([run.pk], ["loss"])[run.pk, "loss"]
    assert (found[0], found[-1], len(found)) == (0.0, 39_999.0, 24)
    assert found == sorted(found)
