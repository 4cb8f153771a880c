"""A lean HTTP client for measurements: one line that is kept alive, ready bytes out, an answer read to its end.

`http.client` parses the head of an answer as a mail: on 2 cores that costs more than some of the answers that are
measured, and it is taken from the server. Both servers are asked by this one.
"""

import re
import socket
import time

IDLE_SECONDS = 3  # MLflow's server closes what is idle for 5
TIMEOUT_SECONDS = 600
_LENGTH = re.compile(rb"\r\ncontent-length:\s*([0-9]+)\s*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked\s*\r\n", re.IGNORECASE)
_PART = 1 << 18


class Refused(AssertionError):
    """A server did not answer 200."""


class _Closed(Exception):
    """The server closed the line before it answered."""


class Line:
    """One line to a server of this machine; every answer but 200 is an error."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._port, self._used = port, 0.0
        given = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._socket: socket.socket | None = None

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send ready bytes and return the answer's: nothing is parsed while the clock runs."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()  # the server may have; the next request opens another
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body or b'')}\r\n\r\n".encode()
        request = head + body if body else head
        try:
            status, content = self._asked(request)
        except (_Closed, ConnectionError):  # it closed at the moment we asked
            self.close()
            status, content = self._asked(request)
        self._used = time.monotonic()
        if status != b"200":
            raise Refused(f"{method} {path}: {status!r} {content[:500]!r}")
        return content

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _asked(self, request: bytes) -> tuple[bytes, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        came = self._more(b"", b"\r\n\r\n")
        head, _, rest = came.partition(b"\r\n\r\n")
        head += b"\r\n"
        if found := _LENGTH.search(head):
            return head[9:12], self._whole(rest, int(found[1]))
        if _CHUNKED.search(head):
            return head[9:12], self._chunks(rest)
        raise Refused(f"an answer without a length: {head[:300]!r}")

    def _more(self, came: bytes, mark: bytes) -> bytes:
        """Read on until a mark came."""
        while mark not in came:
            came += self._part()
        return came

    def _part(self) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(_PART)
        if not part:
            raise _Closed
        return part

    def _whole(self, came: bytes, length: int) -> bytes:
        parts, left = [came], length - len(came)
        while left > 0:
            parts.append(self._part())
            left -= len(parts[-1])
        return b"".join(parts)

    def _chunks(self, came: bytes) -> bytes:
        found = []
        while True:
            came = self._more(came, b"\r\n")
            size, _, came = came.partition(b"\r\n")
            count = int(size.partition(b";")[0], 16)
            came = self._whole(came, count + 2) if len(came) < count + 2 else came
            if not count:
                return b"".join(found)
            found.append(came[:count])
            came = came[count + 2 :]
