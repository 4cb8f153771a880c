"""Runs that something still needs stay in the trash and say why."""

import pytest
from django.test import Client

from experiments.models import Run, RunModel
from experiments.queries.holding import runs_held, runs_kept
from experiments.services import bulk, reports, runs
from experiments.services.bulk import Chosen
from projects.permissions import Permission
from tests.factories.experiments import make_experiment, make_logged_model, make_run, writer
from tests.factories.projects import make_project, make_user, system

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def made(project):
    place = make_experiment(project)
    return [make_run(place, name, params={"depth": str(at)}) for at, name in enumerate(("shown", "source", "free"))]


@pytest.fixture
def reader(project, made):
    """A run that read the model another one made."""
    model = make_logged_model(made[1])
    found = make_run(made[1].experiment, "reader")
    RunModel.objects.create(run=found, logged_model=model, direction=RunModel.Direction.INPUT)
    return found


def frozen(project, run):
    block = {"kind": "runs", "experiment": run.experiment_id, "state": f"runs={run.pk}"}
    report = reports.create(writer(project), project=project, title="Spring", content=[block])
    return reports.freeze(writer(project), report=report)


def remove_all(project):
    by = system(project, Permission.RUN_DELETE, Permission.RUN_VIEW, Permission.RUN_EDIT)
    for run in Run.objects.active().filter(project=project).exclude(name="reader"):
        runs.delete(by, run=run)
    place = make_experiment(project)
    return bulk.run(by, project=project, kind="remove", chosen=Chosen(place, deleted=True))


def test_frozen_reports_and_lineage_keep_their_runs_out_of_removal(project, made, reader):
    report = frozen(project, made[0])
    assert report.frozen_runs == [made[0].pk]
    action = remove_all(project)
    assert action.excluded == {"shown by the frozen report Spring": 1, f"run {reader.pk} read its model": 1}
    left = Run.objects.filter(project=project, lifecycle="deleted")
    assert sorted(left.values_list("name", flat=True)) == ["shown", "source"]
    web = Client()
    web.force_login(make_user("ana", role="scientist", project=project))
    page = web.get("/p/churn/trash/").content.decode()
    assert "kept: shown by the frozen report Spring" in page
    assert f"kept: run {reader.pk} read its model" in page


def test_a_live_report_and_a_reader_in_the_trash_keep_nothing(project, made, reader):
    block = {"kind": "runs", "experiment": made[0].experiment_id, "state": f"runs={made[0].pk}"}
    reports.create(writer(project), project=project, title="Live", content=[block])
    Run.objects.filter(pk=reader.pk).update(lifecycle="deleted")
    assert runs_kept(project) == {}
    assert runs_kept(make_project("other")) == {}


def test_kept_runs_may_go_to_the_trash_and_only_asked_ones_are_named(project, made, reader):
    frozen(project, made[0])
    assert runs_held(project) == {}
    assert set(runs_kept(project)) == {made[0].pk, made[1].pk}
    assert set(runs_kept(project, [made[0].pk, made[2].pk])) == {made[0].pk}
