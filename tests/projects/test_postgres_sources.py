"""Imports from PostgreSQL: the throw-away server, asked over TCP through the guarded door."""

import os

import pyarrow.parquet as pq
import pytest
from django.db import connection as database

from projects.models import DatasetImport
from projects.services import connections, imports, tables
from tests.projects.forwarding import forwarded
from tests.projects.importing import PASSWORD, run

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.only_on("postgresql")]


@pytest.fixture
def store(lab_admin, lab, settings):
    """A connection to the throw-away server over TCP; a proxy gives its socket a port."""
    socket = os.environ.get("PGHOST") or database.settings_dict["HOST"]
    with forwarded(socket) as port:
        settings.OUTBOUND_ALLOW = [f"127.0.0.1:{port}"]
        facts = {
            "host": "127.0.0.1", "port": port, "database": database.settings_dict["NAME"],
            "user": os.environ.get("PGUSER", "postgres"), "sslmode": "prefer",
        }  # fmt: skip
        yield connections.create(lab_admin, project=lab, name="store", kind="postgres", facts=facts, secret=PASSWORD)


def query(scientist, lab, text: str) -> DatasetImport:
    started = imports.start(
        scientist, project=lab, name="rows", kind="postgres", spec={"query": text}, connection="store"
    )
    return run(started)


def test_a_query_becomes_a_typed_version(scientist, lab, store):
    text = (
        "SELECT g AS n, g * 0.5::numeric AS half, 'word ' || g AS w, g % 2 = 0 AS even, "
        "timestamptz '2026-01-01 00:00+02' + g * interval '1 day' AS at, "
        "CASE WHEN g > 3 THEN g END AS late FROM generate_series(1, 12000) g ORDER BY g;"
    )
    found = query(scientist, lab, text)
    version = found.version
    assert (found.outcome, found.fetched_rows, version.row_count) == ("created", 12_000, 12_000)
    assert [column["kind"] for column in version.schema] == ["id", "numeric", "text", "boolean", "datetime", "integer"]
    first = pq.read_table(tables.paths(version)[0]).slice(0, 1).to_pylist()[0]
    assert (first["n"], first["half"], first["w"], first["even"], first["late"]) == (1, 0.5, "word 1", False, None)
    assert first["at"].isoformat() == "2026-01-01T22:00:00"
    assert version.source["query"] == text.rstrip(";")
    assert run(imports.refresh(scientist, version=version)).outcome == "unchanged"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DELETE FROM projects_user RETURNING id", "The database refused the query"),
        ("SELECT 1; COMMIT; CREATE TABLE stolen (a int)", "cannot insert multiple commands"),
        ("SELECT nextval('projects_user_id_seq')", "read-only transaction"),
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 AS a, 2 AS a", "The query gives two columns named 'a'; name one with AS."),
        ("SELECT 1 AS a WHERE false", "The query gives no rows."),
    ],
)
def test_a_query_can_only_read_and_says_what_is_wrong(scientist, lab, store, text, words):
    found = query(scientist, lab, text)
    assert found.state == "failed"
    assert words in found.failure


def test_a_query_is_bounded_in_rows_and_time(scientist, lab, store, settings):
    settings.IMPORT_ROWS = 100
    assert query(scientist, lab, "SELECT g FROM generate_series(1, 6000) g").failure == (
        "The query gives more than 100 rows."
    )
    settings.IMPORT_SECONDS = 1
    slow = query(scientist, lab, "SELECT pg_sleep(60)")
    assert slow.state in ("timed_out", "failed")
    assert "1 second" in slow.failure or "statement timeout" in slow.failure
