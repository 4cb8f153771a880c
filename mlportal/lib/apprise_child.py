"""A process that sends one notification through Apprise and ends. It may reach public addresses only.

Apprise speaks to some 170 services, each in code of its own, so checking its address would not be enough: an answer
may redirect, a name may resolve anew. An audit hook, which nothing in the process can take off again, looks at every
address a socket is about to use, and at every attempt to start a program or to write a file.

Reads ``{"url", "title", "body", "allow": [...]}`` from the standard input; writes ``{"sent": bool, "fault": str}``.
"""

import ipaddress
import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlportal.lib.http import is_public

# These show something on this machine, run what is on it, or write here; none of them reaches a person.
LOCAL = frozenset(
    {
        "dbus", "kde", "qt", "glib", "gio", "gnome", "macosx", "windows", "win", "syslog", "rsyslog", "file", "plugin",
        "mqtt", "mqtts", "irc", "ircs", "xmpp", "xmpps", "smpp", "smpps", "ncat", "vapid",
    }
)  # fmt: skip
FORBIDDEN = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.remove"}
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Forbidden(OSError):
    """Something that a notification has no need of."""


def allowed_numbers(allow: Sequence[str]) -> frozenset[tuple[str, int]]:
    """Addresses and ports of the ``host`` or ``host:port`` that the operator allows; port 0 is any."""
    found: set[tuple[str, int]] = set()
    for one in allow:
        host, _, port = one.rpartition(":") if one.rpartition(":")[2].isdecimal() else (one, "", "0")
        try:
            entries = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
        except OSError:
            continue
        found |= {(str(entry[4][0]), int(port)) for entry in entries}
    return frozenset(found)


def guard(numbers: frozenset[tuple[str, int]], servers: frozenset[str]) -> None:
    """Let this process reach public addresses, what the operator allows and its name servers; nothing else."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            check_address(arguments[1], numbers, servers)
        elif event in ("socket.bind", *FORBIDDEN):
            raise Forbidden(f"not allowed here: {event}")
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            raise Forbidden("not allowed here: writing a file")

    sys.addaudithook(hook)


def check_address(address: Any, numbers: frozenset[tuple[str, int]], servers: frozenset[str]) -> None:
    """Refuse an address of a socket unless it is public or allowed."""
    if address is None:
        return
    if not isinstance(address, tuple) or len(address) < 2:
        raise Forbidden("not allowed here: a socket of this machine")
    host, port = str(address[0]).partition("%")[0], int(address[1])
    if (host, port) in numbers or (host, 0) in numbers or (port == 53 and host in servers):
        return
    try:
        public = is_public(ipaddress.ip_address(host))
    except ValueError:
        public = False  # a name that is not resolved yet: nothing we start connects that way
    if not public:
        raise Forbidden(f"{host} is an internal address; an administrator can allow its host.")


def name_servers() -> frozenset[str]:
    """Addresses that this machine asks for names."""
    try:
        with Path("/etc/resolv.conf").open(encoding="utf-8", errors="replace") as file:
            return frozenset(
                line.split()[1] for line in file if line.startswith("nameserver") and len(line.split()) > 1
            )
    except OSError:
        return frozenset()


def send(url: str, title: str, body: str) -> dict[str, Any]:
    """Send one notification; the fault says why not, without the address, which holds secrets."""
    import apprise

    if url.partition("://")[0].strip().lower() in LOCAL:
        return {"sent": False, "fault": "This kind of address stays on this machine or is not supported."}
    words: list[str] = []
    log = logging.getLogger("apprise")
    log.addHandler(_Words(words))
    log.setLevel(logging.WARNING)
    asset = apprise.AppriseAsset(secure_logging=True, plugin_paths=[], storage_mode=apprise.PersistentStoreMode.MEMORY)
    door = apprise.Apprise(asset=asset)
    if not door.add(url):
        return {"sent": False, "fault": "Apprise does not know this kind of address, or a part of it is missing."}
    sent = bool(door.notify(title=title, body=body, interpret_escapes=False))
    return {"sent": sent, "fault": "" if sent else "; ".join(words)[:300] or "The service did not take it."}


class _Words(logging.Handler):
    """Keeps what Apprise says about a failure."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self.words = words

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.words.append(record.getMessage()[:200])


def main() -> None:
    """Read the task, close the doors, send, say how it went."""
    task = json.load(sys.stdin)
    numbers, servers = allowed_numbers(task["allow"]), name_servers()
    import apprise  # noqa: F401 - its modules are read before the doors close

    guard(numbers, servers)
    json.dump(send(task["url"], task["title"], task["body"]), sys.stdout)


if __name__ == "__main__":
    main()
