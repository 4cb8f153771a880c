"""The filter field of the runs table: chips, the wrong word, suggestions, cells that filter."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from experiments import metricstore
from experiments.services import runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/experiments/churn-gbm/"


@pytest.fixture
def experiment():
    return make_experiment(make_project())


@pytest.fixture
def web(experiment):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=experiment.project))
    return client


@pytest.fixture
def zoo(experiment):
    for i, solver in enumerate(("lbfgs", "saga", "a b")):
        run = make_run(experiment, f"r{i}", params={"depth": str(4 + i), "solver": solver}, tags={"team": "red"})
        log(run, "roc_auc", [0.5 + i / 10])
        log(run, "val loss", [1.5])
        runs.finish(writer(experiment.project), run=run, state="finished")
    metricstore.fold_experiment(experiment.pk)


def body(web, query=""):
    return web.get(PAGE + query).content.decode()


def chips(html):
    return re.findall(r'data-text="([^"]*)"', html)


def suggestions(web, text, at=None):
    place = len(text) if at is None else at
    html = web.get(f"{PAGE}complete/", {"text": text, "at": place}).content.decode()
    return re.findall(r'data-insert="([^"]*)" data-start="(\d+)"><span>([^<]*)</span><small>([^<]*)<', html)


@pytest.mark.usefixtures("zoo")
def test_a_group_is_one_chip_and_what_is_added_keeps_its_meaning(web):
    typed = web.get(f"{PAGE}?q=depth:4 or depth:5&add=roc_auc>0.55")
    shown = body(web, typed["Location"].removeprefix(PAGE))
    assert chips(shown) == ["(depth:4 or depth:5)", "roc_auc&gt;0.55"]
    assert re.findall(r'class="trunc">(r\d)<', shown) == ["r1"]


@pytest.mark.usefixtures("zoo")
def test_a_chip_goes_back_into_the_field(web):
    shown = body(web, "?q=depth>4 roc_auc>0.1&edit=1&sort=params.depth ASC")
    assert chips(shown) == ["roc_auc&gt;0.1"]
    assert re.search(r'id="q"[^>]* value="depth&gt;4"', shown)
    assert re.search(r'name="q" value="roc_auc&gt;0.1" data-rest>', shown)
    assert '<input type="hidden" name="sort" value="params.depth ASC">' in shown
    assert chips(body(web, "?q=depth>4&edit=9")) == ["depth&gt;4"]


@pytest.mark.usefixtures("zoo")
def test_the_wrong_word_is_marked_and_the_last_result_stays(web):
    shown = body(web, "?q=depth>5&add=roc_auc:high")
    assert "r2" in shown
    assert 'class="trunc">r0' not in shown
    assert chips(shown) == ["depth&gt;5"]
    wrong = body(web, "?q=depth>5&add=state:gone or took>1h")
    assert "<code>state:<mark>gone</mark> or took&gt;1h</code>" in wrong
    assert 'data-start="6" data-stop="10"' in wrong
    assert "There is no state &#x27;gone&#x27;." in wrong


@pytest.mark.usefixtures("zoo")
def test_a_filter_that_nothing_passes_says_what_hides_most(web):
    shown = body(web, "?q=depth:4+team:red+solver:saga&limit=50")
    assert "It hides 3 runs." in shown
    offers = re.findall(r'<a class="btn[^"]*" href="([^"]*)"><svg(?:(?!</a>).)*</svg>(Without [^<]*)<', shown)
    assert [words for _, words in offers] == [
        "Without depth:4, 1 run", "Without solver:saga, 1 run", "Without team:red"
    ]  # fmt: skip
    assert chips(body(web, offers[0][0].removeprefix(PAGE).replace("&amp;", "&"))) == ["team:red", "solver:saga"]
    assert "limit=50" in offers[0][0]


@pytest.mark.usefixtures("zoo")
def test_the_last_chip_removed_shows_all_even_with_a_default(web):
    shown = body(web, "?q=depth>4")
    assert f'href="{PAGE}?tab=all" aria-label="Remove filter depth&gt;4"' in shown


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sta", [("state:", "state"), ("started:", "started")]),
        ("roc", [("roc_auc", "roc_auc")]),
        ("roc_auc", [("roc_auc:", "roc_auc:"), ("roc_auc&gt;", "roc_auc&gt;")]),
        ("val", [("metrics.&quot;val loss&quot;", "val loss")]),
        ("params.so", [("params.solver", "solver")]),
        ("solver:s", [("saga", "saga"), ("lbfgs", "lbfgs")]),
        ("solver:", [("&quot;a b&quot;", "a b"), ("lbfgs", "lbfgs"), ("saga", "saga")]),
        ("tags.team:", [("red", "red")]),
        ("tag:te", [("team", "team")]),
        ("state:f", [("finished", "finished"), ("failed", "failed")]),
        ("user:", [("me", "me")]),
        ("roc_auc>", [("0.5", "0.5"), ("0.7", "0.7")]),
        ("started:", [("&lt;1d", "&lt;1d")]),
        ("started:<", [("1d", "1d"), ("7d", "7d")]),
        ("took>1", [("1m", "1m"), ("10m", "10m"), ("1h", "1h")]),
        ("nothing:", []),
    ],
)
def test_what_can_stand_next(web, text, expected):
    found = [(insert, label) for insert, _, label, _ in suggestions(web, text)]
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


@pytest.mark.usefixtures("zoo")
def test_suggestions_tell_types_and_counts(web):
    notes = {label: note for _, _, label, note in suggestions(web, "")}
    assert notes["state"] == "queued, running, finished, failed, cancelled"
    assert {label: note for _, _, label, note in suggestions(web, "o")}["solver"] == "parameter, 3 values"
    assert suggestions(web, "roc")[0][3] == "metric, 0.5 to 0.7"
    assert suggestions(web, "tags.te")[0][3] == "tag, 1 value"
    assert suggestions(web, "state:fin")[0][1:] == ("6", "finished", "3 runs")
    assert suggestions(web, "depth:4 solver:sag")[0][1] == "15"
    assert suggestions(web, "sta auc>1", at=3)[0][:2] == ("state:", "0")


@pytest.mark.parametrize("count", [1, 12])
def test_suggestions_cost_the_same_queries_for_any_number_of_names(web, experiment, count):
    for i in range(count):
        make_run(experiment, params={f"alpha_{i}": "1"}, tags={f"alpha_t{i}": "1"})
    suggestions(web, "alp")
    with CaptureQueriesContext(connection) as seen:
        assert len(suggestions(web, "alp")) == 2 * min(count, 6)
    assert len(seen) == 17


@pytest.mark.parametrize(
    "query", ["?at=x&text=a", "?text=%00", "?at=99999", "?at=-1&text=a", "", "?text=" + "a" * 5000]
)
def test_wrong_input_is_answered(web, query):
    assert web.get(f"{PAGE}complete/{query}").status_code in (200, 400)


@pytest.mark.usefixtures("zoo")
def test_cells_say_what_a_filter_by_them_compares(web):
    shown = body(web, "?cols=m~roc_auc,m~val loss,m~roc_auc@max,p~solver,p~depth,t~team,c~user,c~data,c~state")
    keys = dict.fromkeys(re.findall(r'data-filter-key="([^"]*)"( data-filter-number)?', shown))
    assert list(keys) == [
        ("metrics.roc_auc", " data-filter-number"), ("metrics.&quot;val loss&quot;", " data-filter-number"),
        ("params.solver", ""), ("params.depth", " data-filter-number"), ("tags.team", ""), ("user", ""), ("data", ""),
        ("state", ""),
    ]  # fmt: skip
    cells = re.findall(r'data-filter-(?:value="([^"]*)"|text>([^<]*)<)', shown.split("<tbody>")[1].split("</tr>")[0])
    values = [value or text for value, text in cells]
    assert values[:2] == ["0.7", "1.5"]
    assert ("", "a b") in cells
    assert "finished" in values


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("metrics.roc_auc:0.7", ["r2"]), ("-metrics.roc_auc:0.7", ["r1", "r0"]), ("metrics.roc_auc>=0.6", ["r2", "r1"]),
        ('params.solver:"a b"', ["r2"]), ("data IS NULL", ["r2", "r1", "r0"]), ('metrics."val loss"<=1', []),
    ],
)  # fmt: skip
def test_what_a_cell_asks_for_is_found(web, condition, left):
    answer = web.get(PAGE, {"add": condition}, follow=True).content.decode()
    assert re.findall(r'class="trunc">(r\d)<', answer) == left
    assert chips(answer) == [escape(condition)]
