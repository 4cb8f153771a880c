"""A portal for the clients, and the cases of ``cases/``, run by the interpreter of each client."""

import pytest

from tests.mlflow.harness import Door, serving

collect_ignore = ["cases"]  # they import mlflow: only a client's interpreter can read them


@pytest.fixture(scope="session")
def door(tmp_path_factory):
    """A portal with projects, people and tokens."""
    with serving(tmp_path_factory.mktemp("mlflow"), Door) as found:
        yield found
