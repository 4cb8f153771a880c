"""A new database is made at once, an old one step by step; both must end alike, but for the order of columns."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
MIGRATE = """
import django, sys
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
executor = MigrationExecutor(connection)
executor.loader = MigrationLoader(connection, replace_migrations=sys.argv[1] == "at once")
ends = executor.loader.graph.leaf_nodes()
executor.migrate(ends if sys.argv[1] == "at once" else [end for end in ends if "_squashed_" not in end[1]])
with connection.cursor() as cursor:
    cursor.execute(sys.argv[2])
    for row in sorted(cursor.fetchall()):
        print(*row, sep=" | ")
"""
SQLITE = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE name <> 'sqlite_sequence'"
POSTGRES = """
SELECT 'column', table_name::text, column_name::text, data_type || ' ' || is_nullable
  || coalesce(column_default, '') || coalesce(collation_name, '') || coalesce(character_maximum_length::text, '')
  FROM information_schema.columns WHERE table_schema = 'public'
UNION SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid)
  FROM pg_trigger WHERE NOT tgisinternal
UNION SELECT 'function', '', proname::text, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


def described(folder: Path, way: str) -> list[str]:
    """Migrate an empty database and describe its schema, a line for each thing."""
    folder.mkdir()
    kept = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    kept |= {"MLPORTAL_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    question = SQLITE
    if connection.vendor == "postgresql":
        name, question = f"schema_{uuid.uuid4().hex}", POSTGRES
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
            own.execute(f"CREATE DATABASE {name}")
        kept["DATABASE_URL"] = f"postgresql:///{name}"
    command = [sys.executable, "-c", MIGRATE, way, question]
    done = subprocess.run(command, env=kept, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # What a table has on SQLite, without its order.
    return [", ".join(sorted(line.removesuffix(")").split(", "))) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.django_db
def test_both_ways_lead_to_the_same_schema(tmp_path):
    at_once, by_steps = described(tmp_path / "a", "at once"), described(tmp_path / "b", "by steps")
    assert len(at_once) > 200
    assert sorted(set(at_once) ^ set(by_steps)) == []
