"""A real OpenID Connect provider in a process of its own, and a server before it that can lie."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit

Tamper = Callable[[str, bytes], bytes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


class Provider:
    """What tests say to it. ``tamper`` changes the answers on their way."""

    def __init__(self, port: int, own_port: int) -> None:
        self.issuer = f"http://127.0.0.1:{own_port}"
        self.port = port
        self.tamper: Tamper | None = None
        self.seen: list[str] = []
        self.down = False

    def person(self, sub: str, **claims: Any) -> None:
        """Somebody the provider knows."""
        body = json.dumps(claims).encode()
        assert call(self.port, "PUT", f"/users/{sub}", body, {"Content-Type": "application/json"})[0] == 204

    def agree(self, address: str, sub: str) -> str:
        """Sign in there as a person and agree; gives the address the browser is sent back to."""
        parts = urlsplit(address)
        path, form = f"{parts.path}?{parts.query}", urlencode({"sub": sub}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Host": parts.netloc}
        status, headers, body = call(self.port, "POST", path, form, kind)
        assert status == 302, body[:500]
        return headers["location"]


class Before(BaseHTTPRequestHandler):
    """Hands calls on, with the answer as it comes or changed."""

    provider: Provider

    def forward(self) -> None:
        where = self.provider
        where.seen.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if where.down:
            self.send_error(503)
            return
        status, headers, content = call(where.port, self.command, self.path, body, dict(self.headers.items()))
        if where.tamper is not None:
            content = where.tamper(urlsplit(self.path).path, content)
        self.send_response(status)
        for name, value in headers.items():
            if name not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = forward  # noqa: N815 - the names the base class calls

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running() -> Iterator[Provider]:
    """Start both."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)],
        env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    handler = type("Handler", (Before,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.provider = provider = Provider(port, server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    try:
        _wait(process, port)
        thread.start()
        yield provider
    finally:
        process.kill()
        process.wait()
        if thread.is_alive():
            server.shutdown()
            thread.join()
        server.server_close()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the provider ended"
        try:
            if call(port, "GET", "/jwks")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the provider did not start")
