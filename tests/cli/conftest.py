"""One portal for all tests of the import; each test file has projects of its own there."""

import pytest

from tests.cli.imports import made
from tests.mlflow.harness import serving

PROJECTS = ("other", "whole", "deleted", "folder", "changes", "killed", "wandb", "neptune")


@pytest.fixture(scope="session")
def targets(tmp_path_factory):
    """A project each to import into, by name."""
    with serving(tmp_path_factory.mktemp("import"), lambda portal: made(portal, *PROJECTS)) as found:
        yield found
