"""Give the throw-away PostgreSQL, which listens on a socket file, a port on this machine for a while."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def forwarded(place: str) -> Iterator[int]:
    """Port that leads to the server; ``place`` is the folder of its socket, or a host that has a port itself."""
    if not place.startswith("/"):
        yield int(os.environ.get("PGPORT", "5432"))
        return
    target = next(Path(place).glob(".s.PGSQL.*[0-9]"))
    door = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_accept, args=(door, str(target)), daemon=True)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join()


def _accept(door: socket.socket, target: str) -> None:
    pumps: list[threading.Thread] = []
    ends: list[socket.socket] = []
    with suppress(OSError):
        while True:
            outside, _address = door.accept()
            inside = socket.socket(socket.AF_UNIX)
            ends += [outside, inside]
            inside.connect(target)
            for pair in ((outside, inside), (inside, outside)):
                pumps.append(threading.Thread(target=_pump, args=pair, daemon=True))
                pumps[-1].start()
    for pump in pumps:
        pump.join()
    for end in ends:
        end.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            sink.sendall(part)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
