"""The cases by the newest client with basic sign-in by a token. Costly cases are played once, elsewhere."""

import pytest

from tests.mlflow.harness import modules, play

pytestmark = pytest.mark.slow
PLAYED = modules(without=("case_overload", "case_race"))


@pytest.fixture(scope="module")
def outcomes(door, tmp_path_factory):
    return play(door, "mlflow3", "basic", tmp_path_factory.mktemp("cases"), "-m", "not autologging and not once")


@pytest.mark.parametrize("module", PLAYED)
def test_cases(outcomes, subtests, module):
    assert outcomes[module]
    for outcome in outcomes[module]:
        with subtests.test(msg=outcome.name):
            assert not outcome.trouble, outcome.trouble
