"""A new database is made at once, an old one step by step; both must end alike, but for the order of columns."""

import os
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
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


def empty(folder: Path) -> dict[str, str]:
    """Make an empty database and return the environment that reaches it."""
    folder.mkdir()
    kept = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    kept |= {"MLPORTAL_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    if connection.vendor == "postgresql":
        kept["DATABASE_URL"] = f"postgresql:///{created('template1')}"
    return kept


def created(template: str) -> str:
    name = f"schema_{uuid.uuid4().hex}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
        own.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


def migrated(folder: Path, way: str) -> list[str]:
    """Migrate an empty database and describe its schema."""
    kept = empty(folder)
    command = [sys.executable, "-c", MIGRATE, way]
    done = subprocess.run(command, env=kept, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return described(kept["DATABASE_URL"] if connection.vendor == "postgresql" else str(folder / "db.sqlite3"))


def at_once(folder: Path) -> list[str]:
    """Describe the database that ``scripts/test`` migrated at once for all tests, or migrate one."""
    ready = os.environ.get("MIGRATED")
    if not ready:
        return migrated(folder, "at once")
    return described(f"postgresql:///{created(ready)}" if connection.vendor == "postgresql" else ready)


def by_steps(folder: Path) -> list[str]:
    """Describe what one migration after the other makes: as it was found for these very migrations, or now."""
    kept = Path(os.environ.get("SCHEMA_BY_STEPS") or folder / "steps")
    if not kept.exists():
        part = kept.with_name(f"{kept.name}-{uuid.uuid4().hex}")
        part.write_text("\n".join(migrated(folder / "b", "by steps")))
        part.rename(kept)
    return kept.read_text().split("\n")


def described(place: str) -> list[str]:
    """Describe the schema of a database, a line for each thing."""
    if connection.vendor == "postgresql":
        with psycopg.connect(place) as own:
            rows = own.execute(POSTGRES).fetchall()
    else:
        with closing(sqlite3.connect(place)) as own:
            rows = own.execute(SQLITE).fetchall()
    lines = "\n".join(" | ".join(map(str, row)) for row in sorted(rows)).splitlines()
    # What a table has on SQLite, without its order.
    return [", ".join(sorted(line.removesuffix(")").split(", "))) for line in lines]


@pytest.mark.slow
@pytest.mark.django_db
def test_both_ways_lead_to_the_same_schema(tmp_path):
    new, old = at_once(tmp_path / "a"), by_steps(tmp_path)
    assert len(new) > 200
    assert sorted(set(new) ^ set(old)) == []
