"""The portal's MLflow door over HTTP, with the standard library only.

Each thread keeps one connection. What is refused because of load is tried again; a call that must not happen twice and
whose answer was lost raises `Lost`, and its caller looks whether it happened.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from mlportal import __version__
from mlportal.cli.credentials import Credentials
from mlportal.cli.errors import FORBIDDEN, MISSING, REFUSED, UNAVAILABLE, Failure

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
TRIES = 8
LONGEST_PAUSE = 20.0
TIMEOUT = 300
BUSY = {408, 429, 503}
UNSURE = {500, 502, 504}
CODES = {403: FORBIDDEN, 404: MISSING}
PAGE = 1000

Made = TypeVar("Made")


class Refused(Exception):
    """The portal took this call and said no; other calls may well succeed."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Lost(Exception):
    """No answer came: the call happened or not."""


class Door:
    """The door of one project.

    Parameters
    ----------
    credentials
        Address, token and project; without a project the token's own one is used.
    """

    def __init__(self, credentials: Credentials) -> None:
        at = urlsplit(credentials.url)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise Failure(f"{credentials.url!r} is no address: give one like https://ml.example.org", REFUSED)
        self.url = credentials.url
        self._kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
        self._host, self._port = at.hostname, at.port
        self._prefix = at.path.rstrip("/") + (
            f"/p/{quote(credentials.project, safe='')}" if credentials.project else ""
        )
        self._headers = {"Authorization": f"Bearer {credentials.token}", "User-Agent": f"mlportal-cli/{__version__}"}
        self._local = threading.local()

    def greet(self) -> None:
        """Fail at once, not after many tries, when nobody is there or the token is wrong."""
        try:
            self._once("GET", f"{API}experiments/get?experiment_id=0", b"")
        except Lost as problem:
            raise Failure(f"{self.url} does not answer: {problem}", UNAVAILABLE) from None
        except Refused as refused:
            raise Failure(str(refused), CODES.get(refused.status, REFUSED)) from None

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read."""
        wanted = urlencode({key: value for key, value in query.items() if value not in (None, "")})
        return self._repeated("GET", f"{API}{path}" + (f"?{wanted}" if wanted else ""), b"")

    def post(self, path: str, body: dict[str, Any], method: str = "POST") -> dict[str, Any]:
        """Do what may happen twice."""
        return self._repeated(method, API + path, _encoded(body))

    def make(
        self, path: str, body: dict[str, Any], found: Callable[[], Made | None], made: Callable[[Any], Made]
    ) -> Made:
        """Create what must not be there twice: after a lost answer look for it before trying again."""
        for tried in range(TRIES):
            try:
                return made(self._once("POST", API + path, _encoded(body)))
            except Lost as problem:
                last: Exception = problem
                time.sleep(_pause(tried))
                if (there := found()) is not None:
                    return there
        raise Failure(f"{self.url} does not answer: {last}; run the same command again to go on", UNAVAILABLE)

    def pages(self, path: str, body: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        """Yield what a search finds, page by page."""
        token = ""
        while True:
            answer = self.post(path, body | ({"page_token": token} if token else {}))
            yield from answer.get(name) or []
            token = answer.get("next_page_token") or ""
            if not token:
                return

    def history(self, run: str, key: str) -> Iterator[dict[str, Any]]:
        """Yield all points of one metric."""
        token = ""
        while True:
            answer = self.get("metrics/get-history", run_id=run, metric_key=key, max_results=25000, page_token=token)
            yield from answer.get("metrics") or []
            token = answer.get("next_page_token") or ""
            if not token:
                return

    def upload(self, path: str, file: Path) -> None:
        """Send a file; it is read from the disk piece by piece."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        self._repeated("PUT", f"{FILES}/{quote(path)}", file, headers)

    def files(self, folder: str) -> dict[str, int]:
        """Return size by path for all files below a folder; paths are relative to it."""
        found: dict[str, int] = {}
        waiting = [""]
        while waiting:
            below = waiting.pop()
            place = f"{folder}/{below}".rstrip("/")
            answer = self._repeated("GET", f"{FILES}?{urlencode({'path': place})}", b"")
            for entry in answer.get("files") or []:
                path = f"{below}/{entry['path']}".lstrip("/")
                if entry.get("is_dir"):
                    waiting.append(path)
                else:
                    found[path] = int(entry.get("file_size") or 0)
        return found

    def _repeated(self, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
        last: Exception | None = None
        for tried in range(TRIES):
            try:
                return self._once(method, path, body, headers)
            except Lost as problem:
                last = problem
                time.sleep(_pause(tried))
        raise Failure(f"{self.url} does not answer: {last}; run the same command again to go on", UNAVAILABLE)

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
        for tried in range(TRIES):
            status, said, wait = self._sent(method, path, body, headers or {"Content-Type": "application/json"})
            if status not in BUSY:
                return _read(status, said)
            time.sleep(wait or _pause(tried))
        raise Failure(f"{self.url} stays too busy; run the same command again to go on", UNAVAILABLE)

    def _sent(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes, float]:
        connection = self._connection()
        try:
            # A refused upload is answered before all of it was taken: then the answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError), _opened(body) as content:
                connection.request(method, self._prefix + path, body=content, headers=self._headers | headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            connection.close()
            raise Lost(str(problem) or type(problem).__name__) from None
        return answer.status, said, _seconds(answer.headers.get("Retry-After"))

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._kind(self._host, self._port, timeout=TIMEOUT)
        connection: http.client.HTTPConnection = self._local.connection
        return connection


@contextlib.contextmanager
def _opened(body: bytes | Path) -> Iterator[Any]:
    if isinstance(body, bytes):
        yield body or None
    else:
        with body.open("rb") as stream:
            yield stream


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _pause(tried: int) -> float:
    return min(0.5 * 2**tried, LONGEST_PAUSE)


def _seconds(text: str | None) -> float:
    return min(float(text), LONGEST_PAUSE) if text and text.isdigit() else 0.0


def _read(status: int, said: bytes) -> dict[str, Any]:
    """Return the answer or raise what it says."""
    try:
        content = json.loads(said) if said else {}
    except ValueError:
        content = None
    if status == 200 and isinstance(content, dict):
        return content
    told = content if isinstance(content, dict) else {}
    message = str(told.get("message") or f"the portal answered {status}")
    if status in UNSURE:
        raise Lost(message)
    if status == 401:
        raise Failure(message, FORBIDDEN)
    raise Refused(status, str(told.get("error_code") or ""), message)
