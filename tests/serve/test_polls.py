"""A revision takes effect within one look of the follower: looks are counted, never seconds."""

import select

import pytest
from django.db import connection
from sklearn.ensemble import RandomForestClassifier

from deployments.models import Conversion
from deployments.runtime import conversion
from deployments.serve import configuration, database
from deployments.serve.follower import Follower
from mlportal.lib import blobs, modelfile
from tests.deployments.runtime import recipes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore"),  # the converter warns of its own doings
]


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

    def backends(self) -> set[str]:
        """What computes the answers of all variants."""
        route = self.follower.routes["churn", "churn-production"]
        lives = route.split.lives if route.split else [route.live]
        return {live.runtime.backend.name for live in lives}

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


@pytest.mark.parametrize("divided", [False, True])
def test_a_graph_that_comes_after_its_version_went_live_is_taken_up(scene, looks, monkeypatch, divided):
    monkeypatch.setattr(database, "POSTGRES_POLL_SECONDS", 0)  # nobody is told of a conversion: the next look finds it
    forest = scene.make_version(2, estimator=RandomForestClassifier(20, max_depth=6, random_state=0))
    way = {"version_id": forest.pk, "version": 2, "mode": "live", "weight": 0.5}
    ways = [way | {"variant": name} for name in ("treatment", "control")] if divided else []
    scene.switch(forest, routes=ways, salt="a")
    looks.version()
    looks.loaded()
    assert (looks.version(), looks.backends()) == (2, {"exact"})
    model = modelfile.load(blobs.local_path(forest.file("model/model.skops")))
    graph, parity = conversion.convert(model, recipes.SIGNATURE, recipes.columns(recipes.rows(100)))
    assert parity.passed
    work = Conversion.objects.create(version=forest, state="running")
    assert (looks.version(), looks.backends()) == (2, {"exact"})
    kept = blobs.put_bytes(graph).sha256
    Conversion.objects.filter(pk=work.pk).update(state="succeeded", passed=True, graph_sha256=kept)
    assert (looks.version(), looks.backends()) == (2, {"exact"}), "it answers while it is loaded again"
    looks.loaded()
    assert (looks.version(), looks.backends(), looks.follower.loads) == (2, {"onnx"}, 2)


def test_a_graph_that_cannot_be_loaded_takes_nothing_away(scene, looks, monkeypatch):
    monkeypatch.setattr(database, "POSTGRES_POLL_SECONDS", 0)
    looks.version()
    looks.loaded()
    assert looks.version() == 1
    junk = blobs.put_bytes(b"no graph").sha256
    Conversion.objects.create(version=scene.first, state="succeeded", passed=True, graph_sha256=junk)
    assert looks.version() == 1
    looks.loaded()
    assert (looks.version(), looks.backends(), looks.follower.load_failures) == (1, {"exact"}, 1)
    assert looks.follower._failures == {}, "what stands there is tried again and again"
