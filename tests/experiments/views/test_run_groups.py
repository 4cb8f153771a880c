"""Runs in groups: on the page and over the REST API."""

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.metricstore import kept, stepping
from experiments.queries import groups
from experiments.services import runs
from projects.models import User
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
BASE = "/p/churn/experiments/churn-gbm/"


@pytest.fixture
def experiment():
    found = make_experiment(make_project())
    for at, (depth, auc, state) in enumerate(
        [
            ("4", 0.5, "finished"),
            ("4", 0.7, "finished"),
            ("8", 0.8, "finished"),
            ("8", 0.1, "failed"),
            (None, 0.9, "finished"),
        ]
    ):
        run = make_run(found, f"r{at}", params={"depth": depth} if depth else {}, tags={"team": "ab"[at % 2]})
        log(run, "auc", [auc])
        runs.finish(writer(found.project), run=run, state=state)
    return found


@pytest.fixture
def web(experiment):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=experiment.project))
    return client


@pytest.fixture
def ask(web, experiment):
    """Ask the API."""
    ana = User.objects.get(username="ana")
    client = Client(headers={"Authorization": f"Bearer {make_token(ana, experiment.project, ['read'])}"})
    return lambda query: client.get(f"/api/v1/projects/churn/runs/?experiment=churn-gbm&{query}")


def rows(answer):
    body = answer.content.decode().split("<tbody>")[1].split("</tbody>")[0]
    found = [re.sub(r"<(svg|span class=\"vh\").*?</(svg|span)>", "", row) for row in body.split("<tr")[1:]]
    return [
        [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.split(r"</t[dh]>", row.split(">", 1)[1])[:-1]]
        for row in found
    ]


def test_groups_are_counted_with_best_mean_and_interval(web):
    answer = web.get(f"{BASE}?group=p~depth&cols=m~auc")
    assert rows(answer) == [
        ["not set", "1", "0.9000", "0.9000"],
        ["8", "2 , 1 failed", "0.8000", "0.8000 n = 1"],
        ["4", "2", "0.7000", "0.6000 ± 1.2706"],
    ]
    assert "1 to 3 of 3 groups" in answer.content.decode()


def test_the_best_of_all_groups_is_marked_not_that_of_a_page(web, monkeypatch):
    def marked(**asked):
        page = web.get(BASE, {"group": "p~depth", "cols": "m~auc", **asked}).content.decode()
        return re.findall(r'<td class="n best">([^<]*)', page)

    assert marked() == ["0.9000", "0.9000"]
    monkeypatch.setitem(groups.groups_of_runs.__kwdefaults__, "limit", 2)
    assert marked() == ["0.9000"]  # the table begins with the best mean; of the best values others may be better
    assert marked(skip="2") == marked(sort="group ASC") == []


def test_groups_of_long_values_are_told_apart(web, experiment):
    for last in ("a", "b"):
        make_run(experiment, params={"columns": "column," * 40 + last})
    page = web.get(BASE, {"group": "p~columns", "cols": "m~auc", "q": "columns IS NOT NULL"})
    assert {row[0][-3:] for row in rows(page)} == {"n,a", "n,b"}


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("group ASC", ["4", "8", "not set"]),
        ("runs DESC", ["4", "8", "not set"]),
        ("best metrics.auc ASC", ["4", "8", "not set"]),
        ("mean metrics.auc DESC", ["not set", "8", "4"]),
        ("metrics.none DESC", ["not set", "8", "4"]),
    ],
)
def test_groups_are_sorted_by_what_they_show(web, sort, first):
    assert [row[0] for row in rows(web.get(BASE, {"group": "p~depth", "cols": "m~auc", "sort": sort}))] == first


def test_two_groupings_a_filter_and_the_least_value(web):
    answer = web.get(
        BASE, {"group": ["t~team", "p~depth"], "q": "team:a", "cols": "m~auc", "agg": "min", "sort": "group2 DESC"}
    )
    assert [row[:3] for row in rows(answer)] == [["a", "8", "1"], ["a", "4", "1"], ["a", "not set", "1"]]


def test_a_group_opens_to_its_runs_and_leads_to_its_filter(web):
    answer = web.get(BASE, {"group": "p~depth", "cols": "m~auc", "open": '["4"]'})
    assert [row[0].split()[-1] for row in rows(answer)] == ["set", "8", "4", "r1", "r0"]
    link = re.search(r'class="trunc val" href="([^"]*)">4<', answer.content.decode())[1].replace("&amp;", "&")
    shown = web.get(f"{BASE}{link}").content.decode()
    assert re.findall(r'<span class="trunc">(r\d)</span>', shown) == ["r1", "r0"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("group=p~depth,t~team,p~seed", "at most 2 things"),
        ("group=x", "cannot be grouped by"),
        ("sort=metrics.auc%40step:9999999999999999999", "at a step of up to 18 digits"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_runs_stay(web, query, words):
    page = web.get(f"{BASE}?{query}").content.decode()
    assert words in page
    assert len(re.findall(r'<span class="trunc">r\d</span>', page)) == 5


def test_a_group_of_odd_values_is_shown_with_a_link_where_the_language_can_say_it(web, experiment):
    for value in ("it's", "\"'", "a,b"):
        make_run(experiment, params={"a b/c": value})
    page = web.get(BASE, {"group": "p~a b/c", "q": "-state:finished -state:failed"})
    found = re.findall(r'class="trunc val"( href="[^"]*")?>([^<]*)<', page.content.decode())
    assert sorted(name for _, name in found) == ["&quot;&#x27;", "a,b", "it&#x27;s"]


def test_the_choices_of_grouping_are_listed(web):
    page = web.get(f"{BASE}columns/?part=groups&group=p~depth").content.decode()
    assert re.findall(r'<option value="([^"]*)"( selected)?>', page) == [
        ("", ""), ("p~depth", " selected"), ("t~team", ""), ("", ""), ("p~depth", ""), ("t~team", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
def test_groups_cost_the_same_queries_for_any_number(web, experiment, count):
    for at in range(count):
        make_run(experiment, params={"depth": str(20 + at)})
    web.get(f"{BASE}?group=p~depth")
    with CaptureQueriesContext(connection) as seen:
        web.get(f"{BASE}?group=p~depth")
    assert len(seen) == 34


def test_at_a_step_runs_show_what_they_had_there(web, experiment):
    log(make_run(experiment, "long"), "auc", [0.1, 0.2, 0.3])
    page = web.get(f"{BASE}?cols=m~auc&agg=step:1&q=long").content.decode()
    assert re.findall(r'<td class="n[^"]*">([^<]*)</td>', page) == ["0.2000"]
    assert "Metrics show at step 1." in page


@pytest.fixture
def steps(experiment):
    """Three runs whose order at step 1 is that of no other aggregate; a fourth that never came so far."""
    for name, values in (("ab", [0.2, 0.3, 0.9]), ("bc", [0.9, 0.2, 0.1]), ("cd", [0.1, 0.6, 0.2]), ("de", [0.99])):
        run = make_run(experiment, name, params={"depth": "16" if name < "cd" else "32"})
        log(run, "auc", values)
        runs.finish(writer(experiment.project), run=run, state="finished")


@pytest.mark.parametrize("query", ["sort=metrics.auc%40step:1+DESC", "sort=metrics.auc+DESC&agg=step:1"])
@pytest.mark.usefixtures("steps")
def test_a_column_at_a_step_sorts_all_runs_page_by_page(web, ask, query):
    answer = web.get(f"{BASE}?q=depth>10&cols=m~auc@step:1&{query}")
    page = answer.content.decode()
    assert re.findall(r'<span class="trunc">(\w+)</span>', page) == ["cd", "ab", "bc", "de"]
    assert 'aria-sort="descending"' in page
    assert re.findall(r'<td class="[^"]*best[^"]*"[^>]*>(?:<svg.*?</svg>)?([\d.]+)<', page) == ["0.6000"]
    assert "(at step 1), best first" in page
    body = ask(f"q=depth>10&limit=1&{query}").json()
    names = [run["name"] for run in body["results"]]
    while body["next"]:
        cursor = parse_qs(urlsplit(body["next"]).query)["cursor"][0]
        body = ask(f"q=depth>10&limit=1&{query}&cursor={cursor}").json()
        names += [run["name"] for run in body["results"]]
    assert names == ["cd", "ab", "bc", "de"]


@pytest.mark.usefixtures("steps")
def test_groups_at_a_step_count_all_runs_that_came_so_far(web, ask):
    query = "q=depth>10&group=p~depth&cols=m~auc&agg=step:1"
    opened = quote('["16"]')
    answer = web.get(f"{BASE}?{query}&open={opened}")
    assert rows(answer) == [
        ["32", "2", "0.6000", "0.6000 n = 1"],
        ["16", "2", "0.3000", "0.2500 ± 0.6353"],
        [*rows(answer)[2][:2], "0.3000", ""],
        [*rows(answer)[3][:2], "0.2000", ""],
    ]
    assert "best at step 1" in answer.content.decode()
    (high, low) = ask(query).json()["groups"]
    assert high["metrics"][0] == {"name": "auc", "agg": "step:1", "count": 1, "best": 0.6, "mean": 0.6,
                                  "deviation": None, "half_width": None}  # fmt: skip
    assert (low["metrics"][0]["count"], low["metrics"][0]["best"]) == (2, 0.3)


@pytest.mark.parametrize(
    ("query", "told", "wanted"),
    [
        ("sort=metrics.auc%40step:1+DESC", "Then the table is sorted by them", ["cd", "ab", "bc", "de"]),
        ("group=p~depth&agg=step:1", "Then the groups are shown here", None),
        ("cols=m~auc@step:1&sort=started", "Then the best one is marked", ["ab", "bc", "cd", "de"]),
    ],
)
@pytest.mark.usefixtures("steps")
def test_values_at_a_step_of_many_runs_are_read_by_and_by(web, monkeypatch, query, told, wanted):
    """Nine runs are read for the filter's four, four a call: the page asks again by itself until all are."""
    monkeypatch.setattr(stepping, "MOST", 3)
    monkeypatch.setattr(kept, "READ_A_CALL", 4)
    address = f"{BASE}?limit=50&q=depth>10&{query}"
    for done in (4, 8):
        page = web.get(address, headers={"HX-Target": "runs"}).content.decode()
        assert f"The values at step 1 are being read: {done} of 9 runs so far. {told}" in page
        assert 'hx-trigger="every 1s"' in page
        assert len(re.findall(r'<span class="trunc">\w+</span>', page)) == 4
    answer = web.get(address)
    page = answer.content.decode()
    assert "being read" not in page
    assert 'hx-trigger="every 1s"' not in page
    if wanted is None:
        assert [row[:2] for row in rows(answer)] == [["32", "2"], ["16", "2"]]
        return
    assert re.findall(r'<span class="trunc">(\w+)</span>', page) == wanted
    if "cols" in query:
        assert re.findall(r'<td class="[^"]*best[^"]*"[^>]*>(?:<svg.*?</svg>)?([\d.]+)<', page) == ["0.6000"]


@pytest.mark.usefixtures("steps")
def test_a_program_is_told_to_ask_again_and_a_file_is_read_whole(web, ask, monkeypatch):
    monkeypatch.setattr(stepping, "MOST", 3)
    monkeypatch.setattr(kept, "READ_A_CALL", 4)
    query = "q=depth>10&sort=metrics.auc%40step:1+DESC"
    told = ask(query)
    assert (told.status_code, told["Retry-After"]) == (503, "1")
    assert {n: told.json()[n] for n in ("code", "field", "got", "limit")} == {
        "code": "values_being_read", "field": "sort", "got": 4, "limit": 9,
    }  # fmt: skip
    text = b"".join(web.get(f"{BASE}export.csv?{query}").streaming_content).decode()
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == ["cd", "ab", "bc", "de"]
    assert [run["name"] for run in ask(query).json()["results"]] == ["cd", "ab", "bc", "de"]
    assert ask("group=p~depth&cols=m~auc&agg=step:1").json()["groups"][0]["metrics"][0]["count"] == 1


def test_an_order_by_what_no_run_has_is_refused(ask):
    for sort, word in (("metrics.nope", "metric"), ("params.nope DESC", "parameter"), ("-tags.nope", "tag")):
        refused = ask(f"sort={sort}")
        assert (refused.status_code, refused.json()["field"]) == (400, "sort")
        assert refused.json()["message"] == f"No run here has the {word} 'nope'."
    assert ask("sort=metrics.auc").status_code == 200
