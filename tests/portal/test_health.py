"""Health pages against real parts and missing ones."""

import pytest
from django.core.cache import caches

from mlportal import health

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(health, "_told", {})
    health._memory.__dict__.clear()


@pytest.fixture
def broker_away(settings):
    """A cache address where nothing listens."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///nonexistent/broker.sock",
        }
    }


def test_livez_answers_without_any_part(client, broker_away):
    answer = client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "parts": {}})


def test_healthz_names_the_database(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "parts": {"database": "up"}})


def test_readyz_says_which_parts_are_down(client, settings):
    settings.SERVE_URL = "http://127.0.0.1:9"
    health.beat("worker")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "parts": {
            "database": "up",
            "migrations": "up",
            "broker": "up",
            "worker": "up",
            "beat": "down",
            "serve": "down",
        },
    }
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Cache-Control"] == "no-store"


def test_readyz_without_broker_is_an_answer_not_an_error(client, settings, broker_away):
    settings.SERVE_URL = "http://127.0.0.1:9"
    parts = client.get("/readyz").json()["parts"]
    assert {name for name, state in parts.items() if state == "up"} == {"database", "migrations"}


def test_missing_migration_is_not_ready(monkeypatch):
    class Executor(health.MigrationExecutor):
        def migration_plan(self, targets):
            return super().migration_plan(targets, clean_start=True)

    monkeypatch.setattr(health, "MigrationExecutor", Executor)
    monkeypatch.setattr(health, "_migrated", health.threading.Event())
    assert health.check(["migrations"]) == {"migrations": False}


def test_beat_is_heard_here_until_it_falls_silent(monkeypatch):
    assert health.heard_here("worker") is False
    health.beat("worker")
    assert health.heard_here("worker") is True
    monkeypatch.setattr(caches["default"], "key_prefix", "empty")  # to clear it would clear that of other tests
    assert health.heard_here("worker") is False
    health.beat("worker")
    assert health.heard_here("worker") is False, "a part tells only every few seconds"


def test_beat_without_broker_is_silent(broker_away):
    health.beat("worker")
    assert health.heard_here("worker") is False
