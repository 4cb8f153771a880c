"""A portal with large projects, for the measurements of its pages."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.rival import services
from tests.portal.running import ROOT, Login, Portal, running

SIZES = {"ten": 10_000, "hundred": 100_000}


@dataclass(frozen=True)
class Filled:
    """A running portal whose projects hold as many runs as ``SIZES`` says."""

    portal: Portal
    owner: str
    login: Login
    projects: tuple[str, ...]


@contextmanager
def filled(database: str) -> Iterator[Filled]:
    """Start a portal on ``"sqlite"`` or ``"postgres"``, fill its projects, stop it at the end; takes minutes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="filled-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        server = stack.enter_context(services.postgres(folder / "p")) if database == "postgres" else {}
        server.pop("EXPECT_DB", None)
        portal = stack.enter_context(running(folder / "portal", **server))
        login = portal.people("ada")["ada"]
        for slug, runs in SIZES.items():
            portal.admin(f"project add {slug} --owner ada")
            command = [sys.executable, "-m", "mlportal.cli", "fixture", "--project", slug, "--runs", str(runs)]
            subprocess.run(command, env=portal.environment, cwd=ROOT, check=True, stdout=sys.stderr)
        yield Filled(portal, "ada", login, tuple(SIZES))


def chosen() -> str:
    """Return the database that the command names, SQLite without a name."""
    return "postgres" if "postgres" in sys.argv[1:] else "sqlite"
