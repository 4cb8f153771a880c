import pytest

from tests.factories.deployments import Team, make_team


@pytest.fixture
def team(db) -> Team:
    return make_team()


@pytest.fixture
def serial_team(transactional_db) -> Team:
    return make_team()
