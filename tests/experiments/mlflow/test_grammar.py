"""The filter and order grammar, page tokens, and conditions of the ORM."""

import contextlib

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from experiments.mlflow.search import conditions, grammar, tables, tokens
from experiments.mlflow.search.grammar import Clause, OrderItem
from experiments.models import Experiment, ExperimentTag
from mlportal.lib.errors import Invalid
from tests.factories.projects import make_project

READ = [
    ("metrics.auc > 0.5", ("metric", "auc", ">", 0.5)),
    ("metric.auc>=-.5", ("metric", "auc", ">=", -0.5)),
    ("metrics.auc != 1e-3", ("metric", "auc", "!=", 0.001)),
    ("metrics.auc <= 1.", ("metric", "auc", "<=", 1.0)),
    ("metrics.a = 1e400", ("metric", "a", "=", float("inf"))),
    ("metrics.`val loss` < 5", ("metric", "val loss", "<", 5.0)),
    ('metrics."val/loss" < 5', ("metric", "val/loss", "<", 5.0)),
    ("metrics.val/loss-1 < 5", ("metric", "val/loss-1", "<", 5.0)),
    ("metrics.1st = 1", ("metric", "1st", "=", 1.0)),
    ("`metrics`.a = 1", ("metric", "a", "=", 1.0)),
    ("params.depth = '8'", ("param", "depth", "=", "8")),
    ("param.depth != \"it's\"", ("param", "depth", "!=", "it's")),
    ("parameter.depth = 'it''s'", ("param", "depth", "=", "it''s")),
    ("parameters.path = 'C:\\dir\\'", ("param", "path", "=", "C:\\dir\\")),
    ("params.from = ''", ("param", "from", "=", "")),
    ("params.é like'Ü%'", ("param", "é", "LIKE", "Ü%")),
    ("tags.mlflow.source.name ILIKE '%.PY'", ("tag", "mlflow.source.name", "ILIKE", "%.PY")),
    ("tag.x is  not\tnull", ("tag", "x", "IS NOT NULL", None)),
    ("params.x IS NULL", ("param", "x", "IS NULL", None)),
    ("status = 'FINISHED'", ("attribute", "status", "=", "FINISHED")),
    ("attributes.status = 'FINISHED'", ("attribute", "status", "=", "FINISHED")),
    ("attr.run_name LIKE 'a%'", ("attribute", "run_name", "LIKE", "a%")),
    ("`run name` = 'x'", ("attribute", "run_name", "=", "x")),
    ('"Run Name" = "x"', ("attribute", "run_name", "=", "x")),
    ("run.`run name` = 'x'", ("attribute", "run_name", "=", "x")),
    ("created > 12", ("attribute", "start_time", ">", 12)),
    ("end_time <= 1.5", ("attribute", "end_time", "<=", 1.5)),
    ("attribute.artifact_uri ILIKE 'mlflow-artifacts:%'", ("attribute", "artifact_uri", "ILIKE", "mlflow-artifacts:%")),
    ("user_id != 'ana'", ("attribute", "user_id", "!=", "ana")),
    ("run_id in ('a',\"b\" , 'c',)", ("attribute", "run_id", "IN", ("a", "b", "c"))),
    ("run_id NOT\nIN('a')", ("attribute", "run_id", "NOT IN", ("a",))),
    ("dataset.name IN ('d')", ("dataset", "name", "IN", ("d",))),
    ("datasets.context LIKE 'tr%'", ("dataset", "context", "LIKE", "tr%")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READ, ids=[text for text, _ in READ])
def test_a_clause_is_read(text, expected):
    assert grammar.parse(text, tables.RUNS) == (Clause(*expected),)


def test_clauses_are_joined_by_and_in_any_case():
    read = grammar.parse(" metrics.a > 1 AND\tparams.b = 'and'and tags.c = \"x AND y\" \n", tables.RUNS)
    assert [(c.entity, c.value) for c in read] == [("metric", 1.0), ("param", "and"), ("tag", "x AND y")]


def test_nothing_is_no_filter():
    assert grammar.parse("", tables.RUNS) == ()


REFUSED = [
    " ", "metrics", "metrics.a", "metrics.a >", "metrics.a > 1 AND", "AND metrics.a > 1",
    "metrics.a > 1 AND AND b = 'x'",
    "metrics.a > 1 metrics.b > 1", "metrics.a > 1 OR metrics.b > 1", "NOT metrics.a > 1", "(metrics.a > 1)",
    "metrics.a > 1;", "metrics.a > 1 -- x", "metrics.a > 1 /* x */", "metrics.a > '1'", "metrics.a > 1x",
    "metrics.a > 1_000", "metrics.a > 0x10", "metrics.a > +1", "metrics.a > nan", "metrics.a > inf", "metrics.a == 1",
    "metrics.a <> 1", "metrics.a LIKE '1'", "metrics.a IN ('1')", "metrics.a IS NULL", "metrics. = 1", "metrics.`` = 1",
    "metrics. a > 1", "metrics.a b > 1", "metrics.`a`.b > 1", "1 < metrics.a", "Metrics.a > 1", "modell.a > 1",
    "params.a = 5", "params.a = b", "params.a = `b`", "params.a > '1'", "params.a IN ('1')", "params.a NOT LIKE 'b'",
    "params.a = 'b", "params.a = b'", "params.a = 'a' 'b'", "params.a = 'it's'", "tags.a IS 'x'", "tags.a NULL",
    "tags.a BETWEEN 'a' AND 'b'", "Status = 'FINISHED'", "duration > 1", "status > 'A'", "status IN ('FINISHED')",
    "run_id IN ()", "run_id IN 'a'", "run_id IN ('a'", "run_id IN ('a' 'b')", "run_id IN (1)", "run_id IN ('a',,'b')",
    "start_time > '1'", "start_time LIKE '1'", "start_time > 9223372036854775808", f"start_time > {'9' * 5000}",
    "dataset.size = '1'", "dataset.name IS NULL", "run name = 'x'", "'a' = 'b'", "attributes.run_id.x = 'a'",
    "params.a = '\0'", "params.a = '\ud800'", f"params.a LIKE '{'x' * 4001}'", f"params.a = '{'x' * 262_144}'",
    " AND ".join(["metrics.a > 1"] * 101), "run_id IN (" + ",".join(["'a'"] * 10_002) + ")",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=[ascii(text)[:40] for text in REFUSED])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(Invalid, match="filter"):
        grammar.parse(text, tables.RUNS)


def test_a_refusal_tells_the_place():
    with pytest.raises(Invalid, match=r"does not know LIKE; known are =, !=, .* at character 29 near \"LIKE 'x'\""):
        grammar.parse("params.a = 'b' AND end_time LIKE 'x'", tables.RUNS)


ORDERED = [
    ("metrics.auc", ("metric", "auc", False)),
    ("metrics.auc DESC", ("metric", "auc", True)),
    (" metrics.`val loss`\tasc ", ("metric", "val loss", False)),
    ("params.desc DESC", ("param", "desc", True)),
    ("tags.mlflow.runName desc", ("tag", "mlflow.runName", True)),
    ("metric.x.desc", ("metric", "x.desc", False)),
    ("start_time", ("attribute", "start_time", False)),
    ("Created DESC", ("attribute", "start_time", True)),
    ("attributes.run_id", ("attribute", "run_id", False)),
]


@pytest.mark.parametrize(("text", "expected"), ORDERED)
def test_an_order_is_read(text, expected):
    assert grammar.order([text], tables.RUNS) == (OrderItem(*expected),)


@pytest.mark.parametrize(
    "items",
    [
        [""], [" "], ["metrics.a, metrics.b"], ["metrics.a down"], ["metrics.a DESC ASC"], ["dataset.name"],
        ["duration"], ["Start_time"], ["metrics.a", "metric.a DESC"], ["start_time", "created"],
        ["metrics.a\0"], ["metrics.a"] * 21,
    ],
)  # fmt: skip
def test_what_is_no_order_is_refused(items):
    with pytest.raises(Invalid, match="order_by"):
        grammar.order(items, tables.RUNS)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (tables.EXPERIMENTS, "name ILIKE 'a' AND experiment_id IN ('1') AND creation_time > 5 AND tags.a IS NULL"),
        (tables.REGISTERED_MODELS, "name IN ('a', 'b') AND tag.`mlflow.prompt.is_prompt` != 'true'"),
        (tables.MODEL_VERSIONS, "version_number >= 2 AND run_id IN ('a') AND source_path LIKE '%' AND tags.b = 'x'"),
        (tables.LOGGED_MODELS, "attributes.creation_time > 5 AND metrics.a < 1 AND params.b IN ('1') AND name = 'x'"),
    ],
)
def test_every_table_knows_its_names(table, text):
    assert len(grammar.parse(text, table)) == text.count(" AND ") + 1


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (tables.EXPERIMENTS, "metrics.a > 1"),
        (tables.EXPERIMENTS, "experiment_id LIKE '1'"),
        (tables.EXPERIMENTS, "creation_time > 1.5"),
        (tables.REGISTERED_MODELS, "creation_timestamp > 1"),
        (tables.REGISTERED_MODELS, "tags.a IS NULL"),
        (tables.MODEL_VERSIONS, "source_path IN ('a')"),
        (tables.LOGGED_MODELS, "dataset.name = 'a'"),
    ],
)
def test_every_table_refuses_the_rest(table, text):
    with pytest.raises(Invalid):
        grammar.parse(text, table)


def test_an_alias_is_the_same_order():
    assert grammar.order(["timestamp DESC"], tables.REGISTERED_MODELS)[0].key == "last_updated_timestamp"
    assert grammar.order_key("metrics.auc", tables.LOGGED_MODELS, descending=True) == OrderItem("metric", "auc", True)
    for wrong in ("metrics.auc DESC", "tags.a", "params.a"):
        with pytest.raises(Invalid):
            grammar.order_key(wrong, tables.LOGGED_MODELS)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    for read in (lambda: grammar.parse(text, tables.RUNS), lambda: grammar.order([text], tables.RUNS)):
        with contextlib.suppress(Invalid):
            read()


PIECES = st.sampled_from(
    ["metrics", ".", "a", "`b c`", "params", "tags", " ", "  ", ">", "=", "!=", "LIKE", "'x'", '"y"', "1", "-.5e3",
     "IN", "(", ")", ",", "AND", "IS NULL", "NOT", "run_id", "start_time", "status", "'", '"', "`"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join))
def test_what_is_read_is_well_formed(text):
    try:
        read = grammar.parse(text, tables.RUNS)
    except Invalid:
        return
    for clause in read:
        assert clause.key
        kinds = {"metric": float, "attribute": (str, int, float, tuple)}.get(clause.entity, (str, tuple, type(None)))
        assert isinstance(clause.value, kinds)


SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.none(),
)  # fmt: skip


@given(st.lists(SCALARS, max_size=5))
def test_a_token_comes_back_as_it_was(place):
    assert tokens.read(tokens.write(place, "filter", ("order",)), "filter", ("order",)) == place


def test_a_token_of_another_question_is_refused():
    token = tokens.write([1], "metrics.a > 1", ())
    with pytest.raises(Invalid, match="Invalid page token"):
        tokens.read(token, "metrics.a > 2", ())


@pytest.mark.parametrize("text", ["x", "é", "%%%", "W10", "eyJvZmZzZXQiOiA1fQ==", "\0", "\ud800", "A" * 30_000])
def test_what_is_no_token_is_refused(text):
    with pytest.raises(Invalid, match="Invalid page token"):
        tokens.read(text, "x")


@pytest.mark.parametrize("item", ["\0", "\ud800", 2**63, [1], True, {}])
def test_a_token_cannot_smuggle_what_no_database_stores(item):
    with pytest.raises(Invalid, match="Invalid page token"):
        tokens.read(tokens.write([item], "x"), "x")


@pytest.fixture
def experiments():
    project = make_project()
    for name, team in [("Alpha", "a"), ("alpha_2", "b"), ("beta*[x]?", None), ("b\\n%", "a"), ("Gamma", "")]:
        now = timezone.now()
        made = Experiment.objects.create(project=project, name=name, created_at=now, updated_at=now)
        if team is not None:
            ExperimentTag.objects.create(experiment=made, key="team", value=team)
    return Experiment.objects.in_project(project)


NAMED = [
    ("name = 'Alpha'", {"Alpha"}),
    ("name != 'Alpha'", {"alpha_2", "beta*[x]?", "b\\n%", "Gamma"}),
    ("name LIKE 'alpha%'", {"alpha_2"}),
    ("name ILIKE 'ALPHA%'", {"Alpha", "alpha_2"}),
    ("name LIKE 'beta*[x]?'", {"beta*[x]?"}),
    ("name LIKE '%_2'", {"alpha_2"}),
    ("name LIKE '_lpha__'", {"alpha_2"}),
    ("name LIKE 'b\\n_'", {"b\\n%"}),
    ("name ILIKE 'B\\%'", {"b\\n%"}),
    ("tags.team = 'a'", {"Alpha", "b\\n%"}),
    ("tags.team != 'a'", {"alpha_2", "Gamma"}),
    ("tags.team LIKE '%'", {"Alpha", "alpha_2", "b\\n%", "Gamma"}),
    ("tags.team = ''", {"Gamma"}),
    ("tags.team IS NULL", {"beta*[x]?"}),
    ("tags.team IS NOT NULL", {"Alpha", "alpha_2", "b\\n%", "Gamma"}),
    ("tags.nothing = 'a'", set()),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "expected"), NAMED)
def test_conditions_of_the_orm(experiments, text, expected):
    for clause in grammar.parse(text, tables.EXPERIMENTS):
        condition = (
            conditions.tag(ExperimentTag, "experiment", clause)
            if clause.entity == "tag"
            else conditions.text(clause.key, clause)
        )
        experiments = experiments.filter(condition)
    assert {e.name for e in experiments} == expected


@pytest.mark.django_db
def test_lists_and_missing_values(experiments):
    Experiment.objects.filter(name="Gamma").update(description="set")
    named = grammar.parse("name IN ('Alpha', 'Gamma')", tables.REGISTERED_MODELS)[0]
    others = grammar.parse("name NOT IN ('Alpha', 'Gamma')", tables.REGISTERED_MODELS)[0]
    assert experiments.filter(conditions.text("name", named)).count() == 2
    assert experiments.filter(conditions.text("name", others)).count() == 3
    assert experiments.filter(conditions.text("created_by__username", others)).count() == 0
    low = grammar.parse("version_number != 3", tables.MODEL_VERSIONS)[0]
    assert experiments.filter(conditions.number("pk", low, value=experiments[0].pk)).count() == 4


@pytest.mark.django_db
def test_names_are_ordered_by_code_point_and_paged(experiments):
    names, token = [], ""
    rows = experiments.order_by(conditions.order_text("name", descending=True))
    while True:
        page, token = tokens.page(rows, 2, token, "all")
        names += [e.name for e in page]
        if not token:
            break
    assert names == ["beta*[x]?", "b\\n%", "alpha_2", "Gamma", "Alpha"]
