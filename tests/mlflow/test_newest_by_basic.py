"""Basic sign-in by a token, with the newest client: who it is, and that runs, searches and files come through.

Every other case is played with a bearer token, and by the oldest client with basic sign-in by a password.
"""

import pytest

from tests.mlflow.harness import play

pytestmark = pytest.mark.slow
PLAYED = ("case_artifacts", "case_auth", "case_run_search", "case_runs")


@pytest.fixture(scope="module")
def outcomes(door, tmp_path_factory):
    files = (f"{module}.py" for module in PLAYED)
    return play(door, "mlflow3", "basic", tmp_path_factory.mktemp("cases"), "-m", "not once", *files)


@pytest.mark.parametrize("module", PLAYED)
def test_cases(outcomes, subtests, module):
    assert outcomes[module]
    for outcome in outcomes[module]:
        with subtests.test(msg=outcome.name):
            assert not outcome.trouble, outcome.trouble
