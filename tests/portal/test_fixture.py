"""The large project of trials, here a small one: its rows are what the services would have written."""

import json

import pytest

from experiments import metricstore
from experiments.models import Experiment, Key, MetricChunk, Run
from experiments.services import runs
from mlportal import fixture
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion
from projects.permissions import GRANTS, Role
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
SIZE = fixture.Size(runs=40, metric_names=30, datasets=3, experiments=4)


@pytest.fixture
def project():
    return make_project("big")


@pytest.fixture
def by(project):
    return Actor.system("fixture", project=project, grants=GRANTS[Role.ADMIN], on_behalf_of=project.created_by)


def test_it_has_the_size_asked_for(by, project):
    first = fixture.fill(by, project, SIZE)
    assert Run.objects.in_project(project).count() == 40
    assert sorted(Run.objects.filter(experiment=place).count() for place in Experiment.objects.in_project(project)) == [
        1,
        1,
        1,
        37,
    ]
    assert Run.objects.filter(experiment=first).count() == 37
    measured = Key.objects.filter(pk__in=MetricChunk.objects.values("key_id"))
    assert measured.count() == 30
    assert Dataset.objects.filter(project=project).count() == 3
    assert all(version.is_ready for version in DatasetVersion.objects.in_project(project))


def test_latest_values_and_series_are_one(by, project):
    fixture.fill(by, project, SIZE)
    run = Run.objects.in_project(project).order_by("-pk").first()
    latest = metricstore.latest([run.pk])[run.pk]
    assert len(latest) == len(fixture.COMMON) + fixture.RARE_A_RUN
    ready = {point["key"]: (point["value"], point["timestamp"], point["step"]) for point in json.loads(run.latest)}
    assert ready == {name: (point.value, point.stamp_ms, point.step) for name, point in latest.items()}
    for name, point in latest.items():
        found = metricstore.series(run.pk, name)
        assert [*found.steps] == [0, 1, 2]
        assert found.values[-1] == point.value


def test_services_go_on_with_what_was_made(by, project):
    first = fixture.fill(by, project, SIZE)
    fresh = runs.create(by, experiment=first, name="after")
    old = Run.objects.in_project(project).exclude(pk=fresh.pk).order_by("-pk").first()
    runs.log_batch(by, run=old, metrics=[("auc", 9.0, old.started_ms + 10, 5)])
    metricstore.fold(old.pk)
    assert metricstore.latest([old.pk])[old.pk]["auc"].value == 9.0
    assert fresh.pk > old.pk


def test_a_project_with_runs_is_refused(by, project):
    fixture.fill(by, project, fixture.Size(runs=1, metric_names=5, datasets=0, experiments=1))
    with pytest.raises(Conflict, match="empty project"):
        fixture.fill(by, project, SIZE)
