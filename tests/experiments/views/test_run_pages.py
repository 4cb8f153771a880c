"""Pages of experiments, runs, artifacts and comparisons."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import Artifact, BulkAction, Run
from experiments.services import artifacts, runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
BASE = "/p/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    return client


def make_zoo(experiment, count=3):
    made = []
    for i in range(count):
        run = make_run(experiment, f"r{i}", params={"depth": str(4 + i), "seed": "7"}, tags={"sweep": ""})
        log(run, "roc_auc", [0.5, 0.6 + i / 10])
        log(run, "f1", [0.4])
        made.append(runs.finish(writer(experiment.project), run=run, state="finished"))
    return made


def names(answer):
    return re.findall(r'<span class="trunc">(r\d)</span>', answer.content.decode())


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_experiments_are_listed_and_made(web, experiment):
    make_run(experiment)
    assert "churn-gbm" in text(web.get(f"{BASE}/experiments/"))
    made = web.post(f"{BASE}/experiments/", {"name": "second"})
    assert (made.status_code, made["Location"]) == (302, f"{BASE}/experiments/second/")
    refused = web.post(f"{BASE}/experiments/", {"name": "x" * 501})
    assert (refused.status_code, "at most 500" in text(refused)) == (400, True)


def test_the_table_is_best_first_and_marks_the_best(web, experiment):
    make_zoo(experiment)
    answer = web.get(f"{BASE}/experiments/churn-gbm/")
    assert names(answer) == ["r2", "r1", "r0"]
    assert re.findall(r'class="n g0 best"[^>]*>.*?0\.(\d+)<', answer.content.decode()) == ["8000"]


def test_filters_become_chips_and_can_be_removed(web, experiment):
    make_zoo(experiment)
    typed = web.get(f"{BASE}/experiments/churn-gbm/?q=depth>4&add=roc_auc>0.65&sort=params.depth ASC")
    assert typed["Location"] == f"{BASE}/experiments/churn-gbm/?sort=params.depth+ASC&q=depth%3E4+roc_auc%3E0.65"
    answer = web.get(typed["Location"])
    assert names(answer) == ["r1", "r2"]
    assert re.findall(r'class="chip" data-text="([^"]*)"', answer.content.decode()) == ["depth&gt;4", "roc_auc&gt;0.65"]


def test_a_wrong_filter_keeps_the_last_good_one(web, experiment):
    make_zoo(experiment)
    answer = web.get(f"{BASE}/experiments/churn-gbm/?q=depth>5&add=depht>3")
    assert answer.status_code == 200
    assert names(answer) == ["r2"]
    assert "called &#x27;depht&#x27;. The filter before it still holds." in answer.content.decode()


def test_columns_and_only_differences(web, experiment):
    make_zoo(experiment)
    shown = web.get(f"{BASE}/experiments/churn-gbm/?cols=m~f1,p~seed").content.decode()
    assert re.findall(r'<a class="sort"[^>]*>([^<]*)<', shown) == ["Run", "F1 ↑", "seed"]
    different = web.get(f"{BASE}/experiments/churn-gbm/?cols=m~f1,m~roc_auc,p~seed,p~depth&only=1").content.decode()
    assert re.findall(r'<a class="sort"[^>]*>([^<]*)<', different) == ["Run", "ROC AUC ↑", "depth"]


def test_tags_beside_a_run_say_their_values(web, experiment):
    make_run(experiment, tags={"sweep": "sweep-07", "candidate": "yes"})
    make_run(experiment, tags={"fold": "3", "source": "a-very-long-value-of-a-tag"})
    page = web.get(f"{BASE}/experiments/churn-gbm/").content.decode()
    assert re.findall(r'<span class="tag line"(?: title="([^"]*)")?>([^<]*)<', page) == [
        ("fold: 3", "fold 3"), ("source: a-very-long-value-of-a-tag", "a-very-long-value-of…"),
        ("", "candidate"), ("sweep: sweep-07", "sweep-07"),
    ]  # fmt: skip


def test_what_runs_are_ordered_or_filtered_by_has_a_column(web, experiment):
    for run in make_zoo(experiment):
        for name in ("auc", "map", "ndcg", "psnr", "recall", "zeta"):
            log(run, name, [0.5])

    def heads(query):
        page = web.get(f"{BASE}/experiments/churn-gbm/?{query}").content.decode()
        return [re.sub(r"[ ↑↓]", "", h) for h in re.findall(r'data-c="m~([^"~@]*)', page)]

    usual = heads("tab=all")
    assert (usual[0], len(usual), "zeta" in usual) == ("roc_auc", 5, False)  # one of them the curve of the first
    asked = heads("sort=metrics.zeta DESC&q=ndcg>0 (psnr>9 or recall>0)")
    assert [*dict.fromkeys(asked)] == ["roc_auc", "zeta", "ndcg", "psnr"]
    assert heads("q=f1:0.4&cols=") == usual
    once = make_run(make_experiment(experiment.project, "once"))
    log(once, "auc", [0.5])
    page = web.get(f"{BASE}/experiments/once/").content.decode()
    assert ("auc curve" in page, 'data-c="m~auc"' in page) == (False, True)  # a curve has more than one point


def test_the_list_of_experiments_ranks_by_the_same_metric_as_the_table(web, experiment):
    run = make_run(experiment)
    for name, value in (("val_loss", 0.25), ("auc", 0.75)):
        log(run, name, [value])
    assert "auc ↑ 0.7500" in text(web.get(f"{BASE}/experiments/"))
    assert "primary metric auc ↑" in text(web.get(f"{BASE}/experiments/churn-gbm/"))


def test_pages_of_the_table_follow_one_another(web, experiment):
    for i in range(60):
        make_run(experiment, f"x{i}")
    first = web.get(f"{BASE}/experiments/churn-gbm/?limit=50").content.decode()
    following = re.search(r'rel="next" href="(\?[^"]*)"', first).group(1).replace("&amp;", "&")
    second = web.get(f"{BASE}/experiments/churn-gbm/{following}").content.decode()
    seen = re.findall(r'class="trunc">(x\d+)<', first) + re.findall(r'class="trunc">(x\d+)<', second)
    assert sorted(seen) == sorted(f"x{i}" for i in range(60))


@pytest.mark.parametrize("count", [1, 3])
def test_the_table_costs_the_same_queries_for_any_number_of_runs(web, experiment, count):
    make_zoo(experiment, count)
    web.get(f"{BASE}/experiments/churn-gbm/")
    with CaptureQueriesContext(connection) as seen:
        web.get(f"{BASE}/experiments/churn-gbm/")
    assert len(seen) == 41


@pytest.mark.parametrize("count", [1, 3])
def test_comparing_costs_the_same_queries_for_any_number_of_runs(web, experiment, count):
    ids = ",".join(str(r.pk) for r in make_zoo(experiment, count))
    web.get(f"{BASE}/experiments/churn-gbm/compare/?runs={ids}")
    with CaptureQueriesContext(connection) as seen:
        web.get(f"{BASE}/experiments/churn-gbm/compare/?runs={ids}")
    assert len(seen) == 43


def test_chosen_runs_are_tagged_archived_and_restored(web, experiment):
    made = make_zoo(experiment)
    url = f"{BASE}/experiments/churn-gbm/bulk/"
    chosen = {"run": [made[0].pk, made[1].pk]}
    web.post(url, {**chosen, "action": "tag", "tag": "stage=candidate"})
    made[0].refresh_from_db()
    assert json.loads(made[0].tags) == {"sweep": "", "stage": "candidate"}
    web.post(url, {**chosen, "action": "archive", "back": "?sort=f1"})
    done = web.post(f"{BASE}/bulk/{BulkAction.objects.latest('pk').pk}/confirm/", {"back": "?sort=f1"})
    assert done["Location"].startswith(f"{BASE}/experiments/churn-gbm/?sort=f1&bulk=")
    assert names(web.get(f"{BASE}/experiments/churn-gbm/")) == ["r2"]
    assert names(web.get(f"{BASE}/experiments/churn-gbm/?deleted=1")) == ["r1", "r0"]
    web.post(url, {**chosen, "action": "restore"})
    away = web.post(f"{BASE}/bulk/{BulkAction.objects.latest('pk').pk}/confirm/", {"back": "//evil.example"})
    assert away["Location"].startswith(f"{BASE}/experiments/churn-gbm/?bulk=")
    assert Run.objects.active().count() == 3


def test_the_run_page_shows_facts_and_what_changed(web, experiment):
    made = make_zoo(experiment)
    page = text(web.get(f"{BASE}/runs/{made[0].pk}/"))
    assert f"Changed from {made[2].pk}" in page
    assert "−0.2000" in page
    curves = web.get(f"{BASE}/runs/{made[0].pk}/series/?key=roc_auc").json()
    assert (curves["settled"], curves["latest"]) == (True, {"roc_auc": 0.6})
    assert curves["runs"][0]["metrics"]["roc_auc"]["values"] == [0.5, 0.6]


def test_reports_of_a_training_are_drawn_and_odd_ones_are_named(web, experiment):
    run = make_run(experiment)
    by = writer(experiment.project)
    good = {"classes": ["no", "yes"], "matrix": [[8, 2], [1, 9]]}
    artifacts.store(by, owner=run, path="confusion_matrix.json", stream=[json.dumps(good).encode()])
    page = web.get(f"{BASE}/runs/{run.pk}/")
    assert re.findall(r'<td class="(h\d)"><b>(\d+)</b>', page.content.decode()) == [
        ("h4", "8"),
        ("h1", "2"),
        ("h1", "1"),
        ("h5", "9"),
    ]
    for count, size in ((3, "s"), (20, "l")):  # names of 20 rows would lie over one another in a low chart
        bars = json.dumps([{"feature": f"f{at}", "mean": 0.1, "std": 0.01} for at in range(count)])
        artifacts.store(by, owner=run, path="importance.json", stream=[bars.encode()])
        assert f'class="plot {size}" data-chart="bars"' in web.get(f"{BASE}/runs/{run.pk}/").content.decode()
    artifacts.store(by, owner=run, path="roc.json", stream=[b'{"curves": 3}'])
    artifacts.store(by, owner=run, path="importance.json", stream=[b"\xff"])
    assert "not in the shape of a report: importance.json, a report of unknown shape" in text(
        web.get(f"{BASE}/runs/{run.pk}/")
    )


def test_notes_and_tags_are_edited_and_mistakes_are_shown(web, experiment):
    run = make_run(experiment)
    assert web.post(f"{BASE}/runs/{run.pk}/notes/", {"name": "better", "notes": "Why."}).status_code == 302
    assert web.post(f"{BASE}/runs/{run.pk}/tags/", {"tag": "team = a"}).status_code == 302
    run.refresh_from_db()
    assert (run.name, run.notes, run.tags) == ("better", "Why.", '{"team":"a"}')
    web.post(f"{BASE}/runs/{run.pk}/tags/", {"drop": "team"})
    run.refresh_from_db()
    assert run.tags == "{}"
    wrong = web.post(f"{BASE}/runs/{run.pk}/tags/", {"tag": "#x"})
    assert (wrong.status_code, "may hold letters" in text(wrong)) == (422, True)
    assert web.post(f"{BASE}/runs/{run.pk}/notes/", {"name": ""}).status_code == 422


def test_a_viewer_reads_but_changes_nothing(project, experiment):
    run, client = make_run(experiment), Client()
    client.force_login(make_user("vic", role="viewer", project=project))
    assert client.get(f"{BASE}/runs/{run.pk}/").status_code == 200
    for path in ("notes/", "tags/", "archive/"):
        assert client.post(f"{BASE}/runs/{run.pk}/{path}", {"name": "x"}).status_code == 403
    outsider = Client()
    outsider.force_login(make_user("out"))
    assert outsider.get(f"{BASE}/runs/{run.pk}/").status_code == 404


@pytest.fixture
def files(experiment):
    run = make_run(experiment)
    by = writer(experiment.project)
    contents = {
        "a.html": b"<script>alert(1)</script>", "b.csv": b"x,y\n1,<b>\n", "c.json": b'{"a":1}', "d.png": b"\x89PNG",
        "e.bin": b"\0\1", "f.txt": b"\xff\xfe", "g.svg": b"<svg onload='x'/>",
    }  # fmt: skip
    for path, content in contents.items():
        artifacts.store(by, owner=run, path=path, stream=[content])
    return run


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a.html", '<iframe class="look" sandbox title='),
        ("b.csv", '<div class="cellbox">&lt;b&gt;</div>'),
        ("c.json", 'class="body jsontree"'),
        ("d.png", "d.png?as=image"),
        ("e.bin", "There is no viewer for application/octet-stream."),
        ("f.txt", "The file is not UTF-8 text. It can be downloaded."),
        ("g.svg", '<iframe class="look" sandbox title='),
    ],
)
def test_each_kind_of_file_has_its_viewer(web, files, path, shown):
    assert shown in web.get(f"{BASE}/runs/{files.pk}/artifacts/{path}").content.decode()


@pytest.mark.parametrize(
    ("path", "disposition", "frames"),
    [
        ("a.html", "attachment", "'none'"),
        ("a.html?as=frame", "inline", "'self'"),
        ("a.html?as=image", "attachment", "'none'"),
        ("d.png?as=image", "inline", "'none'"),
        ("c.json?as=frame", "attachment", "'none'"),
    ],
)
def test_nothing_a_run_stored_can_act_as_our_page(web, files, path, disposition, frames):
    answer = web.get(f"{BASE}/runs/{files.pk}/raw/{path}")
    assert answer["Content-Disposition"].split(";")[0] == disposition
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert policy.endswith(f"frame-ancestors {frames}")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_file_whose_bytes_are_gone_says_so(web, files):
    Artifact.objects.filter(path="c.json").update(sha256="0" * 64)
    assert "is not stored. It can be downloaded." in text(web.get(f"{BASE}/runs/{files.pk}/artifacts/c.json"))


def test_comparing_shows_only_what_differs_against_the_baseline(web, experiment):
    made = make_zoo(experiment)
    ids = ",".join(str(r.pk) for r in made)
    page = web.get(f"{BASE}/experiments/churn-gbm/compare/?runs={ids}&base={made[1].pk}").content.decode()
    rows = re.findall(r'<tr><th scope="row"[^>]*>([^<]*?) ?</th>', page)
    assert [r.strip() for r in rows] == ["ROC AUC ↑", "depth"]
    assert "1 of 2 parameters differ" in page
    everything = web.get(f"{BASE}/experiments/churn-gbm/compare/?runs={ids}&diff=0").content.decode()
    assert "seed" in everything
    assert len(re.findall(r'<li class="k\d">', page)) == 3


def test_the_compare_page_survives_any_address(web, experiment):
    make_zoo(experiment)
    for query in (
        "runs=x,,99999999999999999999",
        "runs=1&base=z&m=none&sx=p.no&axes=,&group=q",
        "q=bad>",
        "runs=999999",
        "orient=rows",
    ):
        assert web.get(f"{BASE}/experiments/churn-gbm/compare/?{query}").status_code == 200


def test_parts_of_a_run_have_addresses(web, project):
    run = make_run(make_experiment(project))
    shown = web.get(f"/p/churn/runs/{run.pk}/").content.decode()
    for part in ("metrics", "params", "logs", "system", "code"):
        answer = web.get(f"/p/churn/runs/{run.pk}/{part}/")
        assert (answer.status_code, answer["Location"]) == (302, f"/p/churn/runs/{run.pk}/#{part}")
        assert web.get(f"/p/churn/runs/99999/{part}/").status_code == 404
    assert 'id="params"' in shown
    assert web.get(f"/p/churn/runs/{run.pk}/nothing/").status_code == 404
