"""Fixtures of every test. Servers are started by ``scripts/test``, before Django reads its settings."""

import gc
import logging
import os
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache import caches
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from experiments.metricstore import folding, keys
from mlportal.lib import queue, throttle
from projects.services import passwords

# The real hasher with one round: a suite that signs in a thousand times is not about its cost.
PBKDF2PasswordHasher.iterations = 1

# Two lines a request, each written by three handlers and kept with its request until the end of the test.
logging.getLogger().setLevel(logging.WARNING)

# Pages of tests name static files plainly; the hashed names need a collection, which test_assets makes.
settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
settings.STATIC_ROOT = str(settings.DATA_DIR / "static")
Path(settings.STATIC_ROOT).mkdir(exist_ok=True)  # whitenoise warns when it is missing
settings.WHITENOISE_USE_FINDERS = False  # it would look for every static file again for each client of a test


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to run on another database than the one the caller meant."""
    expected = os.environ.get("EXPECT_DB")
    if expected and connection.vendor != expected:
        raise pytest.UsageError(f"EXPECT_DB is {expected}, but the settings give {connection.vendor}")


def pytest_collection_finish() -> None:
    """Look seldom for circles of objects, and never among thousands of collected tests: a tenth of the processor."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


# Python keeps its frames in pieces of 16 KB. At each call over an edge it asks the system for one and gives it back,
# tens of thousands of times a second where a query is compiled deep below a test: a third of the processor. Below a
# frame that needs a large piece, what is called finds room in the rest of it.
FRAME = 200_000  # words: its piece has 2 MB, of which 0.5 are left


def roomy(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function below a frame of that size."""

    def room(*arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    room.__code__ = room.__code__.replace(co_stacksize=FRAME)
    return room


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Run a test as pytest does, with room for its frames."""
    runner = item.config.pluginmanager.get_plugin("runner")
    return roomy(runner.pytest_runtest_protocol)(item=item, nextitem=nextitem)


# Minutes in one file: begun last, they would leave the other worker idle.
LONG = ("tests/e2e/", "tests/mlflow/", "tests/cli/", "tests/faults/", "tests/portal/", "tests/house/", "tests/serve/")


# Tests of processes of their own that run on both databases. Others that start a portal run once (ADR 57 and 103): they
# look at pages that the tests of views ask for on both, or send what those named here send there too.
OWN_PORTAL = (
    "tests/cli/test_admin.py::test_two_commands", "tests/deployments/serve/", "tests/e2e/test_line.py", "tests/faults/",
    "tests/mlflow/test_newest_by_token", "tests/portal/test_web_killed",
)  # fmt: skip
# Use rows, but judge what every database does alike: whose rows a route opens at all, and that looking writes nothing.
NO_QUESTION_OF_ROWS = ("tests/house/test_doors",)


def uses_a_database(item: pytest.Item) -> bool:
    """Tell whether the outcome of a test may hang on the kind of database."""
    if item.nodeid.startswith(NO_QUESTION_OF_ROWS):
        return False
    fixtures = {"db", "transactional_db"} & set(getattr(item, "fixturenames", ()))
    return bool(fixtures or item.get_closest_marker("django_db") or item.nodeid.startswith(OWN_PORTAL))


def meant_here(item: pytest.Item) -> bool:
    """Tell whether a test is about this database: the other pass runs what is about the other one."""
    only = item.get_closest_marker("only_on")
    if only and connection.vendor not in only.args:
        return False
    return uses_a_database(item) or not os.environ.get("ONLY_WHAT_USES_A_DATABASE")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the long files, whatever order was drawn for the rest; run once what touches no database."""
    left = [item for item in items if not meant_here(item)]
    if left:
        items[:] = [item for item in items if meant_here(item)]
        config.hook.pytest_deselected(items=left)
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:  # several processes share tests by their names, and would run one of those that share a name
        raise pytest.UsageError(f"Tests of the same name: {', '.join(twice[:5])}")
    items.sort(key=lambda item: next((at for at, place in enumerate(LONG) if item.nodeid.startswith(place)), len(LONG)))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """Begin on a copy of the database that ``scripts/test`` migrated, where it did."""
    migrated, test = os.environ.get("MIGRATED"), connection.settings_dict["TEST"]
    if migrated and connection.vendor == "postgresql":
        test["TEMPLATE"] = migrated
    elif migrated:
        shutil.copy(migrated, test["NAME"])


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_keepdb):
    """Take the copy as it lies there."""
    return django_db_keepdb or bool(os.environ.get("MIGRATED") and connection.vendor == "sqlite")


# What Django writes behind each migration and never changes: left in place, it need not be written again.
OF_MIGRATIONS = ("django_content_type", "auth_permission")
GUARDS = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'"


def empty() -> None:
    """Delete the rows of the few tables that have some: to truncate all makes the files of a hundred anew.

    The append-only tables are emptied the only way there is: without their triggers.
    """
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [name for name in tables if name not in OF_MIGRATIONS]
    with transaction.atomic(), connection.cursor() as cursor:
        emptied = empty_on_postgres if connection.vendor == "postgresql" else empty_on_sqlite
        emptied(cursor, tables)


def empty_on_postgres(cursor: CursorWrapper, tables: list[str]) -> None:
    """Wait for whoever still writes, as a truncation does, and delete."""
    quote = connection.ops.quote_name
    cursor.execute(f"LOCK TABLE {', '.join(map(quote, tables))}")
    cursor.execute("SET LOCAL session_replication_role = replica")
    cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {quote(name)})" for name in tables))
    for (name,) in cursor.fetchall():
        cursor.execute(f"DELETE FROM {quote(name)}")


def empty_on_sqlite(cursor: CursorWrapper, tables: list[str]) -> None:
    """Delete, and put the triggers back as they were."""
    quote = connection.ops.quote_name
    cursor.execute(GUARDS)
    guards = cursor.fetchall()
    filled = [name for name in tables if cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {quote(name)})").fetchone()[0]]
    guards = [(name, sql) for name, table, sql in guards if table in filled]
    for name, _ in guards:
        cursor.execute(f"DROP TRIGGER {quote(name)}")
    for name in filled:
        cursor.execute(f"DELETE FROM {quote(name)}")
    for _, sql in guards:
        cursor.execute(sql)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Empty the tables behind a test that commits by our own statements."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(connection.ops), "execute_sql_flush", lambda *_: empty())
        patch.setattr("django.core.management.commands.flush.emit_post_migrate_signal", lambda *_, **__: None)
        yield


GENERATORS: dict[str, list[tuple[np.random.Generator, dict]]] = {}


def generators(room: ModuleType) -> list[tuple[np.random.Generator, dict]]:
    """Return the random generators of a module, each with where it started."""
    if room.__name__ not in GENERATORS:
        found = [value for value in vars(room).values() if isinstance(value, np.random.Generator)]
        GENERATORS[room.__name__] = [(generator, generator.bit_generator.state) for generator in found]
    return GENERATORS[room.__name__]


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order(request):
    """Start every random generator of a test module or a factory where it started its first test.

    Tests run in a random order; what a statistical test draws must not hang on who drew before it.
    """
    rooms = [request.module, *(module for name, module in sys.modules.items() if name.startswith("tests.factories."))]
    for room in rooms:
        for generator, start in generators(room):
            generator.bit_generator.state = start


@pytest.fixture(autouse=True)
def _own_cache_keys(monkeypatch):
    """Limits counted in one test must not reach another, in this process or beside it."""
    monkeypatch.setattr(caches["default"], "key_prefix", uuid.uuid4().hex)


@pytest.fixture(autouse=True)
def _nothing_remembered():
    """What a process remembers and counts belongs to rows that are gone with the test that made them.

    Forgotten behind each test and not before it: fixtures of a module are made before those of its first test.
    """
    yield
    keys.forget()
    passwords.forget()
    throttle._own.clear()
    queue.forget()
    folding._calls.clear()
