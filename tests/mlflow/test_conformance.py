"""Every case of ``cases/``, by the newest client with a token and with basic sign-in, and by the oldest."""

from functools import cache

import pytest

from tests.mlflow.harness import modules, play

pytestmark = pytest.mark.slow
# Costly cases, which are the same with every way to sign in, are played once; the fits have a test of their own.
WAYS = {
    ("mlflow3", "bearer"): "not autologging",
    ("mlflow3", "basic"): "not autologging and not once",
    ("mlflow2", "password"): "not autologging and not once",
}


@pytest.fixture(scope="session")
def outcomes(door, tmp_path_factory):
    """Outcomes of all cases by client and way to sign in, each played once."""

    @cache
    def ask(kind, style):
        return play(door, kind, style, tmp_path_factory.mktemp(f"{kind}-{style}"), "-m", WAYS[kind, style])

    return ask


@pytest.mark.parametrize("module", [name for name in modules() if name != "case_autolog"])
@pytest.mark.parametrize(("kind", "style"), list(WAYS))
def test_cases(outcomes, subtests, kind, style, module):
    found = outcomes(kind, style).get(module, [])
    assert found or (kind, module) == ("mlflow2", "case_logged_models") or module == "case_race"
    for outcome in found:
        with subtests.test(msg=outcome.name):
            assert not outcome.trouble, outcome.trouble
