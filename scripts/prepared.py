"""Databases that have the schema already: made once for each state of the migrations, copied from then on.

To apply all migrations takes half a minute, and a run of all tests begins on sixty empty databases.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import services

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlportal-tests"
MOST_KEPT = 12
POSTGRES = "migrated"  # the database that others are made from
# What else the schema follows from, as the test of it sees it.
BESIDE_MIGRATIONS = ("tests/house/test_schema.py", "mlportal/lib/schema.py", "mlportal/lib/columns.py")


def state() -> str:
    """Return a digest of what the schema follows from: our migrations and the versions of the libraries."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted([*ROOT.glob("*/migrations/*.py"), *ROOT.glob("requirements/*.txt")]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def steps(database: str) -> Path:
    """Return the file where the test of the schema keeps what the migrations end in, made one after the other."""
    digest = hashlib.sha256()
    for path in BESIDE_MIGRATIONS:
        digest.update((ROOT / path).read_bytes())
    return CACHE / f"{database}-{state()}-{digest.hexdigest()[:16]}.steps"


def folder(database: str) -> Path:
    """Return the folder with a SQLite file, or of a stopped PostgreSQL server, that has the schema."""
    place = CACHE / f"{database}-{state()}"
    if not place.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        _make(database, place)
        _forget_old()
    os.utime(place)
    return place


def _make(database: str, place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mlp-schema-") as given:
        work = Path(given)
        work.chmod(0o755)  # the server runs as another user
        if database == "postgres":
            with services.postgres(work / "p") as reached:
                _create(reached)
                _migrate(work / "data", reached | {"DATABASE_URL": f"postgresql:///{POSTGRES}"})
            made = work / "p" / "data"
        else:
            made = work / "data"
            _migrate(made, {})
        part = Path(tempfile.mkdtemp(dir=CACHE))
        shutil.copytree(made, part, dirs_exist_ok=True)
    try:
        part.rename(place)
    except OSError:  # another run was faster
        shutil.rmtree(part)


def _create(reached: dict[str, str]) -> None:
    for _ in range(300):  # a server that has begun to listen may still be starting up
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(
                host=reached["PGHOST"], user=reached["PGUSER"], dbname="postgres", autocommit=True
            ) as connection,
        ):
            connection.execute(f"CREATE DATABASE {POSTGRES}")
            return
        time.sleep(0.1)
    raise services.Missing("the test server did not accept a connection in 30 s")


def _migrate(data: Path, extra: dict[str, str]) -> None:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith("MLPORTAL_") and key != "DATABASE_URL"
    }
    data.mkdir()
    command = [sys.executable, "manage.py", "migrate", "--skip-checks", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env={**kept, "MLPORTAL_DATA_DIR": str(data), **extra}, check=True)


def _forget_old() -> None:
    known = sorted(CACHE.iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in known[MOST_KEPT:]:
        place.unlink() if place.is_file() else shutil.rmtree(place, ignore_errors=True)
