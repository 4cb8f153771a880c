"""Search against a plain filter and sort in memory."""

import base64
import json
import math

import pytest

from experiments import metricstore
from experiments.metricstore import Context, FilterError, Order, Question, Scope
from experiments.metricstore import finding as module
from experiments.metricstore.orders import NEWEST_FIRST
from experiments.models import Run
from experiments.services import runs
from mlportal.lib.errors import Invalid
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")
NOW = 1_790_000_000_000
DAY = 86_400_000


@pytest.fixture
def experiment():
    return make_experiment(make_project())


@pytest.fixture
def zoo(experiment):
    """Thirty runs with every kind of value, and a neighbour experiment that must never show."""
    values = [0.9, 0.5, NAN, INF, -INF, None, 0.5]
    algorithms = ["ridge", "svm", "random_forest", None]
    by = writer(experiment.project)
    neighbour = make_experiment(experiment.project, "other")
    for i in range(30):
        target = neighbour if i % 10 == 9 else experiment
        run = make_run(target, f"run {i} {'forest' if i % 3 == 0 else 'line'}", started_ms=NOW - i * DAY // 4)
        value, algorithm = values[i % 7], algorithms[i % 4]
        metrics = [] if value is None else [("auc", value, 1, 1)]
        params = {"depth": str(i % 5)} if i % 6 else {"depth": "deep"}
        params |= {"algorithm": algorithm} if algorithm else {}
        metricstore.append(run.pk, metrics=metrics, params=params, tags={"team": "ab"[i % 2]} if i % 3 else {})
        if i % 2:
            runs.finish(by, run=run, state=["finished", "failed"][i % 4 // 2], at_ms=NOW - i * DAY // 4 + i * 1000)
        if i == 28:
            runs.delete(by, run=run)
    return list(Run.objects.filter(experiment=experiment).order_by("pk"))


def ids(experiment, text="", *, order=NEWEST_FIRST, limit=100, user=None, **page):
    question = Question(Context(Scope.of(experiment.pk), NOW, user), metricstore.parse(text), order)
    return metricstore.search(question, limit=limit, **page)


def facts(run):
    latest = metricstore.latest([run.pk])[run.pk]
    return {
        "auc": latest["auc"].value if "auc" in latest else None,
        **{k: json.loads(run.params).get(k) for k in ("depth", "algorithm")},
        "team": json.loads(run.tags).get("team"),
        "run": run,
    }


def number(value):
    return value is not None and not math.isnan(value)


def digit(value):
    return value is not None and value.isdigit()


def above(value, limit):
    return number(value) and value > limit


def below(value, limit):
    return digit(value) and int(value) < limit


def took(f):
    return (f["run"].ended_ms - f["run"].started_ms) / 1000


FILTERS = [
    ("", lambda f: True),
    ("auc>0.5", lambda f: number(f["auc"]) and f["auc"] > 0.5),
    ("metrics.auc <= 0.5", lambda f: number(f["auc"]) and f["auc"] <= 0.5),
    ("metrics.auc != 0.5", lambda f: f["auc"] is not None and f["auc"] != 0.5),
    ("auc:0.5|0.9", lambda f: f["auc"] in (0.5, 0.9)),
    ("-auc>0.6", lambda f: not (number(f["auc"]) and f["auc"] > 0.6)),
    ("metrics.auc = inf", lambda f: f["auc"] == INF),
    ("depth>=3", lambda f: digit(f["depth"]) and int(f["depth"]) >= 3),
    ("params.depth = '3'", lambda f: f["depth"] == "3"),
    ("algorithm:ridge|svm", lambda f: f["algorithm"] in ("ridge", "svm")),
    ("params.algorithm != 'ridge'", lambda f: f["algorithm"] not in (None, "ridge")),
    ("-algorithm:ridge", lambda f: f["algorithm"] != "ridge"),
    ("params.algorithm LIKE 'r%'", lambda f: (f["algorithm"] or "").startswith("r")),
    ("params.algorithm LIKE 'R%'", lambda f: False),
    ("params.algorithm ILIKE 'R_DGE'", lambda f: f["algorithm"] == "ridge"),
    ("algorithm~IDG|sv", lambda f: f["algorithm"] in ("ridge", "svm")),
    ("params.algorithm~r%", lambda f: False),
    ("-algorithm~ri", lambda f: "ri" not in (f["algorithm"] or "")),
    ("name~LINE tag~ea -data~x", lambda f: "line" in f["run"].name and f["team"] is not None),
    ("params.algorithm IN ('svm', 'ridge')", lambda f: f["algorithm"] in ("svm", "ridge")),
    ("tags.team IS NULL", lambda f: f["team"] is None),
    ("tags.team IS NOT NULL", lambda f: f["team"] is not None),
    ("tag:team", lambda f: f["team"] is not None),
    ("tag:a", lambda f: f["team"] == "a"),
    ("-tag:a", lambda f: f["team"] != "a"),
    ("team:b", lambda f: f["team"] == "b"),
    ("state:finished|failed", lambda f: f["run"].state in ("finished", "failed")),
    ("attributes.status != 'finished'", lambda f: f["run"].state != "finished"),
    ("forest", lambda f: "forest" in f["run"].name),
    ('"RUN 1"', lambda f: "run 1" in f["run"].name),
    ("name:line", lambda f: "line" in f["run"].name),
    ("attributes.run_name = 'run 3 forest'", lambda f: f["run"].name == "run 3 forest"),
    ("attributes.run_name LIKE 'run 1%'", lambda f: f["run"].name.startswith("run 1")),
    ("started:<2d", lambda f: f["run"].started_ms > NOW - 2 * DAY),
    ("started:>2d", lambda f: f["run"].started_ms < NOW - 2 * DAY),
    (f"start_time >= {NOW - DAY}", lambda f: f["run"].started_ms >= NOW - DAY),
    ("took>=10s", lambda f: f["run"].ended_ms is not None and f["run"].ended_ms - f["run"].started_ms >= 10_000),
    ("metrics.nothing > 1", lambda f: False),
    ("tags.nothing IS NULL", lambda f: True),
    ("auc:0.4..0.6", lambda f: f["auc"] == 0.5),
    ("auc:0.4..0.6|0.9..", lambda f: number(f["auc"]) and (f["auc"] == 0.5 or f["auc"] >= 0.9)),
    ("depth:1..2", lambda f: f["depth"] in ("1", "2")),
    ("auc is null", lambda f: f["auc"] is None),
    ("-team is null", lambda f: f["team"] is not None),
    ("-tags.nothing is null", lambda f: False),
    ("metrics.auc IN (0.5, 0.9)", lambda f: f["auc"] in (0.5, 0.9)),
    ("ended is null", lambda f: f["run"].ended_ms is None),
    ("ended!=1700000000000", lambda f: f["run"].ended_ms is not None),
    ("data is null user is null", lambda f: True),
    ("data!=a or user!=a", lambda f: False),
    ("tag LIKE 'te%'", lambda f: f["team"] is not None),
    ("data ILIKE 'x%' or user LIKE 'x%'", lambda f: False),
    ("took:5s..12s", lambda f: f["run"].ended_ms is not None and 5 <= took(f) <= 12),
    ("-took:5s..12s", lambda f: f["run"].ended_ms is None or not 5 <= took(f) <= 12),
    ("started:3d..1d", lambda f: NOW - 3 * DAY <= f["run"].started_ms <= NOW - DAY),
    ("algorithm:ridge or team:b", lambda f: f["algorithm"] == "ridge" or f["team"] == "b"),
    ("not (algorithm:ridge or team:b)", lambda f: f["algorithm"] != "ridge" and f["team"] != "b"),
    (
        "auc>0.5 (depth:3 or not state:failed)",
        lambda f: above(f["auc"], 0.5) and (f["depth"] == "3" or f["run"].state != "failed"),
    ),
    ("auc>0 depth<4 -team:b", lambda f: above(f["auc"], 0) and below(f["depth"], 4) and f["team"] != "b"),
]  # fmt: skip


@pytest.mark.parametrize("walk", [True, False], ids=["walk the order", "start from the condition"])
def test_every_filter_keeps_what_the_model_keeps(experiment, zoo, monkeypatch, walk):
    monkeypatch.setattr(module, "FEW", -1 if walk else 10**6)
    monkeypatch.setattr(module, "FIRST_WINDOW", 4)
    monkeypatch.setattr(module, "FIRST_CHECK", 10**6 if walk else 1)
    active = [facts(r) for r in zoo if r.lifecycle == "active" or (not r.refresh_from_db() and r.lifecycle == "active")]
    for text, keep in FILTERS:
        expected = {f["run"].pk for f in active if keep(f)}
        assert (text, set(ids(experiment, text).run_ids)) == (text, expected)
        question = Question(Context(Scope.of(experiment.pk), NOW), metricstore.parse(text))
        assert (text, metricstore.count(question)) == (text, len(expected))


def sort_key(order, f):
    run = f["run"]
    if order.kind == "attribute":
        value = {"name": run.name, "state": run.state, "started": run.started_ms, "id": run.pk}.get(order.key)
        if order.key == "took":
            value = None if run.ended_ms is None else run.ended_ms - run.started_ms
    elif order.kind == "metric":
        value = f.get(order.key)
    else:
        value = f.get(order.key)
        if value is not None:
            value = (0, float(value)) if value.isdigit() else (1, value)
    return value


def expected_order(order, active):
    groups = {0: [], 1: [], 2: [], 3: []}
    for f in active:
        value = sort_key(order, f)
        if order.settled_first and f["run"].state in ("failed", "queued"):
            groups[3].append((0, f))
        elif value is None:
            groups[2].append((0, f))
        elif isinstance(value, float) and math.isnan(value):
            groups[1].append((0, f))
        elif isinstance(value, tuple):
            groups[value[0]].append((value[1], f))
        else:
            groups[0].append((value, f))
    out = []
    for number_, members in groups.items():
        if number_ == 0 or (number_ == 1 and order.kind == "param"):
            tie = (
                (lambda f: f["run"].pk)
                if order.key not in ("started", "id") or order.descending
                else (lambda f: -f["run"].pk)
            )
            members.sort(key=lambda m: tie(m[1]), reverse=True)
            members.sort(key=lambda m: m[0], reverse=order.descending)
        elif number_ == 1:
            members.sort(key=lambda m: -m[1]["run"].pk)
        else:
            members.sort(key=lambda m: (m[1]["run"].started_ms, m[1]["run"].pk), reverse=True)
        out.extend(f["run"].pk for _, f in members)
    return out


ORDERS = [
    Order(),
    Order("attribute", "started", descending=False),
    Order("attribute", "name", descending=False),
    Order("attribute", "took"),
    Order("attribute", "state", descending=True),
    Order("metric", "auc"),
    Order("metric", "auc", descending=False),
    Order("metric", "auc", settled_first=True),
    Order("param", "depth"),
    Order("param", "depth", descending=False),
    Order("param", "algorithm", descending=False, settled_first=True),
    Order("metric", "unheard"),
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(("text", "rare"), [("", 0), ("team:b", 0), ("team:b", 4), ("team:b", 2000)])
@pytest.mark.usefixtures("zoo")
def test_pages_forward_and_back_follow_the_order(experiment, monkeypatch, order, text, rare):
    zoo = Run.objects.filter(experiment=experiment).order_by("pk")
    monkeypatch.setattr(module, "FEW", rare - 1)
    monkeypatch.setattr(module, "FIRST_WINDOW", 3)
    active = [facts(r) for r in zoo if r.lifecycle == "active"]
    active = [f for f in active if not text or f["team"] == "b"]
    expected = expected_order(order, active)
    pages, cursor = [], ""
    while True:
        page = ids(experiment, text, order=order, limit=4, after=cursor)
        pages.append(page)
        cursor = page.after
        if not cursor:
            break
    assert [i for p in pages for i in p.run_ids] == expected
    assert pages[0].before == ""
    back = pages[-1]
    for page in reversed(pages[:-1]):
        back = ids(experiment, text, order=order, limit=4, before=back.before)
        assert back.run_ids == page.run_ids
    assert back.before == ""


def test_a_bare_name_must_exist(experiment, zoo):
    with pytest.raises(FilterError, match="No run here has a metric, parameter or tag called 'depht'") as caught:
        ids(experiment, "auc>0 depht>3")
    assert (caught.value.start, caught.value.stop) == (6, 11)


def test_a_tag_has_no_order(experiment, zoo):
    with pytest.raises(FilterError, match="team is a tag; tags are text and have no order"):
        ids(experiment, "team>3")


def test_a_metric_is_compared_with_numbers_only(experiment, zoo):
    with pytest.raises(FilterError, match="auc is a metric; compare it with a number"):
        ids(experiment, "auc:high")


def test_runs_of_one_person(experiment):
    mine, other = make_user("mei"), make_user("tom")
    by = writer(experiment.project)
    first = runs.create(
        type(by).system("t", project=experiment.project, grants=by.grants, on_behalf_of=mine), experiment=experiment
    )
    second = runs.create(
        type(by).system("t", project=experiment.project, grants=by.grants, on_behalf_of=other), experiment=experiment
    )
    third = make_run(experiment)
    assert ids(experiment, "user:me", user=mine.pk).run_ids == [first.pk]
    assert ids(experiment, "user:TOM").run_ids == [second.pk]
    assert ids(experiment, "-user:me", user=mine.pk).run_ids == [third.pk, second.pk]


def test_what_was_logged_a_moment_ago_is_found(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, metrics=[("auc", 0.7, 1, 1)])
    assert ids(experiment, "auc>0.6").run_ids == [run.pk]


@pytest.mark.parametrize(
    "content",
    ["x", "[]", "[0,1]", "[9,1,2]", "[-1,1,2]", '[0,"x",2]', "null", "[0,1,true]", f"[0,{2**63},1]", "[0,null,1]"],
)
def test_a_foreign_cursor_is_refused(experiment, content):
    cursor = base64.urlsafe_b64encode(content.encode()).decode()
    with pytest.raises(Invalid, match="The page cursor does not belong to this list"):
        ids(experiment, after=cursor)


@pytest.mark.parametrize("cursor", ["\u00e9", "%%%", "W"])
def test_a_cursor_that_is_no_base64_is_refused(experiment, cursor):
    with pytest.raises(Invalid, match="The page cursor does not belong to this list"):
        ids(experiment, before=cursor)


def test_a_cursor_cannot_smuggle_what_no_database_stores(experiment):
    cursor = base64.urlsafe_b64encode(b'[0,"a\\u0000",1]').decode()
    with pytest.raises(Invalid, match="The page cursor does not belong to this list"):
        ids(experiment, order=Order("attribute", "name"), after=cursor)


def test_known_keys_lists_every_kind_once(experiment, zoo):
    assert metricstore.known_keys(experiment.pk) == {
        "metric": ["auc"],
        "param": ["algorithm", "depth"],
        "tag": ["team"],
    }


def test_long_texts_compare_whole(experiment):
    one, two = make_run(experiment), make_run(experiment)
    metricstore.append(one.pk, params={"note": "x" * 300 + "a"})
    metricstore.append(two.pk, params={"note": "x" * 300 + "b"})
    assert ids(experiment, f"note:{'x' * 300}b").run_ids == [two.pk]
