"""The compare page's data: curves of many runs, zoom, charts of single values, the difference table."""

import itertools
import json
import re

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments import charts, metricstore, queries
from experiments.metricstore import Window
from experiments.models import Run
from experiments.services import artifacts, runs
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
BASE = "/p/churn/experiments/churn-gbm/compare/"


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


def make_many(experiment, count, points=3):
    """Runs whose first is the worst; logged once and copied, since only reading is looked at."""
    made = [make_run(experiment, f"r{i}", params={"depth": str(i % 5), "kind": "ab"[i % 2]}) for i in range(count)]
    for i, run in enumerate(made):
        log(run, "roc_auc", [0.5 + (i + 1) / 10_000 + step / 100 for step in range(points)])
    return made


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def numbers(made):
    return ",".join(str(run.pk) for run in made)


def series(web, made, **more):
    return web.get(f"{BASE}series/", {"runs": numbers(made), **more})


def test_curves_come_in_the_order_of_colours(web, experiment):
    made = make_many(experiment, 2)
    found = series(web, made, m="roc_auc").json()
    assert [(r["id"], r["k"], r["dash"]) for r in found["runs"]] == [(made[0].pk, 1, 0), (made[1].pk, 2, 0)]
    assert found["runs"][0]["metrics"] == {"roc_auc": {"x": [0, 1, 2], "y": [0.5001, 0.5101, 0.5201], "total": 3}}
    assert found["labels"] == {"roc_auc": f"ROC AUC of 2 runs; run {made[1].pk} is best with 0.5202."}


@pytest.mark.parametrize(
    ("axis", "places"),
    [("rel", [0.0, 0.0167, 0.0333]), ("time", [1_760_000_000_000, 1_760_000_001_000, 1_760_000_002_000])],
)
def test_the_x_axis_may_be_time(web, experiment, axis, places):
    made = make_many(experiment, 1)
    Run.objects.filter(pk=made[0].pk).update(started_ms=1_760_000_000_000)
    assert series(web, made, m="roc_auc", x=axis).json()["runs"][0]["metrics"]["roc_auc"]["x"] == places


def test_long_curves_are_thinned_and_zoom_brings_the_points_back(web, experiment):
    run = make_run(experiment)
    values = [float(i % 7) for i in range(1000)]
    values[613] = 1000.0
    log(run, "loss", values)
    whole = series(web, [run], m="loss").json()["runs"][0]["metrics"]["loss"]
    assert (len(whole["x"]) <= 500, whole["total"], max(whole["y"])) == (True, 1000, 1000.0)
    part = series(web, [run], m="loss", **{"from": "600", "to": "620.5"}).json()["runs"][0]["metrics"]["loss"]
    assert part["x"] == list(range(599, 622))
    assert part["y"] == values[599:622]


@pytest.mark.parametrize(
    ("bounds", "field"),
    [({"from": "x", "to": "1"}, "from"), ({"from": "1", "to": "nan"}, "to"), ({"from": "5", "to": "1"}, "from")],
)
def test_wrong_ranges_are_refused_by_name(web, experiment, bounds, field):
    answer = series(web, make_many(experiment, 1), m="roc_auc", **bounds)
    assert (answer.status_code, field in answer.content.decode()) == (400, True)


def count_queries(web, address):
    web.get(address)
    with CaptureQueriesContext(connection) as seen:
        answer = web.get(address)
    assert answer.status_code == 200
    return len(seen), answer


@pytest.mark.parametrize(("part", "queries"), [("series/", (16, 16)), ("facts/", (24, 12))])
def test_a_thousand_runs_cost_no_more_queries_than_two(web, experiment, part, queries):
    made = make_many(experiment, 2)
    few, _ = count_queries(web, f"{BASE}{part}?runs={numbers(made)}&m=roc_auc")
    fresh = Run.objects.get(pk=made[0].pk)
    rows = [
        Run(project=fresh.project, experiment=experiment, name=f"x{i}", started_ms=fresh.started_ms + i,
            created_at=fresh.created_at, params=fresh.params, state="finished") for i in range(998)
    ]  # fmt: skip
    copies = Run.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        for table, columns in (
            ("runmetric", "key_id, experiment_id, value, is_nan, step, stamp_ms"),
            ("runparam", "key_id, experiment_id, value, number"),
            ("metricchunk", "key_id, experiment_id, points, first_step, last_step, data"),
        ):
            pattern = f"SELECT %s, {columns} FROM experiments_{table} WHERE run_id = %s"
            insert = f"INSERT INTO experiments_{table} (run_id, {columns}) {pattern}"
            cursor.executemany(insert, [[copy.pk, fresh.pk] for copy in copies])
    many, answer = count_queries(web, f"{BASE}{part}?runs={numbers([*made, *copies])}&m=roc_auc")
    assert (few, many) == queries  # around two runs the best others are looked for
    found = answer.json()
    rows = found["runs"] if part == "series/" else found["scatter"]["rows"]
    assert (len(rows), sum(r["k"] > 0 for r in rows)) == (1000, 6)


def test_many_runs_get_fewer_points_each(web, experiment, monkeypatch):
    monkeypatch.setattr("experiments.queries.panels.POINTS_AN_ANSWER", 40)
    made = make_many(experiment, 4, points=30)
    found = series(web, made, m="roc_auc").json()
    assert (found["points"], [len(r["metrics"]["roc_auc"]["x"]) for r in found["runs"]]) == (10, [10] * 4)


def test_more_than_sixteen_are_grey_until_chosen(web, experiment):
    made = make_many(experiment, 20)
    page = web.get(BASE, {"runs": numbers(made), "hi": numbers(made[3:5])})
    assert "18 of 20 runs are grey; 2 are coloured." in text(page)
    written = re.search(r'name="hi" value="([^"]*)"', page.content.decode())[1]
    again = web.get(BASE, {"runs": numbers(made), "hi": written})  # the form as the page fills it in
    assert "18 of 20 runs are grey; 2 are coloured." in text(again)
    found = series(web, made, m="roc_auc", hi=numbers(made[3:5])).json()
    assert [(r["id"], r["k"]) for r in found["runs"]][:3] == [(made[3].pk, 1), (made[4].pk, 2), (made[0].pk, 0)]


def test_runs_of_other_experiments_are_left_out_and_named(web, experiment, project):
    made = make_many(experiment, 2)
    foreign = make_run(make_experiment(project, "other"))
    several = f"/p/churn/runs/compare/?runs={foreign.pk}"
    for asked in ([*made, foreign], [foreign]):  # with others, and where nothing is left to compare
        page = web.get(BASE, {"runs": numbers(asked)})
        assert f"Run {foreign.pk} is not in churn-gbm. Compare runs of several experiments" in text(page)
    assert several in page.content.decode()
    assert "Compare 1 run" in text(web.get(several))


@pytest.mark.usefixtures("experiment")
def test_what_is_no_number_of_a_run_is_said(web):
    assert "&#x27;best&#x27; is no number of a run; write 2311,2304." in text(web.get(BASE, {"runs": "best"}))


def test_charts_of_single_values_say_what_they_show(web, experiment):
    made = make_many(experiment, 10)
    found = web.get(f"{BASE}facts/", {"runs": numbers(made), "sx": "p.depth", "group": "p.depth"}).json()
    assert found["scatter"]["label"] == f"ROC AUC by depth for 10 runs. Best is run {made[9].pk} with 0.521 at depth 4."
    assert found["boxes"]["label"] == "Spread of ROC AUC for 5 values of depth. The best median is 0.5208 at depth 4."
    assert [(d["label"], d["field"]) for d in found["parallel"]["dims"]] == [
        ("depth", "params.depth"), ("kind", "params.kind"), ("ROC AUC", "metrics.roc_auc")
    ]  # fmt: skip
    assert found["contour"] is None


def test_a_surface_is_drawn_where_runs_are_and_nowhere_else(web, experiment):
    made = []
    for depth, rate in itertools.product((1, 2, 9), repeat=2):
        made.append(make_run(experiment, params={"depth": str(depth), "rate": str(rate)}))
        log(made[-1], "roc_auc", [depth / 10 + rate / 100])
    asked = {"runs": numbers(made), "cx": "p.depth", "cy": "p.rate", "cz": "m.roc_auc"}
    found = web.get(f"{BASE}facts/", asked).json()["contour"]
    assert (found["xt"], found["yt"], found["zt"]) == ("depth", "rate", "ROC AUC")
    assert (found["low"], found["high"]) == (pytest.approx(0.11), pytest.approx(0.99))
    grid = np.array(found["z"], float)
    assert (grid.shape, grid[0, 0], grid[-1, -1]) == ((24, 24), pytest.approx(0.11), pytest.approx(0.99))
    assert np.isnan(grid[12, 12])  # between 2 and 9 nothing was tried
    assert found["label"].startswith("ROC AUC over depth and rate, interpolated between 9 runs.")
    assert web.get(f"{BASE}facts/", {**asked, "cy": "p.depth"}).json()["contour"] is None


def test_axes_are_what_every_run_has(web, experiment):
    made = [make_run(experiment, params={"algorithm": "ridge", "alpha": "1"}),
            make_run(experiment, params={"algorithm": "forest", "trees": "50"})]  # fmt: skip
    for run in made:
        log(run, "roc_auc", [0.9])
        log(run, "accuracy", [0.8])
    found = web.get(f"{BASE}facts/", {"runs": numbers(made)}).json()["parallel"]
    assert [d["field"] for d in found["dims"]] == ["params.algorithm", "metrics.accuracy", "metrics.roc_auc"]
    assert [r["id"] for r in found["rows"]] == [run.pk for run in made]


def test_what_the_ranges_keep_becomes_a_filter(web, experiment):
    make_many(experiment, 3)
    answer = web.get(BASE, {"runs": "1,2", "q": "kind:a", "keep": "params.depth>=2", "as": "filter", "m": "roc_auc"})
    assert answer["Location"] == f"{BASE}?q=kind%3Aa+params.depth%3E%3D2&m=roc_auc"


def test_deltas_have_signs_and_words(web, experiment):
    first = make_run(experiment, params={"depth": "4"})
    second = make_run(experiment, params={"depth": "6"})
    for run, auc, loss in ((first, 0.7, 0.3), (second, 0.8, 0.5)):
        log(run, "roc_auc", [auc])
        log(run, "log_loss", [loss])
        runs.finish(writer(experiment.project), run=run, state="finished")
    page = web.get(BASE, {"runs": numbers([first, second])}).content.decode()
    table = re.search(r'<table class="tbl diff">.*?</table>', page, re.DOTALL)[0]
    assert re.findall(r'class="delta (\w*)">(\S+?)(?: <span class="word">(\w+)</span>)?</span>', table) == [
        ("up", "+0.1000", "better"), ("down", "+0.2000", "worse"), ("", "+2", "")
    ]  # fmt: skip


def test_reading_many_points_stays_in_bounds(experiment, monkeypatch):
    monkeypatch.setattr(metricstore.bundles, "MOST_POINTS", 3 * 4096)
    run = make_run(experiment)
    for start in range(0, 40_960, 1000):
        stop = min(start + 1000, 40_960)
        batch = [("loss", float(step), 1_760_000_000_000 + step, step) for step in range(start, stop)]
        runs.log_batch(writer(experiment.project), run=run, metrics=batch)
    ((_, _, found),) = metricstore.bundle([run.pk], ["loss"], at_most=100)
    assert (found.total < 20_000, found.steps[0], found.steps[-1]) == (True, 0, 40_959)


def test_a_window_keeps_a_neighbour_on_each_side(experiment):
    run = make_run(experiment)
    log(run, "loss", [0.0, 1.0, 2.0, 3.0, 4.0])
    window = Window(1500, 2500, by_step=False, origins={run.pk: 1_760_000_000_000})
    ((_, _, found),) = metricstore.bundle([run.pk], ["loss"], at_most=100, window=window)
    np.testing.assert_array_equal(found.steps, [1, 2, 3])
    assert list(metricstore.bundle([run.pk], ["loss"], at_most=9, window=Window(7, 9))) == []


def test_hostile_names_stay_text(web, experiment):
    run = make_run(experiment, "</script><script>alert(1)</script>", params={"b": "<b>"})
    log(run, "roc_auc", [0.5])
    page = web.get(BASE, {"runs": run.pk}).content.decode()
    assert "<script>alert" not in page
    assert json.loads(series(web, [run], m="roc_auc").content)["runs"][0]["name"].endswith("</script>")


def test_a_view_of_the_page_is_saved_opened_and_changed(web, experiment):
    make_many(experiment, 3)
    given = {"page": "compare", "name": "By depth", "query": "q=depth>0&smooth=50&m=roc_auc", "shared": "1"}
    place = web.post("/p/churn/experiments/churn-gbm/views/", given)["Location"]
    assert place == f"{BASE}?q=depth%3E0&smooth=50&m=roc_auc&tab=1"
    page = web.get(place).content.decode()
    assert re.search(r'aria-current="page" title="Shared view of ana">\s*By depth', page)
    assert 'value="50"' in page
    assert web.get(f"{BASE}?view=1&smooth=70")["Location"].endswith("smooth=70&m=roc_auc&tab=1")
    assert "By depth" not in web.get("/p/churn/experiments/churn-gbm/").content.decode()


def test_evaluations_lie_over_one_another(web, experiment, project):
    made = make_many(experiment, 2)
    for run, auc in zip(made, (0.8, 0.9), strict=True):
        curve = {"class": "yes", "auc": auc, "fpr": [0.0, 0.2, 1.0], "tpr": [0.0, auc, 1.0]}
        store(run, "roc.json", {"curves": [curve]})
        store(run, "confusion_matrix.json", {"classes": ["no", "yes"], "matrix": [[8, 2], [1, 9]]})
    store(made[0], "calibration.json", {"curves": [{"class": "yes"}]})
    page = web.get(BASE, {"runs": numbers(made)}).content.decode()
    data = json.loads(re.search(r'<script id="d-evaluations"[^>]*>(.*?)</script>', page)[1])
    assert [(line["k"], line["y"]) for line in data["roc"]["lines"]] == [(1, [0.0, 0.8, 1.0]), (2, [0.0, 0.9, 1.0])]
    assert f"ROC of 2 runs; run {made[1].pk} is best with AUC 0.900." in page
    assert len(re.findall(r"<caption class=\"vh\">Confusion matrix of run", page)) == 2
    assert f"calibration.json of run {made[0].pk}" in page


@pytest.mark.parametrize(
    "spelling",
    [
        {"labels": ["no", "yes"], "matrix": [[8, 2], [1, 9]]}, {"classes": ["no", "yes"], "values": [[8, 2], [1, 9]]},
        {"class_names": ["no", "yes"], "confusion_matrix": [[8, 2], [1, 9]]}, [[8, 2], [1, 9]],
    ],
)  # fmt: skip
def test_a_confusion_matrix_is_read_in_the_spellings_of_clients(spelling):
    found = charts.confusion(spelling)
    assert found["classes"] == (["0", "1"] if isinstance(spelling, list) else ["no", "yes"])
    assert [[cell["count"] for cell in row["cells"]] for row in found["rows"]] == [[8, 2], [1, 9]]
    with pytest.raises(ValueError, match="as many columns as classes"):
        charts.confusion([[8, 2], [1]])


def store(run, path, content):
    artifacts.store(writer(run.project), owner=run, path=path, stream=[json.dumps(content).encode()])


@pytest.mark.parametrize(
    ("metric", "arrow"),
    [
        ("cv_mean/accuracy", "↑"), ("cv_std/accuracy", "↓"), ("cv_std/log_loss", "↓"), ("std_test_score", "↓"),
        ("accuracy.std", "↓"), ("policy/std", ""), ("stdin_score", "↑"),
    ],
)  # fmt: skip
def test_of_spreads_the_smaller_is_better(metric, arrow):
    assert queries.arrow_of(metric) == arrow
    assert queries.higher_is_better(metric) == (arrow != "↓")
