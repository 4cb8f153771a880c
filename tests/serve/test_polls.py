"""A revision takes effect within one look of the follower: looks are counted, never seconds."""

import select

import pytest
from django.db import connection

from deployments.serve import configuration, database
from deployments.serve.follower import Follower

pytestmark = pytest.mark.django_db(transaction=True)


class Looks:
    """A follower whose looks are taken one by one."""

    def __init__(self) -> None:
        held = configuration.from_settings()
        self.source = database.connect(held.database)
        self.follower = Follower(held)

    def version(self) -> int | None:
        """Look once; the version that answers then."""
        self.follower.poll(self.source)
        live = self.follower.routes["churn", "churn-production"].live
        return live.row.version if live else None

    def told(self) -> None:
        """Wait until the change is at our side of the connection: PostgreSQL sends its notice behind the commit."""
        if connection.vendor == "postgresql":
            assert select.select([self.source._connection.fileno()], [], [], 30)[0]

    def loaded(self) -> None:
        """Wait until the loading thread has something to hand over."""
        assert self.follower._again.wait(60)


@pytest.fixture
def looks(scene):
    scene.first = scene.make_version(1)
    scene.switch(scene.first)
    made = Looks()
    yield made
    made.follower._loader.shutdown()
    made.source.close()


def test_one_look_follows_a_switch_and_a_rollback(scene, looks):
    assert looks.version() is None
    looks.loaded()
    assert looks.version() == 1
    second = scene.make_version(2)
    scene.switch(second)
    looks.told()
    assert looks.version() == 1, "the version before answers while the next one is loaded"
    looks.loaded()
    assert looks.version() == 2
    loads = looks.follower.loads
    for wanted in (scene.first, second) * 5:
        scene.switch(wanted)
        looks.told()
        assert looks.version() == wanted.number, "what was live before is warm: one look is enough"
    assert looks.follower.loads == loads == 2


def test_a_look_at_an_unchanged_table_reads_nothing(looks, monkeypatch):
    looks.version()
    looks.loaded()
    assert looks.version() == 1
    reads = []
    monkeypatch.setattr(looks.follower, "_refresh", reads.append)
    looks.source.changed()  # of this test's own start
    for _ in range(20):
        looks.follower.poll(looks.source)
    assert reads == []
