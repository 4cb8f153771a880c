"""Wrong input of every kind on every REST route: never a 5xx, always the one problem shape."""

import os
from contextlib import contextmanager
from functools import cache
from zlib import crc32

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, transaction
from hypothesis import HealthCheck, settings

from tests.factories.projects import make_token, make_user
from tests.house.routes import routes
from tests.house.world import make_world

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    # the generator's client does not close the files of downloads
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
    # it writes no Parquet; that route gets bodies of its other kinds
    pytest.mark.filterwarnings("ignore:Skipped test cases with unsupported payload:UserWarning"),
]
EXAMPLES = 8
EVERY = bool(os.environ.get("FUZZ_EVERY_ROUTE"))  # ``make faults`` does
# Bodies that a generator seldom finds: each is sent to every route that takes JSON.
BODIES = [
    b"",
    b"{",
    b"[" * 100_000,
    b"null",
    b"[]",
    b'"text"',
    b'{"a": NaN}',
    b'{"a": 1, "a": 2}',
    b'{"name": "\\u0000"}',
    b'{"name": "\\ud800"}',
    b"\xff\xfe\x00",
    b'{"n": ' + b"9" * 5000 + b"}",
]


@cache
def portal():
    """The portal as one application; made late, since every process of a test run imports this module."""
    return get_wsgi_application()


def application(environ, start_response):
    return portal()(environ, start_response)


@pytest.fixture
def described(request):
    """The API's own description."""
    request.node._nodeid = request.node.nodeid  # where pytest kept it before 9.2, and schemathesis 4.32 looks for it
    return schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)


def is_tried_here(context) -> bool:
    """Whether this database tries the route: each tries half of them, since all of them take two minutes."""
    return EVERY or crc32(context.operation.label.encode()) % 2 == (connection.vendor == "sqlite")


schema = schemathesis.pytest.from_fixture("described").include(is_tried_here)


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker):
    """Rows to aim at, and the token of a person who may do everything.

    Made once, since it takes seconds, in a transaction around all tests here: each call is rolled back to it.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        made = make_world()
        person = make_user("fuzz", is_site_admin=True)
        for role in ("admin", "manager"):
            made.project.memberships.create(user=person, role=role)
        everything = ["read", "write", "train", "register", "approve", "deploy", "predict", "alerts", "admin"]
        yield made, make_token(person, None, everything)
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _kept_connection():
    """Do not close the connection, and with it the transaction, around a call; Django's client connects this again."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@contextmanager
def rolled_back():
    """A transaction that never stays, so that one call does not change what the next one meets."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def aim(case, made) -> None:
    """Point a generated call at rows that exist, so that the body is what is tried."""
    parts = case.operation.path.split("/")
    for position, part in enumerate(parts):
        if part.startswith("{"):
            word = next(each for each in reversed(parts[:position]) if each and not each.startswith("{"))
            name = part.strip("{}")
            value = made.values.get(f"{word}/{name}", made.values.get(word))
            if value is not None and case.path_parameters:
                case.path_parameters[name] = value


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_generated_input_gets_an_answer(case, world):
    made, token = world
    aim(case, made)
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
    with rolled_back():
        answer = case.call()
    assert answer.status_code < 500 or answer.status_code == 503, f"{answer.status_code}: {answer.content[:500]!r}"
    if answer.status_code >= 400 and answer.content:
        assert answer.headers["content-type"][0].startswith("application/problem+json")
        assert {"status", "code", "message"} <= set(answer.json())


WRITES = [route for route in routes() if route.is_api and route.method in ("POST", "PUT", "PATCH")]


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_broken_bodies_are_refused(route, world, client):
    made, token = world
    for body in BODIES:
        with rolled_back():
            answer = client.generic(
                route.method, route.address(made.values), body, content_type="application/json",
                HTTP_AUTHORIZATION=f"Bearer {token}",
            )  # fmt: skip
        # The one answer of its kind: it tells a client of MLflow to send a file in one piece.
        asked_for = answer.status_code == 501 and "/mpu/" in route.pattern
        assert answer.status_code < 500 or asked_for, f"{body[:60]!r}: {answer.content[:500]!r}"
