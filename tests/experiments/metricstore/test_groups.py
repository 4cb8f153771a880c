"""Groups of runs against numpy and scipy."""

import math
from collections import defaultdict

import numpy as np
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments import metricstore
from experiments.metricstore import Context, Measure, Question, Scope, Sorted
from experiments.metricstore.asking import matching
from experiments.queries import student
from experiments.services import runs
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6),
    st.floats(1e9, 1e9 + 1),  # close together and far from 0
    st.sampled_from([NAN, INF, -INF, 1e200, -1e140, 1e-200, 0.0, 5.0]),
)
RUN = st.tuples(
    st.sampled_from([None, "", "4", "10", "4.0", "deep"]),
    st.sampled_from([None, "a", "b"]),
    st.lists(NUMBERS, max_size=3),
    st.sampled_from(["finished", "failed"]),
)


@pytest.fixture
def experiment():
    return make_experiment(make_project())


def made(experiment, rows):
    by = writer(experiment.project)
    for depth, team, values, state in rows:
        run = make_run(experiment)
        metricstore.append(
            run.pk,
            metrics=[("auc", v, 0, at) for at, v in enumerate(values)],
            params={} if depth is None else {"depth": depth},
            tags={} if team is None else {"team": team},
        )
        runs.finish(by, run=run, state=state)


def value_of(values, agg):
    if not values or (agg == "last" and math.isnan(values[-1])):
        return None
    if agg == "step:1":
        reached = len(values) > 1 and not math.isnan(values[1])
        return values[1] if reached and abs(values[1]) <= 1e140 else None
    numbers = [v for v in values if not math.isnan(v)]
    if not numbers:
        return None
    found = {"last": values[-1], "min": min(numbers), "max": max(numbers)}[agg]
    return found if abs(found) <= 1e140 else None


def expected(rows, by, agg):
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[{"param": 0, "tag": 1}[kind]] for kind, _ in by)].append(row)
    out = {}
    for key, members in groups.items():
        known = [v for m in members if m[3] != "failed" and (v := value_of(m[2], agg)) is not None]
        out[key] = (len(members), sum(m[3] == "failed" for m in members), known)
    return out


@pytest.mark.parametrize("agg", ["last", "min", "max", "step:1"])
@pytest.mark.parametrize("by", [[("param", "depth")], [("tag", "team"), ("param", "depth")]], ids=["one", "two"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(RUN, min_size=1, max_size=12))
def test_groups_are_those_of_numpy_and_scipy(agg, by, rows):
    experiment = make_experiment(make_project(f"p{np.random.default_rng().integers(2**60)}"))
    made(experiment, rows)
    found = metricstore.grouped(
        Question(Context(Scope.of(experiment.pk), 0)), by, [Measure("auc", agg, "max")], Sorted(), limit=100
    )
    wanted = expected(rows, by, agg)
    assert found.total == len(wanted)
    assert {g.values: (g.runs, g.failed, g.stats[0].count) for g in found.groups} == {
        key: (count, failed, len(known)) for key, (count, failed, known) in wanted.items()
    }
    for group in found.groups:
        stat, known = group.stats[0], wanted[group.values][2]
        assert stat.best == (max(known) if known else None)
        if known:
            assert stat.mean == pytest.approx(np.mean(known), rel=1e-12, abs=1e-9)
        if len(known) > 1 and max(map(abs, known)) < 1e100:
            # What rounding of the values themselves may do to their spread.
            slack = 1e-9 + 1e-12 * max(map(abs, known))
            assert stat.deviation == pytest.approx(np.std(known, ddof=1), rel=1e-6, abs=slack)
            half = stats.t.ppf(0.975, len(known) - 1) * np.std(known, ddof=1) / math.sqrt(len(known))
            assert student.half_width(stat.count, stat.deviation) == pytest.approx(half, rel=1e-6, abs=10 * slack)


def test_values_far_from_zero_and_close_together_keep_their_spread(experiment):
    values = [1e9 + i / 1000 for i in range(10)]
    made(experiment, [("4", None, [v], "finished") for v in values])
    (group,) = metricstore.grouped(
        Question(Context(Scope.of(experiment.pk), 0)), [("param", "depth")], [Measure("auc")], Sorted(), limit=5
    ).groups
    assert group.stats[0].deviation == pytest.approx(np.std(values, ddof=1), rel=1e-6)


ORDERS = [
    (Sorted("value"), [("4",), ("10",), ("a",), (None,)]),
    (Sorted("value", descending=True), [("10",), ("4",), ("a",), (None,)]),
    (Sorted("runs", descending=True), [("4",), ("10",), ("a",), (None,)]),
    (Sorted("mean", 0, descending=True), [(None,), ("10",), ("4",), ("a",)]),
    (Sorted("best", 0), [("10",), ("4",), (None,), ("a",)]),
]


@pytest.mark.parametrize(("order", "keys"), ORDERS, ids=str)
def test_groups_are_sorted_whole_and_paged(experiment, order, keys):
    rows = [("4", [0.5]), ("4", [0.1]), ("10", [0.4]), ("a", [NAN]), (None, [0.9])]
    made(experiment, [(depth, None, values, "finished") for depth, values in rows])
    ask = {"by": [("param", "depth")], "measures": [Measure("auc")], "order": order}
    question = Question(Context(Scope.of(experiment.pk), 0))
    pages = [metricstore.grouped(question, **ask, limit=3, skip=skip) for skip in (0, 3, 6)]
    found = [group.values for page in pages for group in page.groups]
    assert found == keys
    assert [page.total for page in pages] == [4, 4, 0]


def test_a_filter_holds_for_groups_whichever_way_its_runs_are_found(experiment):
    made(experiment, [(str(i % 3), "ab"[i % 2], [i / 10], "finished") for i in range(9)])
    for text in ("team:a", "team:a or depth:1", "auc>0.35", "-team:b"):
        question = Question(Context(Scope.of(experiment.pk), 0), metricstore.parse(text))
        found = metricstore.grouped(question, [("param", "depth")], [Measure("auc")], Sorted(), limit=9)
        assert sum(g.runs for g in found.groups) == metricstore.count(question)


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize("text", ["", "auc>0.35"])
def test_all_runs_are_read_in_the_order_they_were_made_in_not_by_name(experiment, text):
    made(experiment, [("4", None, [0.4], "finished")])
    other = make_experiment(experiment.project, "other")
    for scope in (Scope.of(experiment.pk), Scope((experiment.pk, other.pk))):
        source, before, where, behind = matching(Question(Context(scope, 0), metricstore.parse(text)), -1)
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN SELECT r.id, r.state FROM {source} WHERE {where}", [*before, *behind])
            assert "COVERING INDEX run_by_state" in " ".join(row[3] for row in cursor.fetchall())
