"""Runs of several experiments are found, put in order and summed up as those of one are."""

import math
from itertools import product

import pytest

from experiments import metricstore
from experiments.metricstore import Context, FilterError, Question, Scope, Top, leaders
from experiments.metricstore import finding as module
from experiments.models import Run
from experiments.services import runs
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NOW, DAY = 1_760_000_000_000, 86_400_000


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def zoo(project):
    """Four experiments with 28 runs that change places in every order, and one that is never asked."""
    places = [make_experiment(project, name) for name in ("alpha", "beta", "gamma", "12", "stranger")]
    values = [0.9, 0.5, float("nan"), float("inf"), None, 0.5, -1.0]
    for i in range(35):
        run = make_run(places[i % 5], f"run {i % 6}", started_ms=NOW - (i * 7 % 35) * DAY)
        metrics = [] if values[i % 7] is None else [("auc", values[i % 7], 1, 1)]
        metricstore.append(run.pk, metrics=metrics, params={"depth": str(i % 4)}, tags={"team": "ab"[i % 2]})
        if i % 3:
            runs.finish(writer(project), run=run, state=["finished", "failed"][i % 2], at_ms=NOW + i)
        if i % 11 == 10:
            runs.delete(writer(project), run=run)
    return places[:4]


@pytest.fixture(params=["several", "project"])
def scope(zoo, request):
    ids = tuple(place.pk for place in zoo)
    if request.param == "project":  # the stranger is in it as well, so it is not asked here
        Run.objects.filter(experiment__name="stranger").delete()
        return Scope(ids, zoo[0].project_id)
    return Scope(ids)


ORDERS = ["-started", "started ASC", "-auc", "auc ASC", "-params.depth", "tags.team ASC", "name ASC", "experiment ASC",
          "-took", "id ASC", "-metrics.auc@max"]  # fmt: skip


def asked(scope, text="", order="-started", lifecycle="active"):
    conditions = metricstore.parse(text)
    found = metricstore.narrowed(scope, conditions)
    return Question(Context(found, NOW), conditions, metricstore.parse_order(order, scope), lifecycle)


TEXTS = ["", "team:a", "auc>0.4", "depth:1|2 -team:b", "state:failed or auc<0.6"]


def test_pages_of_several_experiments_are_one_order_without_gaps(scope, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WINDOW", 3)
    for order, text in product(ORDERS, TEXTS):
        judge(scope, order, text)


def judge(scope, order, text):
    question = asked(scope, text, order)
    whole = metricstore.search(question, limit=100).run_ids
    single = [metricstore.search(asked(Scope.of(pk), text, order), limit=100).run_ids for pk in scope.ids]
    assert sorted(whole) == sorted(pk for part in single for pk in part)
    assert metricstore.count(question) == len(whole) == len(set(whole))
    for part in single:  # each experiment's own order is kept
        assert [pk for pk in whole if pk in set(part)] == part
    paged, cursor = [], ""
    while True:
        page = metricstore.search(question, limit=3, after=cursor)
        paged += page.run_ids
        cursor = page.after
        if not cursor:
            break
    assert paged == whole
    back = metricstore.search(question, limit=3, before=page.before) if page.before else None
    assert back is None or back.run_ids == whole[: len(whole) - len(page.run_ids)][-3:]


def test_numbers_come_before_nan_and_none_over_all_experiments(scope):
    found = metricstore.search(asked(scope, "", "-auc"), limit=100).run_ids
    latest = metricstore.latest(found)
    shown = [latest[pk]["auc"].value if "auc" in latest[pk] else None for pk in found]
    numbers = [v for v in shown if v is not None and not math.isnan(v)]
    assert numbers == sorted(numbers, reverse=True)
    assert shown[: len(numbers)] == numbers
    assert shown[-1] is None


NAMED = [
    ("experiment:alpha", {"alpha"}),
    ("experiment:alpha|beta", {"alpha", "beta"}),
    ("-experiment:alpha", {"beta", "gamma", "12"}),
    ("experiment!=alpha", {"beta", "gamma", "12"}),
    ('experiment:"12"', {"12"}),
    ("experiment LIKE '%a%' -experiment:gamma", {"alpha", "beta"}),
    ("attributes.experiment ILIKE 'ALP%'", {"alpha"}),
    ("experiment:alpha or experiment:beta", {"alpha", "beta"}),
    ("experiment:none", set()),
    ("experiment:stranger", set()),
]


def test_a_filter_names_experiments(zoo):
    scope = Scope(tuple(place.pk for place in zoo))
    for text, expected in [*NAMED, (f"experiment:{zoo[1].pk}", {"beta"})]:  # digits are a number
        found = metricstore.search(asked(scope, text), limit=100).run_ids
        assert set(Run.objects.filter(pk__in=found).values_list("experiment__name", flat=True)) == expected, text
        assert metricstore.count(asked(scope, text)) == len(found)


def test_names_are_those_of_the_experiments_that_are_left(zoo):
    make_run(zoo[1], params={"rare": "1"})
    scope = Scope(tuple(place.pk for place in zoo))
    assert metricstore.count(asked(scope, "rare:1")) == 1
    with pytest.raises(FilterError, match="rare"):
        metricstore.count(asked(scope, "experiment:alpha rare:1"))


def test_the_best_is_over_all_experiments(zoo, monkeypatch):
    scope, wanted = Scope(tuple(p.pk for p in zoo)), [Top("auc", "last", "min"), Top("auc", "min", "min"), Top("none")]
    texts = ["", "team:a", "auc<0.4", "auc>5"]
    read = [metricstore.tops(asked(scope, text), wanted, 10) for text in texts]
    assert read[0] == [-1.0, -1.0, None]
    monkeypatch.setattr(leaders, "FEW_TO_COUNT", 0)
    for walked in (1, 3000):
        monkeypatch.setattr(leaders, "WALKED", walked)
        assert [metricstore.tops(asked(scope, text), wanted, 10) for text in texts] == read


def test_names_ranges_and_values_are_of_all_experiments(zoo):
    make_run(zoo[2], params={"only": "here"})
    scope = Scope(tuple(place.pk for place in zoo))
    assert metricstore.search_names(scope, "param", "", 10) == (["depth", "only"], 2)
    assert metricstore.search_names(scope, "param", "on", 10) == (["only"], 1)
    assert metricstore.some(scope, "metric", 5) == ["auc"]
    assert metricstore.have(scope, "param", ["only", "never"]) == ["only"]
    assert metricstore.ranges(scope, ["auc"]) == {"auc": (-1.0, math.inf)}
    assert metricstore.value_counts(scope, "param", ["depth", "only"]) == {"depth": 4, "only": 1}


def test_no_experiment_has_no_runs():
    scope = Scope(())
    assert metricstore.search(asked(scope), limit=5).run_ids == []
    assert metricstore.count(asked(scope)) == 0
    assert metricstore.search_names(scope, "metric", "", 5) == ([], 0)
    assert metricstore.tops(asked(scope), [Top("auc")], 5000) == [None]
