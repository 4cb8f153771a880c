"""The chooser of columns, and what the address can say of them."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments import metricstore
from experiments.queries import tokens
from experiments.queries.tokens import Token
from experiments.services import runs
from mlportal.lib.errors import Invalid
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

BASE = "/p/churn/experiments/churn-gbm/"


@pytest.fixture
def experiment(db):
    return make_experiment(make_project())


@pytest.fixture
def web(experiment):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=experiment.project))
    return client


def heads(answer):
    return re.findall(r'data-c="([^"]*)"', answer.content.decode())


def listed(answer):
    return [
        (re.search(r"<legend>([^<]*)<", part)[1], re.findall(r'value="([^"]*)" data-label', part))
        for part in answer.content.decode().split("<fieldset>")[1:]
    ]


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("m~auc", Token("m", "auc")),
        ("!m~val/auc@max", Token("m", "val/auc", "max", pinned=True)),
        ("m~auc@step:-3", Token("m", "auc", "step:-3")),
        ("m~auc~", Token("m", "auc", curve=True)),
        ("240p~depth", Token("p", "depth", width=240)),
        ("!48m~auc@min", Token("m", "auc", "min", pinned=True, width=48)),
        ("800m~auc~", Token("m", "auc", curve=True, width=800)),
        ("47p~depth", None),
        ("801p~depth", None),
        ("\u0661\u0662\u0663p~depth", None),
        ("p~a%2Cb%7E%40%25", Token("p", "a,b~@%")),
        ("t~team", Token("t", "team")),
        ("c~user", Token("c", "user")),
        ("c~nothing", None),
        ("m~auc@mean", None),
        ("x~a", None),
        ("m~", None),
        ("m~~", None),
        ("auc", None),
        ("p~%00", None),
    ],
)
def test_a_column_is_read_and_written(text, token):
    assert tokens.one(text) == token
    if token is not None:
        assert token.whole_text == text


def test_forty_columns_are_shown_and_no_two_the_same():
    many = ",".join(f"m~a{i}" for i in range(50))
    assert [t.name for t in tokens.read(f"m~a0,{many}")] == [f"a{i}" for i in range(40)]
    with pytest.raises(Invalid, match="At most 40 columns"):
        tokens.checked(many)
    with pytest.raises(Invalid, match="'m~a@b' is no column"):
        tokens.checked("m~a@b")
    with pytest.raises(Invalid, match=r"'9m~a' is no column.*48 to 800 pixels"):
        tokens.checked("9m~a")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("hide:p~x", "m~a,t~y"),
        ("pin:p~x", "m~a,!p~x,t~y"),
        ("left:p~x", "p~x,m~a,t~y"),
        ("right:p~x", "m~a,t~y,p~x"),
        ("left:m~a", "m~a,p~x,t~y"),
        ("right:t~y", "m~a,p~x,t~y"),
        ("show:c~user", "m~a,p~x,t~y,c~user"),
        ("show:m~a", "m~a,p~x,t~y"),
        ("hide:m~none", "m~a,p~x,t~y"),
        ("burn:m~a", "m~a,p~x,t~y"),
        ("hide", "m~a,p~x,t~y"),
    ],
)
def test_a_change_is_one_step(change, shown):
    assert tokens.written(tokens.changed(tokens.read("m~a,p~x,t~y"), change)) == shown


def test_columns_stand_as_the_address_says_with_pinned_ones_first(web, experiment):
    log(make_run(experiment, params={"depth": "4"}, tags={"team": "a"}), "auc", [0.5])
    assert heads(web.get(f"{BASE}?cols=p~depth,m~auc,!t~team,c~state")) == ["t~team", "p~depth", "m~auc", "c~state"]
    changed = web.get(f"{BASE}?q=auc>0&cols=m~auc,p~depth&change=left:p~depth&col=")
    assert changed["Location"] == f"{BASE}?q=auc%3E0&cols=p~depth%2Cm~auc"


def test_a_column_is_as_wide_as_the_address_says_unless_it_stays_in_sight(web, experiment):
    log(make_run(experiment, params={"depth": "4"}), "auc", [0.5])
    text = web.get(f"{BASE}?cols=240p~depth,m~auc,!90c~state").content.decode()
    assert re.findall(r'<th [^>]*data-c="([^"]*)"[^>]* width="(\d+)"', text) == [("p~depth", "240")]
    assert re.findall(r'class="([^"]*)" data-c="([^"]*)"', text) == [
        (" g0 stuck s1", "c~state"), ("n g0 set", "p~depth"), ("n g0", "m~auc"),
    ]  # fmt: skip
    assert re.findall(r'<td class="([^"]*)"', text)[1:] == ["g0 muted stuck s1", "n g0 set", "n g0 best"]
    moved = web.get(f"{BASE}?cols=240p~depth,m~auc&change=pin:p~depth&col=")
    assert moved["Location"] == f"{BASE}?cols=%21240p~depth%2Cm~auc"


def test_the_chooser_lists_names_with_their_values(web, experiment):
    for i in range(3):
        run = make_run(experiment, params={"depth": str(i), "seed": "7"}, tags={"team": "a"})
        log(run, "auc", [0.5 + i / 10])
        log(run, "system/gpu", [50.0])
    answer = web.get(f"{BASE}columns/?cols=m~auc,!p~depth&part=list")
    assert listed(answer)[:4] == [
        ("Metrics, 1", ["m~auc"]),
        ("Parameters that vary, 1", ["p~depth"]),
        ("Parameters with one value, 1", ["p~seed"]),
        ("Tags, 1", ["t~team"]),
    ]
    assert "0.5000 to 0.7000" in answer.content.decode()
    assert "3 values" in answer.content.decode()
    page = web.get(f"{BASE}columns/?cols=m~auc,!p~depth").content.decode()
    assert re.findall(r'data-token="([^"]+)"( data-pinned)?', page) == [("p~depth", " data-pinned"), ("m~auc", "")]


def test_a_search_of_the_chooser_is_bounded_however_many_names_there_are(web, experiment):
    run = make_run(experiment)
    names = [f"layer_{i}/loss" for i in range(450)]
    metricstore.append(run.pk, metrics=[(name, 1.0, 0, 0) for name in names])
    answer = web.get(f"{BASE}columns/?find=LOSS&part=list")
    assert len(re.findall("data-label", answer.content.decode())) == 40
    assert "410 more" in answer.content.decode()
    assert listed(web.get(f"{BASE}columns/?find=layer_449&part=list")) == [("Metrics, 1", ["m~layer_449/loss"])]
    assert "No column has" in web.get(f"{BASE}columns/?find=%25&part=list").content.decode()
    table = web.get(BASE).content.decode()
    assert len(re.findall(r"layer_\d+", table)) < 100


@pytest.mark.parametrize("count", [1, 3])
def test_the_chooser_costs_the_same_queries_for_any_number_of_runs(web, experiment, count):
    for i in range(count):
        log(make_run(experiment, params={"depth": str(i)}), "auc", [0.5])
    web.get(f"{BASE}columns/")
    with CaptureQueriesContext(connection) as seen:
        web.get(f"{BASE}columns/")
    assert len(seen) == 14


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("metrics.auc@max DESC", ["b", "a", "c"]),
        ("metrics.auc@min ASC", ["b", "c", "a"]),
        ("metrics.auc@best DESC", ["b", "a", "c"]),
        ("metrics.auc DESC", ["a", "b", "c"]),
        ("tags.team ASC", ["c", "a", "b"]),
        ("params.depth DESC", ["c", "b", "a"]),
        ("attributes.name ASC", ["a", "b", "c"]),
        ("attributes.data ASC", ["c", "b", "a"]),
        ("attributes.user ASC", ["c", "b", "a"]),
        ("attributes.source ASC", ["b", "a", "c"]),
        ("attributes.source DESC", ["c", "a", "b"]),
    ],
)
def test_runs_are_sorted_by_any_column(web, experiment, sort, names):
    series = {"a": [0.4, 0.6], "b": [0.9, 0.1, 0.5], "c": [0.2, 0.3]}
    teams = {"a": "blue", "b": "red", "c": "amber"}
    sources = {"a": "job", "b": "api", "c": "mlflow"}
    for at, (name, values) in enumerate(series.items()):
        extra = {"params": {"depth": str(at * 6)}, "tags": {"team": teams[name]}, "source": sources[name]}
        run = make_run(experiment, name, **extra)
        log(run, "auc", values)
        runs.finish(writer(experiment.project), run=run, state="finished")
    shown = web.get(BASE, {"sort": sort, "cols": "m~auc"}).content.decode()
    assert re.findall(r'<span class="trunc">(\w)</span>', shown) == names


def test_a_column_shows_its_own_aggregate_and_the_page_has_one_for_all(web, experiment):
    log(make_run(experiment), "auc", [0.25, 0.75, 0.5])
    page = web.get(f"{BASE}?cols=m~auc,m~auc@min&agg=max").content.decode()
    assert re.findall(r'<td class="n[^"]*">([^<]*)</td>', page) == ["0.7500", "0.2500"]
    assert re.findall(r"↑<small>(\w+)</small>", page) == ["max", "min"]
