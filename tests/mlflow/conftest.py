"""A portal for the clients, and the cases of ``cases/``, run by the interpreter of each client."""

import pytest

from tests.mlflow.harness import opened

collect_ignore = ["cases"]  # they import mlflow: only a client's interpreter can read them


@pytest.fixture(scope="session")
def door(tmp_path_factory):
    """A portal with projects, people and tokens."""
    with opened(tmp_path_factory.mktemp("mlflow")) as found:
        yield found
