"""Parts of a run's page: baseline, time left, environment, lineage, log, repeating a training, notes."""

import html
import io
import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments import queries
from experiments.models import Run, TrainingJob
from experiments.queries import joblog, pace
from experiments.services import artifacts, attempts, jobs, runs
from experiments.views import environment
from experiments.views.places import Place
from mlportal.lib.errors import Conflict
from tests.factories.experiments import log, make_experiment, make_logged_model, make_run, writer
from tests.factories.jobs import make_job, make_scientist, make_version
from tests.factories.projects import actor, make_project

pytestmark = pytest.mark.django_db
BASE = "/p/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_scientist(project))
    return client


def shown(web, run, query=""):
    return web.get(f"{BASE}/runs/{run.pk}/{query}")


def test_the_baseline_is_chosen_in_the_address(web, project):
    experiment = make_experiment(project)
    parent, best, run = make_run(experiment, "p"), make_run(experiment, "b"), None
    run = make_run(experiment, "r", parent=parent)
    for each, value in ((parent, 0.1), (best, 0.9), (run, 0.5)):
        log(each, "roc_auc", [0.0, value])
    chosen = {text: shown(web, run, f"?baseline={text}").context["baseline"] for text in ("parent", "best", best.pk)}
    assert [c.run.pk for c in chosen.values()] == [parent.pk, best.pk, best.pk]
    assert shown(web, run, "?baseline=none").context["baseline"] is None
    page = shown(web, run, "?baseline=parent")
    assert page.context["metrics"][0]["delta"] == pytest.approx(0.4)
    assert [r["id"] for r in page.context["curve_data"]["runs"]] == [parent.pk, run.pk]
    data = web.get(f"{BASE}/runs/{run.pk}/series/?key=roc_auc&baseline={best.pk}").json()
    assert [r["id"] for r in data["runs"]] == [best.pk, run.pk]


@pytest.mark.parametrize("text", ["99999", "x", "<b>", "9" * 39])
def test_a_wrong_baseline_is_named_and_the_usual_one_stays(web, project, text):
    experiment = make_experiment(project)
    other, run = make_run(experiment, "o"), make_run(experiment, "r")
    log(other, "roc_auc", [0.5])
    page = shown(web, run, f"?baseline={text}")
    assert (page.status_code, page.context["baseline"].run.pk) == (200, other.pk)
    assert page.context["chosen"].fault
    assert b"<b>'" not in page.content


def test_a_run_of_another_project_is_no_baseline(web, project):
    elsewhere = make_run(make_experiment(make_project("other")))
    page = shown(web, make_run(make_experiment(project)), f"?baseline={elsewhere.pk}")
    assert page.context["baseline"] is None
    assert "There is no run" in page.context["chosen"].fault


def ended(project, seconds, **extra):
    job = make_job(project, **extra)
    now = timezone.now()
    TrainingJob.objects.filter(pk=job.pk).update(
        state="succeeded", started_at=now - timedelta(seconds=seconds), ended_at=now
    )
    return job


def working(project, progress):
    job = make_job(project)
    TrainingJob.objects.filter(pk=job.pk).update(
        state="running", progress=progress, started_at=timezone.now(), lease_until=timezone.now()
    )
    return TrainingJob.objects.with_context().get(pk=job.pk)


def test_time_left_is_what_like_trainings_took(project):
    for seconds in (90, 100, 500):
        ended(project, seconds)
    ended(project, 7, spec={"algorithm": "dummy"})
    assert pace.left(working(project, 0.0), 30.0) == pace.Estimate(70.0, 3)


def test_time_left_is_its_own_pace_where_nothing_is_alike_or_others_are_wrong(project):
    job = working(project, 0.25)
    assert pace.left(job, 30.0) == pace.Estimate(90.0)
    ended(project, 40)
    assert pace.left(job, 30.0) == pace.Estimate(90.0)
    assert pace.left(job, 300.0) == pace.Estimate(900.0)


def test_no_time_is_told_without_a_reason(web, project):
    job = working(project, 0.01)
    assert pace.left(job, 30.0) is None
    assert b"no estimate yet" in web.get(f"{BASE}/jobs/{job.pk}/").content
    Run.objects.filter(pk=job.run_id).update(state="running")
    assert b"no estimate yet" in shown(web, job.run).content


def put(run, path, data):
    artifacts.store(
        writer(run.project), owner=run, path=path, stream=io.BytesIO(data), media_type="text/plain", kind="file"
    )


def read(run):
    run = Run.objects.with_context().get(pk=run.pk)
    return environment.read(queries.facts(run), Place(run, run.project.slug))


def test_the_environment_comes_from_tags_reports_and_lists(project):
    run = make_run(
        make_experiment(project),
        tags={"mlflow.source.git.commit": "9f2c1d4", "mlflow.git.diff": "+++ a.py\n+new\n-old\n same"},
    )
    put(run, "model/requirements.txt", b"# made\n-r x\nnumpy==2.1\nPandas[all]>=2 ; python_version>'3'\nplain\n")
    found = read(run)
    assert found.git == [("Commit", "9f2c1d4")]
    assert found.packages == [("numpy", "2.1"), ("Pandas", "2"), ("plain", "")]
    assert [line.kind for line in found.diff] == ["head", "add", "drop", ""]
    report = {"python": "3.11", "hardware": {"cores": 8, "memory_bytes": 2**34}, "packages": {"b": "1", "A": "2"}}
    put(run, "model/environment.json", json.dumps(report).encode())
    found = read(run)
    assert found.facts == [("Python", "3.11"), ("Cores", "8"), ("Memory bytes", "16.0 GiB")]
    assert found.packages == [("A", "2"), ("b", "1")]


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'{"packages": [1], "hardware": 3, "git": "x"}', b"\xff\xfe"])
def test_a_broken_report_of_the_environment_is_no_trouble(web, project, data):
    run = make_run(make_experiment(project))
    put(run, "environment.json", data)
    assert shown(web, run).status_code == 200


def test_lineage_goes_from_data_to_children_and_models(web, project):
    job = make_job(project)
    run = job.run
    make_run(run.experiment, "child", parent=run)
    make_logged_model(run)
    found = shown(web, run).context["lineage"]
    assert [node.kind for node in found.upstream] == ["source", "dataset"]
    assert [node.kind for node in found.downstream] == ["child run", "logged model"]
    assert all(n.x >= 0 and n.y >= 0 and n.y + 44 <= found.height for n in found.nodes)


@pytest.mark.parametrize("count", [1, 4])
def test_the_page_of_a_run_costs_the_same_queries_for_any_family(web, project, count):
    experiment = make_experiment(project)
    run = make_run(experiment)
    for at in range(count):
        make_run(experiment, f"c{at}", parent=run)
        make_logged_model(run, f"m{at}")
    shown(web, run)
    with CaptureQueriesContext(connection) as seen:
        shown(web, run)
    assert len(seen) == 36


def test_the_live_part_says_when_the_run_has_ended(web, project):
    run = make_run(make_experiment(project))
    assert b"data-live-done" not in web.get(f"{BASE}/runs/{run.pk}/live/").content
    assert f'data-live-topic="run:{run.pk}"'.encode() in shown(web, run).content
    runs.finish(writer(project), run=run, state="finished")
    assert b"data-live-done" in web.get(f"{BASE}/runs/{run.pk}/live/").content
    assert b"data-live-topic" not in shown(web, run).content


def test_a_training_can_be_repeated_once_it_has_ended(web, project):
    job = make_job(project, limits={"memory_mb": 2048})
    with pytest.raises(Conflict):
        jobs.repeat(actor(make_scientist(project)), job=job)
    TrainingJob.objects.filter(pk=job.pk).update(state="succeeded")
    answer = web.post(f"{BASE}/jobs/{job.pk}/repeat/")
    again = TrainingJob.objects.latest("pk")
    assert answer["Location"] == f"{BASE}/runs/{again.run_id}/"
    assert (again.spec, again.limits, again.dataset_version_id) == (job.spec, job.limits, job.dataset_version_id)


def test_a_run_of_a_client_is_launched_where_the_portal_knows_its_estimator(web, project):
    experiment, version = make_experiment(project), make_version(project)
    params = {"n_estimators": "70", "max_depth": "None", "class_weight": "None", "verbose": "0"}
    known = make_run(experiment, tags={"estimator_name": "RandomForestClassifier"}, params=params)
    Run.objects.filter(pk=known.pk).update(dataset_version=version)
    page = shown(web, known).content.decode()
    place = html.unescape(re.search(r'href="([^"]+)">[^<]*(?:<[^>]+>)*Launch with these parameters', page)[1])
    form = web.get(place).context["form"]
    assert (form.version, form.algorithm) == (version, "random_forest")
    spec = form.spec()["hyper_parameters"]
    assert (spec["n_estimators"], spec["max_depth"], spec["class_weight"]) == (70, None, "none")
    assert "cannot run it again" not in page


def test_the_page_says_why_a_run_of_a_client_cannot_be_run_again(web, project):
    page = shown(web, make_run(make_experiment(project), tags={"estimator_name": "CatBoost"})).content.decode()
    assert re.search(r'aria-disabled="true" aria-describedby="no-rerun"[^>]*>.*?Run again</button>', page)
    assert re.search(r'id="no-rerun">A client logged this run: .* cannot run it again', page)
    assert "no-rerun" not in shown(web, make_job(project).run).content.decode()


def test_the_log_is_on_the_page_of_the_run_and_all_of_it_is_searched(web, project):
    job = make_job(project)
    held = attempts.begin(job.pk, worker="w/1")
    lines = [(n, "error" if n == 700 else "info", f"line {n}" + (" Needle" if n < 3 else "")) for n in range(1500)]
    attempts.report(held, log=attempts.LogPart(0, lines, 0, 1))
    page = shown(web, job.run, "?find=needle")
    assert [line.number for line in page.context["lines"]] == [0, 1, 2]
    assert page.context["first_error"] == 701
    around = shown(web, job.run, "?line=701").context["lines"]
    assert around[0].number <= 700 <= around[-1].number
    assert joblog.first_of(held.attempt, "warning") is None
    assert len(shown(web, job.run).context["lines"]) == 1000


def test_notes_are_previewed_as_they_will_look_and_nothing_is_saved(web, project):
    run = make_run(make_experiment(project))
    answer = web.post(f"{BASE}/runs/{run.pk}/notes/", {"preview": "1", "notes": "**bold** <script>"})
    assert b"<strong>bold</strong>" in answer.content
    assert b"<script>" not in answer.content
    run.refresh_from_db()
    assert run.notes == ""


def test_zoom_brings_the_points_of_a_range_back(web, project):
    run = make_run(make_experiment(project))
    values = [float(i % 7) for i in range(1000)]
    values[613] = 1000.0
    log(run, "loss", values, start_ms=run.started_ms)
    series = f"{BASE}/runs/{run.pk}/series/"
    assert f'data-zoom="{series}"' in shown(web, run).content.decode()
    whole = web.get(f"{series}?metric=loss").json()["runs"][0]["metrics"]["loss"]
    assert (len(whole["steps"]) <= 500, whole["total"]) == (True, 1000)
    part = web.get(f"{series}?metric=loss&x=step&from=600&to=620.5").json()["runs"][0]["metrics"]["loss"]
    assert (part["steps"], part["values"]) == (list(range(599, 622)), values[599:622])
    minutes = web.get(f"{series}?metric=loss&x=rel&from=10&to=10.1").json()["runs"][0]["metrics"]["loss"]
    assert minutes["steps"] == list(range(599, 608))
    wrong = web.get(f"{series}?metric=loss&from=5&to=1")
    assert (wrong.status_code, "from" in wrong.content.decode()) == (400, True)
