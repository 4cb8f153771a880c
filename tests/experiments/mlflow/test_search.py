"""runs/search against a plain filter and sort in memory."""

import json
import math
import random
import re
from functools import cmp_to_key

import pytest
from django.db import connection

from experiments import metricstore
from experiments.metricstore import starting, walking
from experiments.mlflow.search import grammar, runs, tables, tokens
from experiments.models import Experiment, InputDataset, Lifecycle, LoggedModel, Run, RunInput, RunModel
from tests.experiments.mlflow.calls import scientist
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")
NOW = 1_790_000_000_000
WORDS = {"queued": "SCHEDULED", "running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
COMPARE = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "IN": lambda a, b: a in b, "NOT IN": lambda a, b: a not in b,
}  # fmt: skip


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def caller(project):
    return scientist(project)


STEPS = {
    "FEW": (-1, 3, 500), "FIRST_FEW": (-1, 2, 300), "FIRST_CHECK": (1, 8, 800),
    "GROUP": (1, 4, 100), "WINDOW": (2, 7, 8000),
    "FIRST_WINDOW": (2, 5, 1000), "MANY_SOURCES": (0, 8), "UNBOUNDED_FROM": (0, 4000), "DEARER": (0, 3, 10**6),
}  # fmt: skip


@pytest.fixture
def small_steps(monkeypatch):
    """Let a few runs take every way that a hundred thousand take."""

    def choose(mixed):
        for name, choices in STEPS.items():
            room = starting if name in ("UNBOUNDED_FROM", "DEARER") else walking
            monkeypatch.setattr(room, name, mixed.choice(choices))

    return choose


def some_params(mixed):
    depth, note = mixed.choice(["2", "10", "deep", None]), mixed.choice(["x" * 300, "", "C:\\a_b%", None])
    return {key: value for key, value in {"depth": depth, "note": note}.items() if value is not None}


def build(project, count=40, seed=3):
    """Runs of every kind in three experiments, one of them with files elsewhere."""
    mixed = random.Random(seed)
    places = [make_experiment(project, name) for name in ("one", "two", "three")]
    Experiment.objects.filter(pk=places[2].pk).update(artifact_location="s3://bucket/x/?key=1")
    data = [
        InputDataset.objects.create(experiment=place, name=name, digest=digest)
        for place in places
        for name, digest in (("iris", "d1"), ("Iris", "d2"), ("wine", "d1"))
    ]
    for i in range(count):
        place = mixed.choice(places)
        run = make_run(
            place, mixed.choice(["a", "b", "B-run", f"run {i}", "é_100%"]), user_name=mixed.choice(["ana", "Bo"]),
            started_ms=NOW + mixed.randrange(8), params=some_params(mixed),
            tags={"team": mixed.choice("abA")} if i % 3 else {},
        )  # fmt: skip
        points = [("auc", mixed.choice([0.5, 0.5, 0.25, NAN, INF, -INF, 0.0, mixed.random()]), 1, 1)] if i % 4 else []
        points += [("val loss", mixed.random(), 1, 1)] if i % 5 else []
        metricstore.append(run.pk, metrics=points)
        ended = NOW + 10 + mixed.randrange(4) if i % 2 else None
        life = "deleted" if i % 7 == 6 else "active"
        Run.objects.filter(pk=run.pk).update(state=mixed.choice(list(WORDS)), ended_ms=ended, lifecycle=life)
        for dataset in mixed.sample([d for d in data if d.experiment_id == place.pk], mixed.randrange(3)):
            context = mixed.choice(["train", "test", ""])
            RunInput.objects.create(
                run=run, dataset=dataset, context=context, tags={"mlflow.data.context": context} if context else {}
            )
    return places


def facts(run):
    """What the model knows of a run."""
    latest = metricstore.latest([run.pk])[run.pk]
    place = run.experiment
    files = f"s3://bucket/x/{run.uuid}/artifacts?key=1" if place.artifact_location else (
        f"mlflow-artifacts:/{place.pk}/{run.uuid}/artifacts"
    )  # fmt: skip
    return {
        "metric": {key: point.value for key, point in latest.items()},
        "param": json.loads(run.params), "tag": json.loads(run.tags),
        "attribute": {
            "run_id": run.uuid, "run_name": run.name, "user_id": run.user_name, "status": WORDS[run.state],
            "start_time": run.started_ms, "end_time": run.ended_ms, "artifact_uri": files,
        },
        "dataset": [
            {"name": row.dataset.name, "digest": row.dataset.digest, "context": row.context or None}
            for row in run.input_rows.select_related("dataset")
        ],
        "place": place.pk, "life": run.lifecycle,
    }  # fmt: skip


def holds(clause, one):
    operator, wanted = clause.operator, clause.value
    if clause.entity == "dataset":
        return any(true(operator, row[clause.key], wanted) for row in one["dataset"])
    value = one[clause.entity].get(clause.key)
    if operator in ("IS NULL", "IS NOT NULL"):
        return (value is None) == (operator == "IS NULL")
    return true(operator, value, wanted)


def true(operator, value, wanted):
    if value is None:
        return False
    if operator in ("LIKE", "ILIKE"):
        wild = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in wanted)
        flags = re.DOTALL | (re.IGNORECASE | re.ASCII if operator == "ILIKE" else 0)
        return re.fullmatch(wild, value, flags) is not None
    return COMPARE[operator](value, wanted)


def ordered(found, items):
    """Sort as the grammar promises: numbers, then NaN, then missing, whichever way; newest first; by id."""
    items = [*items]
    items += [
        i for i in grammar.order(["start_time DESC", "run_id"], tables.RUNS) if i.key not in {o.key for o in items}
    ]

    def compare(a, b):
        for item in items:
            x, y = (one[item.entity].get(item.key) for one in (a, b))
            ranks = [2 if v is None else 1 if isinstance(v, float) and math.isnan(v) else 0 for v in (x, y)]
            if ranks[0] != ranks[1]:
                return ranks[0] - ranks[1]
            if ranks[0] == 0 and x != y:
                return (1 if x > y else -1) * (-1 if item.descending else 1)
        return 0

    return sorted(found, key=cmp_to_key(compare))


def walk_pages(caller, **asked):
    """Follow the tokens to the end; return the run ids in order."""
    found, token = [], ""
    for _ in range(200):
        status, body = caller.post("runs/search", {**asked, "page_token": token})
        assert status == 200, body
        runs = body.get("runs", [])
        assert len(runs) <= asked["max_results"]
        found += [run["info"]["run_id"] for run in runs]
        token = body.get("next_page_token")
        if not token:
            return found
        assert len(runs) == asked["max_results"]
    raise AssertionError("the tokens do not end")


FILTERS = [
    "", "metrics.auc > 0.25", "metrics.auc >= 0.25", "metrics.auc < 0.5", "metrics.auc <= 0", "metrics.auc = 0.5",
    "metrics.auc != 0.5", "metrics.auc > -1e400", "metrics.auc = 1e400", "metrics.`val loss` < 0.5",
    "metrics.nothing != 1", "params.depth = '10'", "params.depth != '10'", "params.depth LIKE 'd%'",
    "params.depth ILIKE 'DE_P'", "params.depth IS NULL", "params.depth IS NOT NULL", "params.nothing IS NULL",
    "params.nothing != 'a'", f"params.note = '{'x' * 300}'", f"params.note = '{'x' * 299}'", "params.note = ''",
    "params.note LIKE 'C:\\_\\_%\\%'", "params.note LIKE 'C:\\a_b%'", "params.note LIKE '%\\a%'", "tags.team = 'a'",
    "tags.team != 'a'", "tags.team ILIKE 'A'", "tags.team IS NULL", "status = 'FINISHED'", "status != 'FINISHED'",
    "status LIKE '%IN%'", "status ILIKE 'fin%'", "status = 'finished'", "run_name = 'a'", "run_name != 'a'",
    "run_name LIKE 'b%'", "run_name ILIKE 'b%'", "run_name LIKE 'é\\_%'", "run_name LIKE '%100%'", "user_id = 'ana'",
    "user_id ILIKE 'BO'", f"start_time > {NOW + 3}", f"start_time = {NOW + 3}", f"start_time != {NOW + 3}",
    f"start_time <= {NOW + 2.5}", f"end_time > {NOW + 11}", f"end_time != {NOW + 11}", f"created >= {NOW + 4}",
    "artifact_uri LIKE 's3://bucket/x/%/artifacts?key=1'", "artifact_uri ILIKE 'MLFLOW-artifacts:%'",
    "dataset.name = 'iris'", "dataset.name != 'iris'", "dataset.name ILIKE 'IRIS'", "dataset.name LIKE 'I%'",
    "dataset.name IN ('iris', 'wine')", "dataset.name NOT IN ('iris', 'wine')", "datasets.digest = 'd1'",
    "dataset.context = 'train'", "dataset.context != 'train'", "dataset.context IN ('train', 'test')",
    "dataset.context LIKE 't%'",
]  # fmt: skip
ORDERS = [
    "metrics.auc", "metrics.auc DESC", "metrics.`val loss`", "metrics.nothing", "params.depth", "params.depth DESC",
    "params.note", "tags.team DESC", "tags.team", "start_time", "start_time DESC", "end_time", "end_time DESC",
    "run_name", "run_name DESC", "status", "status DESC", "user_id", "artifact_uri", "artifact_uri DESC", "run_id",
    "run_id DESC",
]  # fmt: skip
VIEWS = {"ACTIVE_ONLY": ["active"], "DELETED_ONLY": ["deleted"], "ALL": ["active", "deleted"]}


def expected(model, text, order=(), places=None, view="ACTIVE_ONLY"):
    clauses, items = grammar.parse(text, tables.RUNS), grammar.order(list(order), tables.RUNS)
    kept = [
        one for one in model
        if one["life"] in VIEWS[view] and (places is None or one["place"] in places)
        and all(holds(clause, one) for clause in clauses)
    ]  # fmt: skip
    return [one["attribute"]["run_id"] for one in ordered(kept, items)]


@pytest.fixture
def zoo(project):
    places = build(project)
    return places, [facts(run) for run in Run.objects.select_related("experiment")]


def test_every_filter_keeps_what_the_model_keeps(caller, zoo, small_steps):
    places, model = zoo
    ids = [str(place.pk) for place in places]
    mixed = random.Random(1)
    kept_any = set()
    for text in FILTERS:
        small_steps(mixed)
        found = walk_pages(caller, experiment_ids=ids, filter=text, max_results=25)
        assert (text, found) == (text, expected(model, text))
        kept_any |= {text} if found else set()
    assert len(FILTERS) - len(kept_any) < 14  # a filter that never keeps a run shows little


def test_every_order_is_the_model_s_order(caller, zoo, small_steps):
    places, model = zoo
    ids = [str(place.pk) for place in places]
    mixed = random.Random(2)
    for text in ORDERS:
        for size in (5, 30):
            small_steps(mixed)
            found = walk_pages(caller, experiment_ids=ids, order_by=[text], max_results=size)
            assert (text, found) == (text, expected(model, "", [text]))


@pytest.mark.parametrize("seed", range(6))
def test_random_questions_get_the_model_s_answer(caller, project, small_steps, seed):
    mixed = random.Random(seed)
    places = build(project, count=28, seed=seed + 10)
    model = [facts(run) for run in Run.objects.select_related("experiment")]
    for _ in range(30):
        small_steps(mixed)
        text = " AND ".join(mixed.sample(FILTERS[1:], mixed.choice([0, 1, 1, 2, 3])))
        keys = {}
        for item in mixed.sample(ORDERS, mixed.choice([0, 1, 2, 3, 4])):
            keys.setdefault(item.removesuffix(" DESC"), item)
        order, view = list(keys.values()), mixed.choice(list(VIEWS))
        chosen = mixed.sample(places, mixed.choice([1, 2, 3]))
        found = walk_pages(
            caller, experiment_ids=[str(p.pk) for p in chosen], filter=text, order_by=order, run_view_type=view,
            max_results=mixed.choice([1, 4, 11, 100]),
        )  # fmt: skip
        assert (text, order, view, found) == (
            text, order, view, expected(model, text, order, {p.pk for p in chosen}, view)
        )  # fmt: skip


def test_a_found_run_is_written_as_runs_get_writes_it(caller, project, zoo):
    places, _ = zoo
    run = RunInput.objects.filter(run__lifecycle="active").order_by("pk")[0].run
    model = LoggedModel.objects.create(
        project=project, experiment=run.experiment, name="m", created_ms=1, updated_ms=1
    )  # fmt: skip
    RunModel.objects.create(run=run, logged_model=model, direction="input")
    RunModel.objects.create(run=run, logged_model=model, direction="output", step=4)
    status, body = caller.post("runs/search", {"experiment_ids": [str(p.pk) for p in places]})
    assert status == 200
    got = {one["info"]["run_id"]: one for one in body["runs"]}
    for known in Run.objects.filter(lifecycle="active"):
        answer = caller.client.get(f"/api/2.0/mlflow/runs/get?run_id={known.uuid}", headers=caller.headers)
        one, other = json.loads(answer.content)["run"], got[known.uuid]
        for whole in (one, other):
            for rows in whole["data"].values():
                rows.sort(key=lambda row: row["key"])
        assert other == one
    assert got[run.uuid]["outputs"] == {"model_outputs": [{"model_id": model.uuid, "step": 4}]}


# What looks like the seams of a JSON text, and numbers whose digits, sign or kind are easily lost.
TEXTS = ["", ":", ",", '","', '":"', "a\\b", 'he said "x"', "}]", "line\nline", "\u00e9\u2028", "{}"]
NUMBERS = [
    0.0,
    1.0,
    -3.0,
    0.1,
    1 / 3,
    1e15,
    1e16,
    123456789012345680.0,
    5e-324,
    -1.7976931348623157e308,
    NAN,
    INF,
    -INF,
]


@pytest.mark.parametrize("order", [[], ["metrics.m0"]])
def test_values_are_written_exactly(caller, project, order):
    run = make_run(make_experiment(project), params={f"p{at}": text for at, text in enumerate(TEXTS)})
    other = make_run(run.experiment, params={"p": ","}, tags={f"t{at}": text for at, text in enumerate(TEXTS)})
    metricstore.append(run.pk, metrics=[(f"m{at}", value, NOW, at) for at, value in enumerate(NUMBERS)])
    _, body = caller.post("runs/search", {"experiment_ids": [str(run.experiment_id)], "order_by": order})
    found = {one["info"]["run_id"]: one["data"] for one in body["runs"]}
    written = {m["key"]: (m["value"], m["timestamp"], m["step"]) for m in found[run.uuid]["metrics"]}
    words = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    for at, value in enumerate(NUMBERS):
        got, *place = written[f"m{at}"]
        shown = got if isinstance(got, str) else repr(float(got))
        assert (shown, *place) == (words.get(repr(value), repr(value)), NOW, at)
    assert found[run.uuid]["params"] == [{"key": f"p{at}", "value": text} for at, text in enumerate(TEXTS)]
    assert found[other.uuid]["params"] == [{"key": "p", "value": ","}]
    tags = {pair["key"]: pair["value"] for pair in found[other.uuid]["tags"]}
    assert {f"t{at}": text for at, text in enumerate(TEXTS)}.items() <= tags.items()
    assert "metrics" not in found[other.uuid]


def test_a_page_takes_the_same_number_of_queries_whatever_it_holds(caller, zoo, django_assert_max_num_queries):
    ids = [str(zoo[0][0].pk)]
    counted = []
    for size in (2, 20):
        with django_assert_max_num_queries(40) as queries:
            _, body = caller.post("runs/search", {"experiment_ids": ids, "max_results": size})
        counted.append((len(body["runs"]), len(queries)))
    assert counted[0][0] == 2 < counted[1][0]
    assert counted[1][1] <= counted[0][1]  # the first also learns the names of metrics


def test_what_was_logged_a_moment_ago_is_found(caller, project):
    run = make_run(make_experiment(project))
    metricstore.append(run.pk, metrics=[("auc", 0.7, 1, 1)])
    _, body = caller.post("runs/search", {"experiment_ids": [str(run.experiment_id)], "filter": "metrics.auc > 0.6"})
    assert [one["info"]["run_id"] for one in body["runs"]] == [run.uuid]


@pytest.mark.only_on("postgresql")
def test_calls_that_wait_elsewhere_are_not_read(project):
    """PostgreSQL believes that some wait here too, when all that it knows of wait in one experiment of two."""
    here, elsewhere = make_experiment(project, "here"), make_experiment(project, "elsewhere")
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO experiments_metricchunk (run_id, experiment_id, points, first_step, last_step, data)
               SELECT %s, %s, 1, n, n, '' FROM generate_series(1, 3000) n""",
            [make_run(elsewhere).pk, elsewhere.pk],
        )
        cursor.execute("ANALYZE experiments_metricchunk")
        cursor.execute(f"EXPLAIN {runs._PLACES._postgres}", [project.pk, [here.pk]])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "using chunk_not_folded" in plan, plan


def test_experiments_of_other_projects_and_unknown_ones_are_empty(caller, project):
    make_run(make_experiment(make_project("theirs")))
    foreign = [str(e.pk) for e in Experiment.objects.exclude(project=project)]
    for ids in ([], foreign, ["999999999"], ["9" * 30], [*foreign, "0"]):
        assert caller.post("runs/search", {"experiment_ids": ids}) == (200, {})


def test_a_long_list_of_run_ids(caller, zoo):
    places, model = zoo
    wanted = [one["attribute"]["run_id"] for one in model[:5]]
    listed = ", ".join(f"'{uuid}'" for uuid in [*wanted, *(f"{i:032x}" for i in range(3000))])
    for operator in ("IN", "NOT IN"):
        text = f"run_id {operator} ({listed}) AND run_id NOT IN ({listed.replace(wanted[0], 'x')})"
        found = walk_pages(caller, experiment_ids=[str(p.pk) for p in places], filter=text, max_results=1000)
        assert set(found) == set(expected(model, text))


@pytest.mark.parametrize(
    "wrong",
    [
        {"filter": " "}, {"filter": "metrics.a > 1 AND"}, {"filter": "params.a = '\0'"}, {"filter": 5},
        {"filter": "params.a = 'x' OR params.b = 'y'"}, {"filter": f"params.a = '{'x' * 300_000}'"},
        {"order_by": ["metrics.a, metrics.b"]}, {"order_by": ["dataset.name"]}, {"order_by": "metrics.a"},
        {"order_by": ["metrics.a", "metrics.a DESC"]}, {"order_by": ["duration"]}, {"max_results": 0},
        {"max_results": -1}, {"max_results": 50_001}, {"max_results": "many"}, {"max_results": 2**70},
        {"run_view_type": "SOME"}, {"run_view_type": 9}, {"experiment_ids": ["a"]}, {"experiment_ids": "1"},
        {"page_token": "x"}, {"page_token": "eyJvZmZzZXQiOiA1fQ=="}, {"page_token": 5}, {"page_token": "\0"},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_400(caller, wrong):
    status, body = caller.post("runs/search", {"experiment_ids": [], **wrong})
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_half_a_character_is_400(caller):
    assert caller.post("runs/search", b'{"experiment_ids": [], "filter": "params.a = \'\\ud800\'"}')[0] == 400


def test_a_token_belongs_to_its_question(caller, zoo):
    ids = [str(place.pk) for place in zoo[0]]
    asked = {"experiment_ids": ids, "max_results": 2, "order_by": ["metrics.auc"]}
    token = caller.post("runs/search", asked)[1]["next_page_token"]
    assert caller.post("runs/search", {**asked, "max_results": 5, "page_token": token})[0] == 200
    for other in ({"order_by": ["metrics.auc DESC"]}, {"filter": "metrics.auc > 0"}, {"experiment_ids": ids[:1]},
                  {"run_view_type": "ALL"}):  # fmt: skip
        assert caller.post("runs/search", {**asked, **other, "page_token": token})[0] == 400


def test_a_token_with_a_forged_place_is_400(caller, zoo):
    ids = sorted(place.pk for place in zoo[0])
    pinned = (ids, (), grammar.order(["metrics.auc"], tables.RUNS), (Lifecycle.ACTIVE,))
    asked = {"experiment_ids": [str(i) for i in ids], "order_by": ["metrics.auc"]}
    good = [0, 0.5, 0, NOW, 0, "a"]
    assert caller.post("runs/search", {**asked, "page_token": tokens.write(good, *pinned)})[0] == 200
    for place in ([], good[:-2], [0, "a", *good[2:]], [3, None, *good[2:]], [1, 0.5, *good[2:]], [True, 0.5, *good[2:]],
                  [0, NAN, *good[2:]], [*good[:5], 5], [0, 0.5, 0, 1.5, 0, "a"], [-1, None, *good[2:]]):  # fmt: skip
        status, _ = caller.post("runs/search", {**asked, "page_token": tokens.write(place, *pinned)})
        assert (place, status) == (place, 400)
