"""What an address asks for and cannot have is said, with its field; the page shows the rest."""

import re
from html import unescape

import pytest
from django.test import Client

from experiments.services import runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

RUNS = "/p/churn/experiments/churn-gbm/"


@pytest.fixture
def web(db):
    experiment = make_experiment(make_project())
    for depth in (3, 4):
        run = make_run(experiment, params={"depth": str(depth)})
        log(run, "auc", [depth / 10])
        runs.finish(writer(experiment.project), run=run, state="finished")
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=experiment.project))
    return client


def faults(answer):
    assert answer.status_code == 200
    found = re.search(
        r'<div class="note warn addressfaults".*?</svg><div>(.*?)</div>', answer.content.decode(), re.DOTALL
    )
    return re.sub(r"<[^>]+>", "\n", unescape(found[1])) if found else ""


TABLE = {
    "cols=m~auc,nonsense,x~y": "cols: 'nonsense', 'x~y' are no columns",
    "col=c~nothing": "cols: 'c~nothing' is no column",
    "cols=m~auc,m~nosuch,p~depth": "cols: no run here has the metric 'nosuch'.",
    "cols=p~gone,p~lost,t~no": "cols: no run here has the parameters 'gone', 'lost'.",
    f"cols={','.join(f'm~auc@step:{n}' for n in range(41))}": "cols: At most 40 columns.",
    "agg=median": "agg: 'median' is no aggregate",
    "agg=step&step=x": "agg: 'step:x' is no aggregate",
    "limit=7": "limit: '7' is no size of a page (50, 100, 200); 100 rows are shown.",
    "sort=nosuch": "sort: Runs cannot be ordered by 'nosuch'",
    "sort=metrics.nosuch+DESC": "sort: no run here has the metric 'nosuch'.",
    "group=q~depth": "group: Runs cannot be grouped by 'q~depth'",
    "group=p~depth&sort=metrics.auc+DESC": "sort: Groups cannot be ordered by 'metrics.auc DESC'",
    "group=p~depth&sort=group2+ASC": "sort: Groups cannot be ordered by 'group2 ASC'",
    "group=p~depth&limit=x&agg=no": "limit: 'x' is no size",
    "group=p~depth&skip=abc": "skip: 'abc' is no number of groups.",
    "cursor=zzz": "cursor: it is of another order",
}
GOOD = (
    "", "cols=m~auc,!p~depth,c~user,m~auc~&agg=best&limit=50&sort=metrics.auc+DESC", "agg=step&step=3",
    "group=p~depth&cols=m~auc&sort=best+metrics.auc+DESC", "group=p~depth,e&sort=group2+DESC",
    "group=p~depth&sort=runs+ASC",
)  # fmt: skip
COMPARISON = {
    "x=banana": "x: 'banana' is none of step, rel, time.", "y=square": "y: 'square' is none of lin, log.",
    "smooth=120": "smooth: '120' is no whole number from 0 to 95.",
    "sx=m.nosuch": "sx: these runs do not differ in 'm.nosuch'",
    "axes=p.depth,p.no": "axes: these runs do not differ in 'p.no'",
    "group=m.auc": "group: these runs do not differ in 'm.auc'",
    "im=nosuch": "im: no run here has the metric 'nosuch'.",
    "dpage=abc": "dpage: 'abc' is no number of a page.",
    "sx=p.depth&sy=m.auc&group=p.depth&im=auc": "",
    "m=auc,nosuch": "m: None of these runs has 'nosuch'.", "x=rel&y=log&smooth=50&m=auc": "",
}  # fmt: skip
LISTS = {
    "experiments/?sort=colour": "sort: there is no order 'colour'. Orders: activity, name, runs, created.",
    "experiments/?cursor=zzz": "cursor: it is of another order",
    "datasets/?q=foo:bar": "q: 'foo:bar' is looked for as text. Fields: tag:, owner:, column:, ",
    "datasets/?q=checks:bad": "q: checks: is one of failed, error, none, passed; not 'bad'.",
    "datasets/?q=tag:eu+owner:me+checks:failed+is:starred+http://a": "",
    "datasets/?sort=colour": "sort: there is no order 'colour'. Orders: name,",
    "jobs/?state=lost": "state: there is no state 'lost' of a job.",
    "trash/?kind=models": "kind: the trash holds experiments, runs, datasets; not 'models'.",
}


def test_a_runs_table_says_what_its_address_cannot_have(web):
    for query, words in TABLE.items():
        assert words in faults(web.get(f"{RUNS}?{query}")), query
    for query in GOOD:
        assert not faults(web.get(f"{RUNS}?{query}")), query


def test_a_comparison_says_what_its_address_cannot_have(web):
    for query, words in COMPARISON.items():
        said = faults(web.get(f"{RUNS}compare/?q=auc>0&{query}"))
        assert words in said if words else not said, query


def test_lists_say_what_their_address_cannot_have(web):
    for page, words in LISTS.items():
        said = faults(web.get(f"/p/churn/{page}"))
        assert words in said if words else not said, page


def test_a_file_is_never_of_something_else(web):
    for query, field in {"agg=median": "agg", "sort=nosuch": "sort", "q=auc>": "value is missing"}.items():
        answer = web.get(f"{RUNS}export.csv?{query}")
        assert answer.status_code == 400
        assert field in answer.content.decode()


def test_charts_compare_in_the_order_of_the_table(web):
    page = web.get(f"{RUNS}?q=auc>0&sort=params.depth+ASC&agg=max").content.decode()
    link = unescape(re.search(r'href="([^"]*/compare/[^"]*)"', page)[1])
    assert link.endswith("/compare/?q=auc%3E0&sort=params.depth+ASC&agg=max")
    assert unescape(re.search(r'data-every="([^"]*)"', page)[1]) == f"{link}&all=1"
    order = [
        re.findall(r"/runs/(\d+)/", web.get(url).content.decode())[:2] for url in (link, link.replace("ASC", "DESC"))
    ]
    assert order[0] == order[1][::-1] != order[1]
    assert "sort: Runs cannot be ordered by" in faults(web.get(f"{RUNS}compare/?q=auc>0&sort=nosuch"))
    assert "agg: 'mean' is no aggregate" in faults(web.get(f"{RUNS}compare/?q=auc>0&sort=auc&agg=mean"))
