"""A worker that dies in the middle of a bulk action leaves nothing half, and every run is changed once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.models import BulkAction, BulkPage, Run, RunMetric, RunTag
from experiments.services import bulk, runs
from experiments.services.bulk import Chosen
from mlportal import parts
from projects.models import Event, Project
from projects.permissions import Permission
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, system
from tests.faults.plant import Part, Plant, kill_group, wait

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SECONDS = 120


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Plant]:
    """A broker and beat; the test starts the worker of short tasks itself."""
    made = Plant(tmp_path)
    try:
        made.start_broker()
        made.beat()
        yield made
    finally:
        made.end()
        print(made.words())  # shown when the test fails


@pytest.fixture
def project() -> Project:
    return make_project()


def worker(works: Plant, name: str, **extra: str) -> Part:
    return works._start(parts.worker(queues="default", concurrency=1, name=name), **extra)


def begun(project: Project, kind: str, monkeypatch: pytest.MonkeyPatch, **given: str) -> BulkAction:
    """An action of three pages that no worker has taken yet."""
    monkeypatch.setattr(bulk, "SMALL", 0)
    monkeypatch.setattr(bulk, "PAGE", 2)
    monkeypatch.setattr(bulk, "REMOVED_AT_ONCE", 2)
    by = system(project, *Permission)
    place = make_experiment(project)
    for n in range(6):
        run = make_run(place, f"r{n}")
        log(run, "auc", [0.5])
        if kind == "remove":
            runs.delete(writer(project), run=run)
    chosen = Chosen(place, deleted=kind == "remove")
    return bulk.run(by, project=project, kind=kind, chosen=chosen, given=given)


def pages_done(action: BulkAction) -> int:
    return BulkPage.objects.filter(action=action, applied_at__isnull=False).count()


def ended(action: BulkAction) -> BulkAction:
    rows = BulkAction.objects.filter(pk=action.pk)
    wait(lambda: rows.filter(state__in=["succeeded", "failed"]).exists(), SECONDS, "the end of the action")
    return rows.get()


def test_a_worker_killed_between_pages_has_the_rest_done_by_another(works, project, monkeypatch):
    action = begun(project, "tag", monkeypatch, key="seen", value="1")
    first = worker(works, "one", MLPORTAL_FAILPOINT="bulk_page_done")
    wait(lambda: pages_done(action) >= 1, SECONDS, "a first page")
    kill_group(first)
    worker(works, "two")
    action = ended(action)
    assert (action.state, action.done, pages_done(action)) == ("succeeded", 6, 3)
    assert [json.loads(run.tags) for run in Run.objects.all()] == [{"seen": "1"}] * 6
    assert RunTag.objects.count() == 6
    assert Event.objects.filter(verb="runs.tagged").count() == 1


def test_a_worker_killed_while_it_removes_leaves_no_half_run(works, project, monkeypatch):
    action = begun(project, "remove", monkeypatch)
    first = worker(works, "one", MLPORTAL_FAILPOINT="removing")
    rows = BulkAction.objects.filter(pk=action.pk)
    wait(lambda: rows.filter(fence__gte=1).exists(), SECONDS, "a first attempt")
    wait(lambda: rows.filter(fence__gte=2).exists(), SECONDS, "that it was found dead")
    kill_group(first)
    assert (Run.objects.count(), pages_done(action)) == (6, 0)
    worker(works, "two")
    action = ended(action)
    assert (action.state, action.done, Run.objects.count(), RunMetric.objects.count()) == ("succeeded", 6, 0, 0)
    assert Event.objects.filter(verb="runs.removed").count() == 1
