"""One project, one model, one endpoint, and a token that may predict."""

import pytest

from tests.factories.projects import make_project, make_token, make_user
from tests.serve.harness import Scene, Serve


@pytest.fixture
def scene(transactional_db, tmp_path) -> Scene:
    project = make_project()
    return Scene(project, make_user("ana", role="scientist", project=project), tmp_path / "artifacts")


@pytest.fixture
def token(scene) -> str:
    return make_token(scene.user, scene.project, ["predict"])


@pytest.fixture
def serve(scene, tmp_path):
    """A process that already answers with version 1."""
    scene.first = scene.make_version(1)
    scene.switch(scene.first)
    with Serve(tmp_path / "spool") as running:
        yield running
