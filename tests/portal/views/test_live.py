"""What an open page may watch, and what makes it renew itself."""

import pytest
from django.test import Client

from experiments.models import Run
from experiments.queries import versions
from experiments.services import attempts, experiments, runs
from projects.models import DatasetVersion
from projects.services import events
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.jobs import make_job, make_version
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
LIVE = "/p/churn/live/"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="viewer", project=project))
    return client


def test_one_event_tells_the_version(web, project):
    run = make_run(make_experiment(project))
    answer = web.get(f"{LIVE}?topic=run:{run.pk}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream")
    assert answer["Cache-Control"] == "no-store"
    assert answer.content.decode() == f"retry: 3000\n\nevent: changed\ndata: {versions.of_run(run.pk)}\n\n"
    assert answer.watch.topic == f"run:{run.pk}"


@pytest.mark.parametrize("topic", ["", "run", "run:", "run:x", "run:-1", "run:1" + "0" * 30, "user:1", "run:١"])
def test_what_is_no_topic_is_refused_by_name(web, topic):
    answer = web.get(LIVE, {"topic": topic})
    assert answer.status_code == 400
    assert b"run:&lt;number&gt;" in answer.content


def test_what_is_of_another_project_is_not_there(web, project):
    other = make_project("other")
    elsewhere = make_run(make_experiment(other))
    version = make_version(other)
    for topic in (f"run:{elsewhere.pk}", f"runs:{elsewhere.experiment_id}", f"dataset:{version.pk}", "job:99999"):
        assert web.get(LIVE, {"topic": topic}).status_code == 404
    assert web.get(f"/p/other/live/?topic=run:{elsewhere.pk}").status_code == 404
    assert Client().get(f"{LIVE}?topic=run:{elsewhere.pk}").status_code == 302


def test_a_run_changes_with_all_that_its_page_shows(project):
    run = make_run(make_experiment(project))
    seen = [versions.of_run(run.pk)]

    def changed():
        seen.append(versions.of_run(run.pk))
        return len(set(seen)) == len(seen)

    runs.start(writer(project), run=run)
    assert changed()
    log(run, "loss", [1.0])
    assert changed()
    log(run, "loss", [1.0, 0.5])
    assert changed()
    runs.log_batch(writer(project), run=run, params={"lr": "1"})
    assert changed()
    runs.set_tags(writer(project), run=run, tags={"a": "1"})
    assert changed()
    runs.set_tags(writer(project), run=run, tags={"a": "2"})
    assert changed()
    runs.annotate(writer(project), run=run, notes="why")
    assert changed()
    runs.finish(writer(project), run=run, state="finished")
    assert changed()
    before = versions.of_run(run.pk)
    assert versions.of_run(run.pk) == before
    Run.objects.filter(pk=run.pk).delete()
    assert versions.of_run(run.pk) == versions.GONE


def test_reading_a_run_does_not_change_it(project, web):
    run = make_run(make_experiment(project))
    runs.start(writer(project), run=run)
    log(run, "loss", [1.0, 0.5, 0.25])
    before = versions.of_run(run.pk), versions.of_runs(run.experiment_id)
    assert web.get(f"/p/churn/runs/{run.pk}/").status_code == 200
    assert (versions.of_run(run.pk), versions.of_runs(run.experiment_id)) == before


def test_an_experiment_changes_with_new_runs_points_and_ends(project):
    experiment = make_experiment(project)
    seen = [versions.of_runs(experiment.pk)]
    run = make_run(experiment)
    seen.append(versions.of_runs(experiment.pk))
    runs.start(writer(project), run=run)
    seen.append(versions.of_runs(experiment.pk))
    log(run, "loss", [1.0])
    seen.append(versions.of_runs(experiment.pk))
    runs.finish(writer(project), run=run, state="failed")
    seen.append(versions.of_runs(experiment.pk))
    assert len(set(seen)) == 5


def test_what_no_table_of_runs_shows_does_not_renew_it(project, monkeypatch):
    experiment = make_experiment(project)
    experiments.rename(writer(project), experiment=experiment, name="Other")

    def seen():
        return versions.of_runs(experiment.pk), versions.of_project_runs(project.pk)

    version = make_version(project)
    before = seen()
    events.record(writer(project), "dataset.profiled", project=project, target=version)
    assert seen() == before
    events.record(writer(project), "experiment.described", project=project, target=experiment)
    after = seen()
    assert after[0] != before[0]
    assert after[1] != before[1]
    monkeypatch.setattr(versions, "RECENT", 0)
    assert seen() != after, "an event that nobody looks for any more renews a table once"


def test_a_job_changes_with_its_progress_log_and_metrics(project):
    job = make_job(project)
    seen = [versions.of_job(job.pk)]
    held = attempts.begin(job.pk, worker="w/1")
    seen.append(versions.of_job(job.pk))
    attempts.report(held, progress=0.5, phase="fit")
    seen.append(versions.of_job(job.pk))
    attempts.report(held, log=attempts.LogPart(0, [(1, "info", "hello")], 0, 0))
    seen.append(versions.of_job(job.pk))
    attempts.report(held, metrics=[("accuracy", 0.5, 1, 1)])
    seen.append(versions.of_job(job.pk))
    attempts.settle(held, state="failed", failure="no")
    seen.append(versions.of_job(job.pk))
    assert len(set(seen)) == 6


def test_a_dataset_version_changes_with_its_profile(project):
    version = make_version(project)
    before = versions.of_dataset_version(version.pk)
    DatasetVersion.objects.filter(pk=version.pk).update(progress=0.5)
    assert versions.of_dataset_version(version.pk) != before


@pytest.mark.parametrize("read", ["of_run", "of_job", "of_runs", "of_dataset_version"])
def test_each_version_is_one_query(project, read, django_assert_num_queries):
    job = make_job(project)
    number = {
        "of_run": job.run_id, "of_job": job.pk, "of_runs": job.run.experiment_id,
        "of_dataset_version": job.dataset_version_id,
    }[read]  # fmt: skip
    with django_assert_num_queries(1):
        getattr(versions, read)(number)
