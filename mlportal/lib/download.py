"""Fetch a large file through the one outbound door: each hop checked and pinned, capped, timed, resumed."""

import http.client
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

from mlportal.lib import http as door
from mlportal.lib.errors import Invalid

MAX_HOPS = 5
TRIES = 5
WAIT_SECONDS = 1.0
IDLE_SECONDS = 30.0
PART_BYTES = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
Signer = Callable[[str, Mapping[str, str]], Mapping[str, str]]


class Stopped(Exception):
    """The caller asked to stop."""


class _Broken(Exception):
    """The connection ended before the content did; going on may help."""


@dataclass
class Wanted:
    """What to fetch, and within which bounds.

    Parameters
    ----------
    url : str
        First address.
    limit_bytes : int
        Most bytes that are written.
    total_seconds : float
        From the first look-up to the last byte, all tries together.
    allow : sequence of str
        Hosts that may be private; see ``http.check_url``.
    etag, modified : str
        Validators of what the caller has already; an unchanged file is not sent again.
    sign : callable or None
        Address and headers to headers of a signature; asked for the first host only.
    resolver : callable
        Host and port to addresses; an argument so that attacks can be tried.
    on_bytes : callable
        Gets the bytes written and the size in all, or ``None``, after each part; may raise ``Stopped``.
    wait_seconds : float
        Before going on after a break; grows with each try.
    """

    url: str
    limit_bytes: int
    total_seconds: float
    allow: Sequence[str] = ()
    etag: str = ""
    modified: str = ""
    sign: Signer | None = None
    resolver: door.Resolver = door.resolve
    tls: ssl.SSLContext | None = None
    on_bytes: Callable[[int, int | None], None] = lambda _done, _size: None
    wait_seconds: float = WAIT_SECONDS
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Fetched:
    """What came: final address, size, validators; ``unchanged`` when the caller has it already."""

    url: str
    size_bytes: int
    etag: str = ""
    modified: str = ""
    media_type: str = ""
    unchanged: bool = False


def fetch(wanted: Wanted, target: Path) -> Fetched:
    """Write what an address gives to a file.

    A break after some bytes is gone on with from there when the server named the content by a strong ETag;
    else the file is begun again.

    Raises
    ------
    http.Refused
        An address, of the first or a later hop, must not be called; or the answer is over the size limit.
    http.Failed
        No whole answer within the time, the tries and the protocol.
    Stopped
        When ``stop`` is set.
    """
    until = time.monotonic() + wanted.total_seconds
    state = _State()
    with target.open("wb") as out:
        for attempt in range(TRIES):
            try:
                return _once(wanted, out, state, until)
            except (_Broken, door.Failed) as error:
                if (
                    attempt == TRIES - 1
                    or time.monotonic() >= until
                    or (isinstance(error, door.Failed) and not state.done)
                ):
                    raise door.Failed(str(error)) from error
                _pause(wanted, attempt, until)
    raise AssertionError


def _pause(wanted: Wanted, attempt: int, until: float) -> None:
    if wanted.stop.wait(min(wanted.wait_seconds * 2**attempt, max(0.0, until - time.monotonic()))):
        raise Stopped


@dataclass
class _State:
    """How far earlier tries came."""

    done: int = 0
    etag: str = ""


def _once(wanted: Wanted, out: IO[bytes], state: _State, until: float) -> Fetched:
    url, sign = wanted.url, wanted.sign
    for _hop in range(MAX_HOPS + 1):
        target = _checked(url, wanted.allow)
        connection = door.pinned(target, wanted.resolver, wanted.tls)
        watch = door.watched(connection, max(0.01, until - time.monotonic()))
        response: http.client.HTTPResponse | None = None
        try:
            response = _ask(connection, target.path, _headers(url, wanted, state, sign))
            if response.status not in REDIRECTS:
                return _take(response, wanted, out, state, cut=connection.was_cut, url=url)
            url, sign = _next(url, response), None  # a signature is for one host
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _trouble(wanted, connection, error, until) from error
        finally:
            watch.cancel()
            if response is not None:
                response.close()  # it holds the socket after the connection let it go
            connection.close()
    raise door.Failed(f"the address redirects more than {MAX_HOPS} times")


def _checked(url: str, allow: Sequence[str]) -> door.Target:
    try:
        return door.check_url(url, allow=allow)
    except Invalid as error:
        raise door.Refused(error.message) from error


def _trouble(wanted: Wanted, connection: door.Pinned, error: Exception, until: float) -> Exception:
    if connection.cut or time.monotonic() >= until:
        return door.Failed(f"not done within {wanted.total_seconds:g} s")
    return _Broken(f"{type(error).__name__}: {error}"[:300])


def _ask(connection: door.Pinned, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    connection.idle_seconds = IDLE_SECONDS
    connection.request("GET", path, headers=dict(headers))
    return connection.getresponse()


def _headers(url: str, wanted: Wanted, state: _State, sign: Signer | None) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "mlportal"}
    if state.done and state.etag:
        headers |= {"Range": f"bytes={state.done}-", "If-Range": state.etag}
    else:
        headers |= {"If-None-Match": wanted.etag} if wanted.etag else {}
        headers |= {"If-Modified-Since": wanted.modified} if wanted.modified and not wanted.etag else {}
    if sign is not None:
        headers |= sign(url, headers)
    return headers


def _next(url: str, response: http.client.HTTPResponse) -> str:
    place = response.getheader("Location") or ""
    if not place:
        raise door.Failed(f"the server answered {response.status} without an address")
    following = urljoin(url, place)
    if url.startswith("https:") and not following.startswith("https:"):
        raise door.Refused("The address redirects from https to something else; that is not followed.")
    return following.partition("#")[0]


def _take(
    response: http.client.HTTPResponse,
    wanted: Wanted,
    out: IO[bytes],
    state: _State,
    *,
    cut: Callable[[], bool],
    url: str,
) -> Fetched:
    if response.status == 304:
        return Fetched(url, 0, wanted.etag, wanted.modified, unchanged=True)
    if response.status not in (200, 206):
        kind = door.Failed if response.status >= 500 or response.status == 429 else door.Refused
        raise kind(f"The server answered {response.status} {response.reason}.".replace(" .", "."))
    if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
        raise door.Refused("The server sent the content in another coding although none was asked for.")
    size = _begin(response, out, state)
    if size is not None and size > wanted.limit_bytes:
        raise door.Refused(f"The file has {size:,} bytes; at most {wanted.limit_bytes:,} are fetched.")
    etag = response.getheader("ETag") or ""
    state.etag = "" if etag.startswith("W/") else etag
    _copy(response, wanted, out, state, size)
    if cut():  # a closed socket reads like the end of the answer
        raise TimeoutError("cut off")
    if size is not None and state.done < size:
        raise _Broken(f"the connection ended after {state.done:,} of {size:,} bytes")
    return Fetched(
        url, state.done, etag, response.getheader("Last-Modified") or "", response.getheader("Content-Type") or ""
    )


def _begin(response: http.client.HTTPResponse, out: IO[bytes], state: _State) -> int | None:
    """Go on behind what is there when the server does, else begin again. Returns the size in all."""
    if response.status == 206:
        match = _RANGE.fullmatch(response.getheader("Content-Range") or "")
        if match is None or int(match[1]) != state.done:
            raise door.Failed("the server sent another part than the one that was asked for")
        return int(match[2]) if match[2] != "*" else None
    state.done = 0
    out.seek(0)
    out.truncate()
    length = response.getheader("Content-Length") or ""
    return int(length) if length.isascii() and length.isdigit() else None


def _copy(response: http.client.HTTPResponse, wanted: Wanted, out: IO[bytes], state: _State, size: int | None) -> None:
    while part := response.read1(PART_BYTES):
        if wanted.stop.is_set():
            raise Stopped
        out.write(part)
        state.done += len(part)
        if state.done > wanted.limit_bytes:
            raise door.Refused(f"The file has more than {wanted.limit_bytes:,} bytes, which is the limit.")
        wanted.on_bytes(state.done, size)
