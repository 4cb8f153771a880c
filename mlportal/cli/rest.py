"""A small client of the REST API with the standard library only, so that the command starts at once."""

import contextlib
import http.client
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from mlportal import __version__
from mlportal.cli.credentials import Credentials
from mlportal.cli.errors import FAILED, FORBIDDEN, MISSING, REFUSED, TIMED_OUT, UNAVAILABLE, Failure

CODES = {401: FORBIDDEN, 403: FORBIDDEN, 404: MISSING, 503: UNAVAILABLE, 502: UNAVAILABLE, 504: UNAVAILABLE}
TRIES = 3
CHUNK = 1 << 20
PAUSE = 0.3  # between two looks at a file that is being made


class Portal:
    """One portal, as one token sees it.

    Parameters
    ----------
    credentials
        Address, token and project.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def path(self, *words: object) -> str:
        """Return the address of something in the project."""
        if not self.credentials.project:
            raise Failure("which project? Give --project NAME, or sign in with one", REFUSED)
        return "/".join(
            ["projects", quote(self.credentials.project, safe=""), *(quote(str(w), safe="") for w in words)]
        )

    def get(self, path: str, **query: Any) -> Any:
        """Read; empty query values are left out."""
        wanted = {key: value for key, value in query.items() if value not in (None, "")}
        return self._tried("GET", f"{path}/" + (f"?{urlencode(wanted)}" if wanted else ""), b"", {})

    def pages(self, path: str, limit: int, **query: Any) -> list[Any]:
        """Read a list page by page until there are ``limit`` items."""
        found: list[Any] = []
        answer = self.get(path, **query)
        while True:
            found += answer["results"]
            following = answer.get("next")
            if not following or len(found) >= limit:
                return found[:limit]
            answer = self._tried("GET", following.split("/api/v1/", 1)[1], b"", {})

    def post(self, path: str, body: Any) -> Any:
        """Create or act; the idempotency key makes a repeated try harmless."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        return self._tried("POST", f"{path}/", json.dumps(body).encode(), headers)

    def patch(self, path: str, body: Any) -> Any:
        """Change; the same again changes nothing more."""
        return self._tried("PATCH", f"{path}/", json.dumps(body).encode(), {"Content-Type": "application/json"})

    def put(self, path: str, body: Any) -> Any:
        """Set; the same again changes nothing more."""
        return self._tried("PUT", f"{path}/", json.dumps(body).encode(), {"Content-Type": "application/json"})

    def upload(self, path: str, file: Path, **query: str) -> Any:
        """Send a file as the body, streamed from disk."""
        wanted = urlencode({key: value for key, value in query.items() if value})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        with file.open("rb") as stream:
            return self._once("POST", f"{path}/?{wanted}", iter(lambda: stream.read(CHUNK), b""), headers)

    def download(self, path: str, target: Path, *, timeout: float = 600, **query: object) -> int:
        """Write an answer to a file as soon as it is made; the file appears when it is whole. Returns its size."""
        deadline = time.monotonic() + timeout
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            with draft.open("xb") as file:
                asked = f"?{urlencode(query)}" if query else ""
                while not isinstance(size := self._once("GET", f"{path}/{asked}", b"", {}, into=file), int):
                    if time.monotonic() > deadline:
                        raise Failure(f"still {size['state']} after {timeout:g} s; it goes on without us", TIMED_OUT)
                    time.sleep(PAUSE)
            draft.rename(target)
        except OSError as error:
            raise Failure(f"cannot write {target}: {error}", REFUSED) from None
        finally:
            draft.unlink(missing_ok=True)
        return size

    def _tried(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        for tried in range(1, TRIES + 1):
            try:
                return self._once(method, path, body, headers)
            except Failure as failure:
                if failure.code != UNAVAILABLE or tried == TRIES:
                    raise
                time.sleep(tried)
        raise AssertionError("unreachable")

    def _once(
        self, method: str, path: str, body: Any, headers: dict[str, str], *, into: IO[bytes] | None = None
    ) -> Any:
        at = urlsplit(self.credentials.url)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise Failure(f"{self.credentials.url!r} is no address: give one like https://ml.example.org", REFUSED)
        kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
        connection = kind(at.hostname, at.port, timeout=120)
        always = {
            "Authorization": f"Bearer {self.credentials.token}",
            "Accept": "application/json",
            "User-Agent": f"mlportal-cli/{__version__}",
        }
        try:
            # A refused upload is answered before all of it was taken: then the answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, f"{at.path}/api/v1/{path}", body=body or None, headers=always | headers)
            answer = connection.getresponse()
            if into is not None and answer.status == 200:
                return _copy(answer, into)
            return _parse(answer.status, answer.read(), path)
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"{self.credentials.url} does not answer: {error}", UNAVAILABLE) from None
        finally:
            connection.close()

    def wait(self, path: str, *, over: Callable[[Any], bool], timeout: float, on_change: Any = None) -> Any:
        """Read something until it is over."""
        deadline, pause, seen = time.monotonic() + timeout, 0.3, None
        while True:
            row = self.get(path)
            progress = (row["state"], row.get("phase"))
            if on_change and progress != seen:
                on_change(row)
            seen = progress
            if over(row):
                return row
            if time.monotonic() > deadline:
                raise Failure(f"still {row['state']} after {timeout:g} s; it goes on without us", TIMED_OUT)
            time.sleep(pause)
            pause = min(pause * 1.3, 3.0)


def _copy(answer: http.client.HTTPResponse, into: IO[bytes]) -> int:
    size = 0
    while part := answer.read(CHUNK):
        size += into.write(part)
    return size


def _parse(status: int, body: bytes, path: str) -> Any:
    try:
        content = json.loads(body) if body else None
    except ValueError:
        content = None
    if 200 <= status < 300:
        return content
    raise Failure(_sentence(status, content, path), CODES.get(status, REFUSED if status < 500 else FAILED))


def _sentence(status: int, content: Any, path: str) -> str:
    """Say what the portal said about an error, with each field's own message."""
    if not isinstance(content, dict):
        return f"the portal answered {status} for {path}"
    said = str(content.get("message") or content.get("detail") or content.get("title") or f"status {status}")
    details = [
        f"\n  {error.get('field') or ''}: {error.get('message')}"
        for error in content.get("errors") or []
        if isinstance(error, dict) and error.get("message") not in (None, said)
    ]
    reference = content.get("request_id")
    return said + "".join(details) + (f" (reference {reference})" if reference and status >= 500 else "")
