"""Who works in the project of these tests."""

import pytest

from tests.factories.projects import actor, make_project, make_user


@pytest.fixture
def churn(db):
    """A project of its own, by the name that tests of people and the log use."""
    return make_project()


@pytest.fixture
def ana(churn):
    """Who administers it."""
    return make_user("ana", role="admin", project=churn)


@pytest.fixture
def lab(db):
    """A project of its own."""
    return make_project()


@pytest.fixture
def scientist(lab):
    """Who registers data in it."""
    return actor(make_user("ana", role="scientist", project=lab))


@pytest.fixture
def lab_admin(lab):
    """Who keeps its connections."""
    return actor(make_user("adam", role="admin", project=lab))


@pytest.fixture
def allowed(settings):
    """Servers of this machine may be asked."""
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
