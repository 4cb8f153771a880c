"""Search of runs: the whole grammar, order, pages."""

import math
import uuid

import mlflow
import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from wire import INVALID, Refuses, refused


def data_set(name, digest, context=""):
    tags = [InputTag("mlflow.data.context", context)] if context else []
    return DatasetInput(Dataset(name=name, digest=digest, source_type="local", source="/a"), tags)


@pytest.fixture(scope="module")
def place(client):
    return client.create_experiment(f"search-{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def ids(client, place):
    """Six runs, later ones started later: their ids by letter."""
    facts = {
        "a": ([("acc", 0.5), ("loss", 2)], {"model": "tree", "depth": "3"}, {"team": "risk", "odd key": "yes"}),
        "b": ([("acc", 0.7), ("loss", -1)], {"model": "Tree", "depth": "10"}, {"team": "Risk", "a/b": "slash"}),
        "c": ([("acc", 0.9), ("loss", math.nan)], {"model": "forest"}, {"team": "fraud", "dash-ed": "d"}),
        "d": ([("acc", 0.7)], {"model": "50%_off"}, {"team": "it's"}),
        "e": ([("loss", 1e-3)], {"depth": ""}, {}),
        "f": ([], {}, {"team": "gone"}),
    }
    made = {}
    for at, (letter, (metrics, params, tags)) in enumerate(facts.items()):
        run = client.create_run(
            place, start_time=1000 + at, run_name=f"run {letter}", tags={"mlflow.user": f"user-{letter}"}
        )
        made[letter] = run.info.run_id
        client.log_batch(
            run.info.run_id,
            [Metric(key, value, 10, 1) for key, value in metrics],
            [Param(*pair) for pair in params.items()],
            [RunTag(*pair) for pair in tags.items()],
        )
    # The latest value counts, not the greatest and not the first.
    client.log_metric(made["a"], "acc", 0.1, timestamp=1, step=0)
    client.log_metric(made["a"], "a/b c", 5)
    client.log_metric(made["a"], "val.acc", 6)
    client.log_param(made["a"], "opt/lr rate", "0.1")
    client.log_inputs(made["a"], [data_set("train set", "d1", "training"), data_set("other", "d2")])
    client.log_inputs(made["b"], [data_set("train set", "d3", "eval")])
    client.set_terminated(made["a"], end_time=5000)
    client.set_terminated(made["b"], "FAILED", end_time=6000)
    client.set_terminated(made["c"], "KILLED", end_time=7000)
    client.delete_run(made["f"])
    return made


@pytest.fixture(scope="module")
def found(client, place, ids):
    """Letters of the runs that a question finds."""
    back = {run_id: letter for letter, run_id in ids.items()}

    def ask(filter_string="", **more):
        return "".join(back[run.info.run_id] for run in client.search_runs([place], filter_string, **more))

    return ask


FILTERS = [
    ("", "edcba"),
    # metrics
    ("metrics.acc = 0.7", "db"),
    ("metrics.acc != 0.7", "ca"),
    ("metrics.acc > 0.7", "c"),
    ("metrics.acc >= 0.7", "dcb"),
    ("metrics.acc < 0.7", "a"),
    ("metrics.acc <= 0.7", "dba"),
    ("metric.acc > 0.7", "c"),
    ("metrics.acc > .6", "dcb"),
    ("metrics.acc > 6e-1", "dcb"),
    ("metrics.loss < -0.5", "b"),
    ("metrics.loss = 0.001", "e"),
    ("metrics.loss = 1E-3", "e"),
    ("metrics.loss = 2", "a"),
    ("metrics.loss > -100", "eba"),
    ("metrics.missing > 0", ""),
    ("metrics.missing != 0", ""),
    ("metrics.`a/b c` = 5", "a"),
    ('metrics."a/b c" = 5', "a"),
    ("metrics.val.acc = 6", "a"),
    ("metrics.acc>0.7", "c"),
    ("  metrics.acc   >   0.7  ", "c"),
    # params
    ("params.model = 'tree'", "a"),
    ('params.model = "tree"', "a"),
    ("param.model = 'tree'", "a"),
    ("parameters.model = 'tree'", "a"),
    ("parameter.model = 'tree'", "a"),
    ("params.model != 'tree'", "dcb"),
    ("params.model LIKE 'tree'", "a"),
    ("params.model LIKE '%ree'", "ba"),
    ("params.model LIKE 'T%'", "b"),
    ("params.model ILIKE 't%'", "ba"),
    ("params.model ILIKE 'TREE'", "ba"),
    ("params.model LIKE 'f_rest'", "c"),
    ("params.model LIKE 'tre'", ""),
    ("params.model LIKE '50%'", "d"),
    ("params.depth = '3'", "a"),
    ("params.depth = ''", "e"),
    ("params.missing != 'x'", ""),
    ("params.`opt/lr rate` = '0.1'", "a"),
    ("params.\"opt/lr rate\" = '0.1'", "a"),
    # tags
    ("tags.team = 'risk'", "a"),
    ("tag.team = 'risk'", "a"),
    ("tags.team ILIKE 'RISK'", "ba"),
    ("tags.team != 'risk'", "dcb"),
    ('tags.team = "it\'s"', "d"),
    ("tags.`odd key` = 'yes'", "a"),
    ("tags.\"odd key\" = 'yes'", "a"),
    ("tags.`a/b` = 'slash'", "b"),
    ("tags.`dash-ed` = 'd'", "c"),
    ("tags.mlflow.runName = 'run c'", "c"),
    ("tags.`mlflow.runName` = 'run c'", "c"),
    ("tags.mlflow.user = 'user-b'", "b"),
    ("tags.team = 'Risk' AND params.model = 'Tree'", "b"),
    ("tags.team = 'risk' and metrics.acc > 0.2 And params.depth = '3'", "a"),
    ("metrics.acc > 0.2 AND metrics.acc < 0.8", "dba"),
    ("tags.team = 'a AND b'", ""),
    # attributes
    ("attributes.status = 'FINISHED'", "a"),
    ("attribute.status = 'FAILED'", "b"),
    ("attr.status = 'KILLED'", "c"),
    ("run.status = 'KILLED'", "c"),
    ("status = 'RUNNING'", "ed"),
    ("status != 'RUNNING'", "cba"),
    ("attributes.run_name = 'run a'", "a"),
    ("run_name LIKE 'run %'", "edcba"),
    ("run_name ILIKE 'RUN A'", "a"),
    ("attributes.`run name` = 'run a'", "a"),
    ("attributes.run_id = '{a}'", "a"),
    ("run_id != '{a}'", "edcb"),
    ("run_id IN ('{a}', '{c}')", "ca"),
    ("attributes.run_id IN ('{a}')", "a"),
    ("run_id NOT IN ('{a}', '{c}')", "edb"),
    ("run_id in ('{a}','{c}')", "ca"),
    ("attributes.artifact_uri LIKE '%{b}/artifacts'", "b"),
    ("start_time > 1002", "ed"),
    ("attributes.start_time >= 1002", "edc"),
    ("created < 1002", "ba"),
    ("start_time = 1003", "d"),
    ("start_time != 1003", "ecba"),
    ("end_time > 5500", "cb"),
    ("attributes.end_time <= 5000", "a"),
    # datasets
    ("dataset.name = 'train set'", "ba"),
    ("datasets.name = 'train set'", "ba"),
    ("dataset.digest = 'd1'", "a"),
    ("dataset.context = 'training'", "a"),
    ("dataset.context = 'eval' AND dataset.name = 'train set'", "b"),
    ("dataset.name = 'other' AND dataset.context = 'training'", "a"),
    ("dataset.name LIKE 'train%'", "ba"),
    ("dataset.name ILIKE 'TRAIN%'", "ba"),
    ("dataset.name IN ('train set', 'other')", "ba"),
    ("dataset.digest NOT IN ('d1', 'd2')", "b"),
    ("dataset.digest IN ('d2', 'd3')", "ba"),
    ("dataset.name = 'nothing'", ""),
]


@pytest.mark.parametrize(("text", "expected"), FILTERS)
def case_filter(found, ids, text, expected):
    assert found(text.format(**ids)) == expected


@pytest.mark.mlflow3
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.depth IS NULL", "dc"),
        ("params.depth IS NOT NULL", "eba"),
        ("tags.`odd key` IS NULL", "edcb"),
        ("tags.`odd key` is not null", "a"),
        ("tags.team IS NULL AND params.model IS NULL", "e"),
    ],
)
def case_null(found, text, expected):
    assert found(text) == expected


BAD = [
    "   ",
    "acc",
    "metrics.acc",
    "metrics.acc >",
    "> 5",
    "metrics.acc > 'high'",
    "metrics.acc > high",
    "metrics.acc LIKE '0%'",
    "metrics.acc IN (1, 2)",
    "metrics.acc = '0.7'",
    "params.model = tree",
    "params.depth = 3",
    "params.depth > '3'",
    "params.model IN ('tree')",
    "tags.team > 'a'",
    "tags.team = risk",
    "colour.key = 'a'",
    "attributes.colour = 'red'",
    "colour = 'red'",
    "status > 'RUNNING'",
    "start_time = 'x'",
    "start_time > '1000'",
    "start_time LIKE '1%'",
    "run_name IN ('a')",
    "status IN ('RUNNING')",
    "run_id IN ()",
    "run_id IN (1, 2)",
    "run_id IN 'a'",
    "run_id > 'a'",
    "metrics.acc > 0.5 OR metrics.loss > 1",
    "metrics.acc > 0.5 or metrics.loss > 1",
    "NOT metrics.acc > 0.5",
    "(metrics.acc > 0.5)",
    "metrics.acc > 0.5; DROP TABLE runs",
    "metrics.acc > 0.5 -- comment",
    "metrics.acc == 0.5",
    "metrics.acc <> 0.5",
    "metrics.acc IS NULL",
    "metrics.acc BETWEEN 0 AND 1",
    "tags.team = 'open",
    "metrics.`acc > 0.5",
    "dataset.colour = 'x'",
    "dataset.name > 'x'",
    "METRICS.acc > 0.5",
    "Params.model = 'tree'",
    "metrics.acc > 0.5 0.6",
    "metrics.acc > metrics.loss",
    "1 = 1",
    "params.model = 'a' 'b'",
]
WORSE = ["metrics.acc > 0.5 AND", "metrics.acc > 0.5 AND AND metrics.acc < 1", "AND metrics.acc > 0.5"]


@pytest.mark.parametrize("text", BAD)
def case_bad_filter(found, text):
    with Refuses(INVALID):
        found(text)


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("text", WORSE)
def case_bad_filter_that_mlflow_takes(found, text):
    with Refuses(INVALID):
        found(text)


ORDERS = [
    ([], "edcba"),
    (["metrics.acc"], "adbce"),
    (["metrics.acc ASC"], "adbce"),
    (["metrics.acc DESC"], "cdbae"),
    (["metrics.acc desc"], "cdbae"),
    (["metric.acc DESC"], "cdbae"),
    (["metrics.loss"], "beacd"),
    (["metrics.loss DESC"], "aebcd"),
    (["metrics.missing"], "edcba"),
    (["params.depth"], "ebadc"),
    (["params.depth DESC"], "abedc"),
    (["params.model ASC"], None),
    (["tags.`mlflow.runName`"], "abcde"),
    (["tags.mlflow.runName DESC"], "edcba"),
    (["attributes.start_time ASC"], "abcde"),
    (["start_time"], "abcde"),
    (["start_time DESC"], "edcba"),
    (["created ASC"], "abcde"),
    (["attribute.end_time"], "abced"),
    (["end_time DESC"], "cbaed"),
    (["run_name"], "abcde"),
    (["attributes.run_name DESC"], "edcba"),
    (["attributes.status", "start_time"], "bacde"),
    (["metrics.acc DESC", "start_time ASC"], "cbdae"),
    (["metrics.acc", "metrics.loss DESC"], "abdce"),
    (["metrics.`a/b c` DESC"], "aedcb"),
    (["user_id"], None),
    (["artifact_uri"], None),
    (["run_id"], None),
]


@pytest.mark.parametrize(("order", "expected"), ORDERS)
def case_order(found, ids, order, expected):
    letters = found(order_by=order)
    assert letters == expected if expected else sorted(letters) == list("abcde")


def case_order_by_id(found, ids):
    assert found(order_by=["run_id"]) == "".join(sorted("abcde", key=ids.get))


@pytest.mark.parametrize(
    "order",
    [
        "colour",
        "attributes.colour",
        "metrics.acc UP",
        "metrics.acc DESC ASC",
        "metrics.acc, start_time",
        "acc",
        "dataset.name",
        "metrics",
        "metrics.acc >",
        "; DROP TABLE runs",
    ],
)
def case_bad_order(found, order):
    with Refuses(INVALID):
        found(order_by=[order])


@pytest.mark.beyond_mlflow
def case_doubled_order(found):
    """Either take it as one or refuse it; MLflow answers 500."""
    try:
        assert found(order_by=["metrics.acc", "metrics.acc"]) == "adbce"
    except mlflow.MlflowException as refusal:
        assert refusal.error_code == INVALID  # noqa: PT017 - both ways are right


@pytest.mark.parametrize(
    ("view", "expected"),
    [(ViewType.ACTIVE_ONLY, "edcba"), (ViewType.DELETED_ONLY, "f"), (ViewType.ALL, "fedcba")],
)
def case_view(found, view, expected):
    assert found(run_view_type=view) == expected


@pytest.mark.parametrize("order", [[], ["metrics.acc DESC"], ["metrics.loss"], ["params.depth"], ["end_time"]])
@pytest.mark.parametrize("size", [1, 2, 5, 6])
def case_pages(client, place, ids, found, size, order):  # noqa: PLR0917 - fixtures
    seen, token, pages = [], None, 0
    while token or not pages:
        page = client.search_runs([place], max_results=size, page_token=token, order_by=order)
        seen += [run.info.run_id for run in page]
        token, pages = page.token, pages + 1
        assert len(page) <= size
        assert pages < 8
    back = {run_id: letter for letter, run_id in ids.items()}
    assert "".join(back[run_id] for run_id in seen) == found(order_by=order)


def case_last_full_page_has_no_token(client, place, ids):
    assert not client.search_runs([place], max_results=5).token


@pytest.mark.parametrize("token", ["nonsense", "bm9wZQ==", "%%%", "e30="])
def case_bad_page_token(client, place, ids, token):
    with Refuses(INVALID):
        client.search_runs([place], page_token=token)


@pytest.mark.parametrize("given", [0, -1, 50_001])
def case_max_results_out_of_range(wire, place, given):
    refused(wire.post("runs/search", {"experiment_ids": [place], "max_results": given}), 400, INVALID)


def case_no_experiments(wire):
    answer = wire.post("runs/search", {"experiment_ids": []})
    assert (answer.status_code, answer.json()) == (200, {})


def case_unknown_experiments_are_ignored(client, place, ids):
    assert len(client.search_runs([place, "123456789012"])) == 5
    assert len(client.search_runs(["123456789012"])) == 0


def case_several_experiments(client, place, ids, experiment, run):
    assert {r.info.run_id for r in client.search_runs([place, experiment])} == {ids[x] for x in "abcde"} | {run}


def case_whole_runs_come_back(client, place, ids):
    (run,) = client.search_runs([place], f"run_id = '{ids['a']}'")
    assert run.data.metrics == {"acc": 0.5, "loss": 2, "a/b c": 5, "val.acc": 6}
    assert run.data.params == {"model": "tree", "depth": "3", "opt/lr rate": "0.1"}
    assert run.data.tags["odd key"] == "yes"
    assert (run.info.status, run.info.end_time) == ("FINISHED", 5000)
    assert {one.dataset.name for one in run.inputs.dataset_inputs} == {"train set", "other"}


def case_as_a_table(place, ids):
    table = mlflow.search_runs([place], order_by=["start_time ASC"])
    assert list(table["run_id"]) == [ids[x] for x in "abcde"]
    assert list(table["params.model"])[:3] == ["tree", "Tree", "forest"]
    assert math.isnan(table["metrics.acc"][4])


def case_by_names_of_experiments(client, place, ids):
    name = client.get_experiment(place).name
    assert len(mlflow.search_runs(experiment_names=[name], output_format="list")) == 5
