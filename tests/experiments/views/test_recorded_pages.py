"""Pages of what clients record beside metrics: notes, child runs, data, models, images, tables, the machine."""

import json
import math
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import Experiment, ExperimentTag, LoggedModelMetric, LoggedModelParam, LoggedModelTag, Run
from experiments.services import artifacts, runs
from experiments.views import gallery, viewers
from experiments.views.metrics import system_label, system_text
from tests.factories.datasets import upload
from tests.factories.experiments import log, make_experiment, make_logged_model, make_run, read_dataset, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
BASE = "/p/churn"
UUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.fixture
def run(experiment):
    return make_run(experiment)


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    return client


def store(owner, path, data, media_type=""):
    return artifacts.store(writer(owner.project), owner=owner, path=path, stream=[data], media_type=media_type)


def page(web, address, **query):
    answer = web.get(f"{BASE}{address}", query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def tag(run, **tags):
    runs.set_tags(writer(run.project), run=run, tags={name.replace("__", "."): value for name, value in tags.items()})


def test_the_note_a_client_sets_is_shown_as_safe_prose(web, run):
    tag(run, mlflow__note__content="# Plan\n\n<script>alert(1)</script> **more** trees")
    html = page(web, f"/runs/{run.pk}/")
    assert "<h3>Plan</h3>" in html
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt; <strong>more</strong> trees</p>" in html


def test_technical_tags_stand_apart_from_those_of_people(web, run):
    tag(run, mlflow__source__git__commit="9f2c1d4", mlflow__odd="x", candidate="yes", mlflow__loggedImages="True")
    html = page(web, f"/runs/{run.pk}/")
    assert '<dt>Commit</dt><dd class="wrapcell mono">9f2c1d4</dd>' in html
    assert re.findall(r'aria-label="Remove tag ([^"]*)"', html) == ["candidate"]
    assert "1 more technical tag<" in html
    assert "loggedImages" not in html


def test_numbers_that_are_none_are_named(web, run):
    log(run, "loss", [1.0, math.nan])
    log(run, "peak", [math.inf])
    html = page(web, f"/runs/{run.pk}/")
    assert re.findall(r'<td class="n warnnum" title="([^"]*)">([^<]*)<', html) == [("nan", "NaN"), ("inf", "∞")]
    assert "1 point is NaN or infinite and left as gaps." in html


def test_curves_come_in_groups_and_the_machine_apart(web, run):
    for name in ("train/loss", "val/loss", "auc", "system/cpu_utilization_percentage"):
        log(run, name, [0.5, 0.25])
    html = page(web, f"/runs/{run.pk}/")
    curves, _, machine = html.partition('id="system"')
    assert re.findall(r'data-metric="([^"]*)"', curves) == ["auc", "val/loss", "train/loss"]
    assert re.findall(r'data-metric="([^"]*)"', machine) == ["system/cpu_utilization_percentage"]
    assert 'data-axis="rel" data-unit="%"' in machine
    one = page(web, f"/runs/{run.pk}/", curves="val")
    assert re.findall(r'data-metric="([^"]*)"', one.partition('id="system"')[0]) == ["val/loss"]


@pytest.mark.parametrize(
    ("name", "label", "value", "shown"),
    [
        ("system/cpu_utilization_percentage", "CPU", 41.25, "41.2%"),
        ("system/node_1/gpu_0_memory_usage_megabytes", "Node 1 GPU 0 memory used", 11234.5, "11,234 MB"),
        ("system/system_memory_usage_percentage", "Memory", 28.0, "28.0%"),
        ("system/system_memory_usage_megabytes", "Memory used", 7290.0, "7,290 MB"),
        ("system/gpu_0_power_usage_watts", "GPU 0 power", 231.0, "231.0 W"),
        ("system/network_receive_megabytes", "Network received", math.nan, "NaN"),
        ("system/my_own", "My own", 3.0, "3.0"),
    ],
)
def test_the_machine_speaks_in_words_and_units(name, label, value, shown):
    assert (system_label(name), system_text(name, value)) == (label, shown)


def test_a_run_shows_its_children_and_a_child_its_parent(web, experiment, run):
    for at in range(2):
        child = make_run(experiment, f"trial-{at}", parent=run, params={"lr": f"0.{at + 1}"})
        log(child, "auc", [0.5 + at / 10])
    html = page(web, f"/runs/{run.pk}/")
    table = html[html.index('id="children"') :]
    assert re.findall(r'<span class="muted">(trial-\d)</span>', table) == ["trial-0", "trial-1"]
    assert "0.6000" in table
    assert f'<li><a href="{BASE}/runs/{run.pk}/">Run {run.pk}</a></li>' in page(web, f"/runs/{child.pk}/")


def test_the_table_of_runs_opens_and_closes_a_family(web, experiment, run):
    for at in range(3):
        make_run(experiment, f"trial-{at}", parent=run)
    closed = page(web, "/experiments/churn-gbm/")
    assert f'href="?open={run.pk}"' in closed
    assert 'class="child"' not in closed
    opened = page(web, "/experiments/churn-gbm/", open=str(run.pk))
    rows = re.findall(
        r'<tr(?: id="run-\d+")?( class="child")?>\s*<td class="pin p0">.*?class="trunc">([^<]*)<', opened, re.DOTALL
    )
    assert rows == [("", "first"), *((' class="child"', f"trial-{at}") for at in range(3))]
    assert 'href="?"' in opened


@pytest.mark.parametrize("count", [1, 4])
def test_open_families_cost_the_same_queries_for_any_number_of_children(web, experiment, run, count):
    for at in range(count):
        log(make_run(experiment, f"trial-{at}", parent=run), "auc", [0.5])
    address = f"{BASE}/experiments/churn-gbm/?open={run.pk}"
    web.get(address)
    with CaptureQueriesContext(connection) as seen:
        web.get(address)
    assert len(seen) == 44


def test_data_sets_show_where_they_come_from_and_what_is_in_them(web, run):
    read_dataset(
        run,
        source=json.dumps({"uri": "s3://drives/march.parquet"}),
        schema=json.dumps({"mlflow_colspec": [{"type": "double", "name": "speed", "required": True}]}),
        profile=json.dumps({"num_rows": 12000}),
    )
    html = page(web, f"/runs/{run.pk}/")
    shown = text(html[html.index('id="datasets"') : html.index('id="params"')])
    for words in ("drive training digest abc123", "num rows 12,000", "s3: s3://drives/march.parquet", "speed double"):
        assert words in shown


def test_a_data_set_of_the_portal_is_a_link_only_in_its_own_project(web, run):
    version = upload(run.project, name="people")
    read_dataset(run, "ours", source=f"https://portal.example{BASE}/datasets/people/v/{version.number}/")
    read_dataset(run, "theirs", source=f"https://portal.example/p/other/datasets/people/v/{version.number}/")
    html = page(web, f"/runs/{run.pk}/")
    assert f'href="{BASE}/datasets/people/v/{version.number}/">ours</a>' in html
    assert '<b class="nm">theirs</b>' in html


def test_models_a_run_made_are_listed_with_their_page(web, run):
    model = make_logged_model(run)
    store(model, "MLmodel", b"flavors: {}\n")
    store(model, "code/net.py", b"print(1)\n")
    LoggedModelParam.objects.create(logged_model=model, key="C", value="1.0")
    LoggedModelTag.objects.create(logged_model=model, key="stage", value="candidate")
    for step, value in ((0, 0.7), (1, 0.8)):
        LoggedModelMetric.objects.create(
            logged_model=model, run=run, key="iou", value=value, step=step, stamp_ms=step, dataset_name="drive"
        )
    address = f"{BASE}/logged-models/{model.uuid}/"
    assert f'<a href="{address}">segmenter</a>' in page(web, f"/runs/{run.pk}/")
    assert f'<a href="{address}">segmenter</a>' in page(web, "/experiments/churn-gbm/logged-models/")
    shown = text(web.get(address).content.decode())
    for words in ("iou 0.8000 1 drive", "C 1.0", "stage candidate", "Files 2", "code/ 1 · 9 B", "not registered"):
        assert words in shown


def test_files_of_a_logged_model_have_the_same_viewers(web, run):
    model = make_logged_model(run)
    store(model, "MLmodel", b"flavors: {sklearn: 1}\n")
    shown = page(web, f"/logged-models/{model.uuid}/artifacts/MLmodel")
    assert "<code>flavors: {sklearn: 1}</code>" in shown
    raw = web.get(f"{BASE}/logged-models/{model.uuid}/raw/MLmodel")
    assert (b"".join(raw.streaming_content), raw["Content-Disposition"][:10]) == (
        b"flavors: {sklearn: 1}\n",
        "attachment",
    )


def test_a_logged_model_of_another_project_is_absent(web):
    foreign = make_logged_model(make_run(make_experiment(make_project("other"))))
    store(foreign, "MLmodel", b"x")
    for rest in ("", "artifacts/", "artifacts/MLmodel", "raw/MLmodel"):
        assert web.get(f"{BASE}/logged-models/{foreign.uuid}/{rest}").status_code == 404


def test_an_older_clients_model_is_a_folder_of_the_run(web, run):
    tag(run, **{"mlflow.log-model.history": json.dumps([{"artifact_path": "net", "flavors": {}}])})
    assert f'<a href="{BASE}/runs/{run.pk}/artifacts/net/">net/</a>' in page(web, f"/runs/{run.pk}/")


def test_images_are_sorted_by_key_and_step_in_both_spellings():
    paths = [
        f"images/val~mask+step+10+timestamp+1760000000000+{UUID}.png",
        f"images/val~mask+step+10+timestamp+1760000000000+{UUID}+compressed.webp",
        f"images/val~mask+step+2+timestamp+1760000000000+{UUID}.png",
        f"images/old#key%step%0%timestamp%1760000000000%{UUID}.png",
        "images/plain.png",
    ]
    found = gallery.keys_of(paths)
    assert {key: [(s.step, s.full, s.small) for s in shots] for key, shots in found.items()} == {
        "old/key": [(0, paths[3], "")],
        "val/mask": [(2, paths[2], ""), (10, paths[0], paths[1])],
    }


def test_the_gallery_shows_the_last_step_and_knows_them_all(web, run):
    for step in (0, 5, 10):
        stem = f"images/pred+step+{step}+timestamp+17600000000{step:02}+{UUID}"
        store(run, f"{stem}.png", b"\x89PNG", "image/png")
        store(run, f"{stem}+compressed.webp", b"RIFF", "image/webp")
    html = page(web, f"/runs/{run.pk}/")
    assert 'alt="pred at step 10"' in html
    frames = json.loads(re.search(r'<script id="img-0" type="application/json">(.*?)</script>', html)[1])
    assert [frame["step"] for frame in frames] == [0, 5, 10]
    answer = web.get(frames[1]["src"])
    assert (answer["Content-Type"], b"".join(answer.streaming_content)) == ("image/webp", b"RIFF")
    assert web.get(frames[1]["url"]).status_code == 200


def test_long_histories_of_images_keep_first_and_last():
    assert gallery.thinned(list(range(1000)), 5) == [0, 250, 500, 749, 999]


def test_a_logged_table_is_paged_and_shows_its_images(web, run):
    rows = [[f"row-{at}", at / 10, None] for at in range(150)]
    rows[0][2] = {"type": "image", "filepath": "table_images/a b.png", "compressed_filepath": "table_images/a b.webp"}
    store(run, "eval/rows.json", json.dumps({"columns": ["name", "score", "mask"], "data": rows}).encode())
    tag(run, mlflow__loggedArtifacts=json.dumps([{"path": "eval/rows.json", "type": "table"}]))
    first = page(web, f"/runs/{run.pk}/artifacts/eval/rows.json")
    assert "Rows 1 to 100 of 150." in first
    assert f'<img class="inrow" src="{BASE}/runs/{run.pk}/raw/table_images/a%20b.webp?as=image"' in first
    second = page(web, f"/runs/{run.pk}/artifacts/eval/rows.json", row="100")
    assert re.findall(r"row-\d+", second) == [f"row-{at}" for at in range(100, 150)]
    small = page(web, f"/runs/{run.pk}/")
    assert re.findall(r"row-\d+", small[small.index('id="tables"') :]) == [f"row-{at}" for at in range(5)]


def test_a_csv_of_many_rows_is_paged(web, run):
    store(run, "big.csv", b"n\n" + b"".join(b"%d\n" % at for at in range(250)), "text/csv")
    last = page(web, f"/runs/{run.pk}/artifacts/big.csv", row="200")
    assert "Rows 201 to 250." in last
    assert re.findall(r'<td class="n">(\d+)</td>', last)[:2] == ["200", "201"]


def test_a_parquet_file_is_a_table(web, run):
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"age": list(range(120)), "plan": ["a"] * 120}), sink)
    store(run, "rows.parquet", sink.getvalue().to_pybytes())
    assert "Rows 101 to 120 of 120." in page(web, f"/runs/{run.pk}/artifacts/rows.parquet", row="100")
    store(run, "broken.parquet", b"PAR1 not really PAR1")
    assert "The table cannot be read." in page(web, f"/runs/{run.pk}/artifacts/broken.parquet")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (True, "true"), (-0.5, "−0.5"), (math.inf, "∞"), ({"a": 1}, '{"a": 1}'), ("<b>", "<b>")],
)
def test_a_cell_says_what_its_value_is(value, shown):
    assert viewers.cell(value, None).text == shown


def test_folders_open_one_at_a_time_and_page_their_files(web, run):
    for at in range(205):
        store(run, f"ckpt/e{at:03}.txt", b"x")
    store(run, "ckpt/deep/er/a.txt", b"12345")
    store(run, "ckpt2/b.txt", b"1")
    top = text(page(web, f"/runs/{run.pk}/artifacts/"))
    assert "ckpt/ 206 · 210 B" in top
    assert "e000.txt" not in top
    inside = page(web, f"/runs/{run.pk}/artifacts/ckpt/")
    assert re.findall(r'trunc">(deep/|e\d+\.txt|b\.txt)<', inside) == ["deep/", *(f"e{at:03}.txt" for at in range(200))]
    rest = page(web, f"/runs/{run.pk}/artifacts/ckpt/", files="200")
    assert re.findall(r'trunc">(e\d+\.txt)<', rest) == [f"e{at:03}.txt" for at in range(200, 205)]
    assert web.get(f"{BASE}/runs/{run.pk}/artifacts/none/").status_code == 404


def test_the_list_of_experiments_tells_who_logs_and_what(web, experiment, run):
    make_run(experiment, source=Run.Source.MLFLOW)
    make_logged_model(run)
    for key, value in (("team", "vision"), ("mlflow.note.content", "# Roads\n\nwith **lanes**"), ("mlflow.x", "y")):
        ExperimentTag.objects.create(experiment=experiment, key=key, value=value)
    Experiment.objects.filter(pk=experiment.pk).update(name="vision/roads v2")
    shown = text(page(web, "/experiments/"))
    assert "vision/roads v2 2 – – – API 1 , MLflow 1 Roads · with lanes team vision 1" in shown
    assert "mlflow.x" not in shown
    assert "<h3>Roads</h3>" in page(web, f"/experiments/{experiment.pk}/")


@pytest.mark.parametrize("count", [1, 5])
def test_the_list_of_experiments_costs_the_same_queries_for_any_number(web, project, count):
    for at in range(count):
        make_run(make_experiment(project, f"e{at}"))
    web.get(f"{BASE}/experiments/")
    with CaptureQueriesContext(connection) as seen:
        web.get(f"{BASE}/experiments/")
    assert len([q for q in seen.captured_queries if "experiments_" in q["sql"]]) == 8


def test_empty_places_say_how_code_logs_here(web, experiment):
    for address in ("/experiments/", "/experiments/churn-gbm/"):
        shown = page(web, address)
        assert "export MLFLOW_TRACKING_URI=http://testserver/p/churn\n" in shown
    assert "mlflow.set_experiment(&quot;churn-gbm&quot;)" in shown or 'mlflow.set_experiment("churn-gbm")' in shown


def test_comparing_lays_images_tables_and_data_side_by_side(web, experiment):
    made = [make_run(experiment, f"r{at}") for at in range(2)]
    for at, each in enumerate(made):
        store(each, f"images/pred+step+{at}+timestamp+1760000000000+{UUID}.png", b"\x89PNG", "image/png")
        store(each, "rows.json", json.dumps({"columns": ["n"], "data": [[f"cell-{at}"]]}).encode())
        tag(each, mlflow__loggedArtifacts=json.dumps([{"path": "rows.json", "type": "table"}]))
        read_dataset(each, f"drive-{at}")
        make_logged_model(each, f"net-{at}")
        log(each, "system/cpu_utilization_percentage", [40.0 + at])
    address = "/experiments/churn-gbm/compare/"
    ids = ",".join(str(each.pk) for each in made)
    html = page(web, address, runs=ids)
    assert html.count('data-together="images"') == 2
    assert {"cell-0", "cell-1"} <= set(re.findall(r"cell-\d", html))
    differences = text(html[html.index('id="df-h"') :])
    assert "dataset, training drive-0 (abc123) drive-1 (abc123)" in differences
    assert "models made net-0 net-1" in differences
    assert "system/cpu" not in differences
    assert "system/cpu" in text(page(web, address, runs=ids, system="1"))


def test_what_libraries_store_under_fixed_names_stands_side_by_side(web, experiment):
    made = [make_run(experiment, f"r{at}") for at in range(2)]
    for at, each in enumerate(made):
        for name in ("training_confusion_matrix.png", "roc_curve_plot.png"):
            store(each, name, b"\x89PNG", "image/png")
        store(each, "per_class_metrics.csv", f"class,f1\nyes,0.{at + 7}\n".encode(), "text/csv")
    store(made[0], "lone.png", b"\x89PNG", "image/png")
    address, ids = "/experiments/churn-gbm/compare/", ",".join(str(each.pk) for each in made)
    html = page(web, address, runs=ids)
    assert html.count('data-together="images"') == 2
    assert "roc_curve_plot.png" in html
    assert {"0.7", "0.8"} <= set(re.findall(r">(0\.\d)<", html))
    other = page(web, address, runs=ids, img="lone.png")
    assert (other.count('data-together="images"'), other.count("No such image")) == (1, 1)


def test_the_address_a_client_prints_leads_to_the_page(web, run):
    model = make_logged_model(run)
    assert web.get(f"/from-client/{run.uuid}/")["Location"] == f"{BASE}/runs/{run.pk}/"
    assert web.get(f"/from-client/{model.uuid}/")["Location"] == f"{BASE}/logged-models/{model.uuid}/"
    foreign = make_run(make_experiment(make_project("other")))
    assert web.get(f"/from-client/{foreign.uuid}/").status_code == 404
