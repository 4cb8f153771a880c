"""Every case by the newest client with a token; the fits of frameworks have a test of their own."""

import pytest

from tests.mlflow.harness import modules, play

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes(door, tmp_path_factory):
    return play(door, "mlflow3", "bearer", tmp_path_factory.mktemp("cases"), "-m", "not autologging")


@pytest.mark.parametrize("module", modules())
def test_cases(outcomes, subtests, module):
    assert outcomes[module]
    for outcome in outcomes[module]:
        with subtests.test(msg=outcome.name):
            assert not outcome.trouble, outcome.trouble
