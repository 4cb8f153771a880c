"""Run pytest on throw-away servers: everything on SQLite, then on PostgreSQL what may differ there.

Usage: ``scripts/test [--sqlite | --postgres] [pytest arguments]``

What cannot differ between databases runs once, on SQLite, where it costs less
(``docs/adr/0103-less-processor-for-the-tests.md``).

The servers are started here and not in ``conftest.py``, because pytest-django reads
the settings before ``conftest.py`` can set a database. Exit codes: those of pytest;
3 when this machine lacks something, with the reason. Nothing is skipped silently.

Tests start real servers, browsers and clients on a machine that other work may share, so up to five failures are
run again, once and alone (``docs/adr/0024-a-second-try-for-tests.md``); those that pass then are named as unsteady.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import prepared
import services

ROOT = Path(__file__).resolve().parent.parent
FAILED = 1  # pytest: tests ran, and some failed
MAX_TRIED_AGAIN = 5


def environment(folder: Path, extra: dict[str, str]) -> dict[str, str]:
    """Return the environment of one pytest run; nothing of the caller's portal leaks in."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLPORTAL_")}
    # Without stored bytecode each of the hundreds of processes compiles everything anew: a third of what it does.
    for key in ("DATABASE_URL", "REDIS_URL", "PROMETHEUS_MULTIPROC_DIR", "PYTHONDONTWRITEBYTECODE"):
        kept.pop(key, None)
    data = folder / "data"
    data.mkdir()
    return {
        **kept,
        "MLPORTAL_DATA_DIR": str(data),
        "MLPORTAL_SAMPLE_SECONDS": "0",  # tests of it switch it on
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright runs an event loop in the test's thread
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": "1",
        **extra,
    }


def run(database: str, arguments: list[str], chromium: str, *, again: bool) -> int:
    """Run pytest once on one database and return its exit code; again: another database had all tests before."""
    folder = Path(tempfile.mkdtemp(prefix=f"mlp-{database}-"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            extra = {"CHROMIUM": chromium} if chromium else {}
            extra |= stack.enter_context(services.valkey(folder / "v"))
            schema = prepared.folder(database)
            extra["SCHEMA_BY_STEPS"] = str(prepared.steps(database))
            if database == "postgres":
                extra |= stack.enter_context(services.postgres(folder / "p", schema))
                extra["MIGRATED"] = prepared.POSTGRES
            else:
                extra |= {"EXPECT_DB": "sqlite", "MIGRATED": str(shutil.copy(schema / "db.sqlite3", folder))}
            if again:
                extra["ONLY_WHAT_USES_A_DATABASE"] = "1"
            print(f"\n==== pytest on {database} {' '.join(arguments)}", flush=True)
            kept = environment(folder, extra)
            code = pytest(["-o", f"cache_dir={folder / 'cache'}", *arguments], kept)
            return second_try(failures(folder / "cache"), kept) if code == FAILED else code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pytest(arguments: list[str], kept: dict[str, str]) -> int:
    """Run pytest and return its exit code."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=kept, check=False).returncode


def failures(cache: Path) -> list[str]:
    """Names of the tests that failed, as pytest noted them."""
    noted = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(noted.read_text())) if noted.is_file() else []


def second_try(failed: list[str], kept: dict[str, str]) -> int:
    """Run a few failed tests again, one after the other, and name those that pass now."""
    if not 0 < len(failed) <= MAX_TRIED_AGAIN:
        return FAILED
    print(f"\n==== {len(failed)} failed; each once more, alone", flush=True)
    codes = {name: pytest(["-p", "no:cacheprovider", "-q", name], kept) for name in failed}
    for name, code in codes.items():
        print(f"{'FAILED TWICE' if code else 'UNSTEADY: failed, then passed alone'}: {name}", flush=True)
    return max(codes.values())


def wants_browser(arguments: list[str]) -> bool:
    """Tell whether the browser tests may be among the selected ones."""
    paths = [argument for argument in arguments if argument.startswith("tests")]
    return not paths or any("e2e" in path for path in paths)


def main() -> int:
    """Parse our two flags, run, and return the first failure's code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = sys.argv[1:]
    databases = ["sqlite", "postgres"]
    for flag in ("--sqlite", "--postgres"):
        if flag in arguments:
            arguments.remove(flag)
            databases = [flag.strip("-")]
    try:
        chromium = services.browser() if wants_browser(arguments) else ""
        codes = [run(name, arguments, chromium, again=name != databases[0]) for name in databases]
    except services.Missing as problem:
        print(f"scripts/test: {problem}", file=sys.stderr)
        return 3
    if len(databases) == 1 and not arguments:
        print(f"Note: only {databases[0]} was tested; a full run tests both databases.")
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
