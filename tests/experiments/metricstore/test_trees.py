"""Random filters against a plain evaluation in Python, on random runs."""

import operator
import random

import pytest
from django.db import connection

from experiments import metricstore
from experiments.metricstore import Context, Order, Question, Scope, starting
from experiments.metricstore import finding as module
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NOW = 1_790_000_000_000
RUNS = 60
TREES = 120
NAN = float("nan")
COMPARE = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


@pytest.fixture
def runs():
    """Runs of two metrics, a parameter, a tag, and what each of them holds."""
    mixed, experiment, facts = random.Random(7), make_experiment(make_project()), {}
    for _ in range(RUNS):
        fact = {
            "auc": mixed.choice([None, NAN, 0.0, 0.5, 0.5, 0.9]),
            "loss": mixed.choice([None, None, None, 1.0, 2.0]),
            "depth": mixed.choice([None, "1", "2", "3", "deep", "it's"]),
            "team": mixed.choice([None, "a", "b", "A"]),
            "started": NOW - mixed.randrange(10) * 3_600_000,
        }
        run = make_run(experiment, started_ms=fact["started"])
        metrics = [(k, fact[k], 1, 1) for k in ("auc", "loss") if fact[k] is not None]
        params = {"depth": fact["depth"]} if fact["depth"] else {}
        metricstore.append(run.pk, metrics=metrics, params=params, tags={"team": fact["team"]} if fact["team"] else {})
        facts[run.pk] = fact
    return experiment, facts


def metric_leaf(mixed):
    key, limit = mixed.choice(["auc", "loss"]), mixed.choice([0.0, 0.5, 0.9, 1.0])
    name = mixed.choice([key, f"metrics.{key}", f'metrics."{key}"'])
    kind = mixed.randrange(6)
    if kind == 0:
        return f"{name} IS NULL", lambda f: f[key] is None
    if kind == 1:
        return f"{name}:{limit}..1.5", lambda f: f[key] is not None and limit <= f[key] <= 1.5
    if kind == 2:
        return f"{name}!={limit}", lambda f: f[key] is not None and f[key] != limit
    if kind == 3:
        return f"{name}:{limit}|2", lambda f: f[key] in (limit, 2.0)
    sign = mixed.choice(list(COMPARE))
    return f"{name}{sign}{limit}", lambda f: f[key] is not None and COMPARE[sign](f[key], limit)


def text_leaf(mixed):
    key, value = mixed.choice([("depth", "2"), ("depth", "deep"), ("depth", "it's"), ("team", "a"), ("team", "b")])
    name = {"depth": mixed.choice(["depth", "params.depth"]), "team": mixed.choice(["team", "tags.team"])}[key]
    quoted = f'"{value}"'
    kind = mixed.randrange(5)
    if kind == 0:
        return f"{name} IS NOT NULL", lambda f: f[key] is not None
    if kind == 1:
        return f"{name} != {quoted}", lambda f: f[key] is not None and f[key] != value
    if kind == 2:
        return f"{name} NOT IN ({quoted}, 'b')", lambda f: f[key] is not None and f[key] not in (value, "b")
    if kind == 3:
        start = value[:2]
        return f'{name} ILIKE "{start}%"', lambda f: (f[key] or "").lower().startswith(start.lower())
    return f"{name}:{quoted}", lambda f: f[key] == value


def other_leaf(mixed):
    hours = mixed.randrange(1, 10)
    if mixed.randrange(2):
        return f"started:<{hours}h", lambda f: f["started"] > NOW - hours * 3_600_000
    return "depth:1..2", lambda f: f["depth"] in ("1", "2")


def tree(mixed, depth):
    """A filter and what it means; every join is written in parentheses."""
    if depth == 0 or mixed.random() < 0.25:
        text, holds = mixed.choice([metric_leaf, metric_leaf, text_leaf, text_leaf, other_leaf])(mixed)
    else:
        parts = [tree(mixed, depth - 1) for _ in range(mixed.randint(2, 3))]
        is_or = mixed.random() < 0.5
        joint = " or " if is_or else mixed.choice([" ", " and "])
        text, holds = f"({joint.join(t for t, _ in parts)})", joined([h for _, h in parts], is_or)
    if mixed.random() < 0.25:
        return f"{mixed.choice(['-', 'not '])}{text}", lambda f: not holds(f)
    return text, holds


def joined(tests, is_or):
    return lambda f: (any if is_or else all)(test(f) for test in tests)


@pytest.mark.parametrize("few", [-1, 7, 10**6], ids=["walk", "either", "from the indexes"])
def test_a_tree_keeps_what_its_plain_evaluation_keeps(runs, monkeypatch, few):
    experiment, facts = runs
    monkeypatch.setattr(module, "FEW", few)
    monkeypatch.setattr(module, "INDEXED", few)
    monkeypatch.setattr(module, "FIRST_WINDOW", 9)
    monkeypatch.setattr(module, "FIRST_CHECK", 9)
    monkeypatch.setattr(starting, "UNBOUNDED_FROM", 7)
    mixed, order = random.Random(few), Order("metric", "auc")
    for _ in range(TREES):
        text, holds = tree(mixed, 3)
        expected = {pk for pk, fact in facts.items() if holds(fact)}
        question = Question(Context(Scope.of(experiment.pk), NOW), metricstore.parse(text), order)
        found = metricstore.search(question, limit=RUNS).run_ids
        assert (text, sorted(found)) == (text, sorted(expected))
        assert (text, metricstore.count(question)) == (text, len(expected))
        page = metricstore.search(question, limit=5)
        assert (text, page.run_ids) == (text, found[:5])


def test_two_rare_conditions_joined_by_or_start_from_their_indexes(runs):
    experiment, _ = runs
    metricstore.fold_experiment(experiment.pk)
    predicates = [
        module.compiled(node, Context(Scope.of(experiment.pk), NOW))
        for node in metricstore.parse("started:<1d (auc>0.8 or (loss>1.5 team:a))")
    ]
    rare = module.rarest(predicates, 50)
    assert rare is not None
    assert rare.start is not None
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {rare.start[0]} WHERE {rare.start[1]}", rare.start[2])
        assert 0 < cursor.fetchone()[0] <= 50


def test_an_or_with_a_side_without_index_has_no_start(runs):
    experiment, _ = runs
    metricstore.fold_experiment(experiment.pk)
    predicates = [
        module.compiled(node, Context(Scope.of(experiment.pk), NOW))
        for node in metricstore.parse("auc>0.8 or started:<1h")
    ]
    assert module.rarest(predicates, 10**6) is None
