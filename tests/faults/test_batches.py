"""A worker killed while it scores: finished chunks stay, the result is whole and made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.models import Batch, BatchChunk
from deployments.services import batches
from mlportal.lib.lease import TERMINAL
from projects.models import DatasetVersion, Event
from tests.factories.batches import people, result, stored
from tests.factories.jobs import make_scientist
from tests.factories.projects import actor, make_project
from tests.faults.plant import Plant, kill_group, plant, wait
from tests.serve.harness import Scene

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as made:
        yield made


def test_chunks_outlive_the_workers_that_die_at_each_gap(works: Plant, tmp_path: Path) -> None:
    project = make_project()
    ana = make_scientist(project)
    version = Scene(project, ana, tmp_path / "model").make_version(1)
    first = works.worker("one", MLPORTAL_FAILPOINT="batch.chunk")
    frame = people(400)
    batch = batches.start(actor(ana), dataset_version=stored(project, frame), version=version, keep=["key"])
    Batch.objects.update(chunk_rows=100)
    wait(lambda: BatchChunk.objects.count() == 1, 90, "the first chunk")
    kill_group(first)
    kept = BatchChunk.objects.get()
    second = works.worker("two", MLPORTAL_FAILPOINT="batch.scored")
    wait(lambda: BatchChunk.objects.count() == 4, 90, "the other chunks")
    said = works.folder / f"log{works.logs}"
    wait(lambda: "SIGKILL" in said.read_text(errors="replace"), 60, "death before the result")
    kill_group(second)
    assert BatchChunk.objects.get(number=0).pk == kept.pk
    assert DatasetVersion.objects.count() == 1
    works.worker("three")
    wait(lambda: Batch.objects.get().state in TERMINAL, 90, "the end")
    done = Batch.objects.with_subject().get(pk=batch.pk)
    assert (done.state, done.attempt, done.rows_done, done.chunks.count()) == ("succeeded", 3, 400, 0)
    assert result(done)["key"].tolist() == frame["key"].tolist()
    assert Event.objects.filter(verb="batch.scored").count() == 1
    assert DatasetVersion.objects.filter(source_kind="scored").count() == 1
