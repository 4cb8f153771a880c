"""The one outbound HTTP door: checked address, verified peer, no redirect, capped, timed.

Checking a name and connecting to it later is not enough: the second look-up may answer differently (DNS rebinding).
So the socket is opened to the very address that was checked, and the peer of the open socket is compared with it.
Source: reliability.md, sections 0 (rule 9) and 1.1 (class 5).
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from mlportal.lib.errors import Invalid

MAX_URL = 2000
MAX_HOST = 253
MAX_BODY_BYTES = 1 << 20
MAX_ANSWER_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
PORTS = frozenset({80, 443, 8080, 8443})
CLASHING = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
LAST_LABEL_NUMERIC = re.compile(r"(?:^|\.)(?:0[xX][0-9a-fA-F]*|[0-9]+)\.?$")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]


class Refused(Exception):
    """The address must not be called; never tried again by itself."""


class Failed(Exception):
    """The call did not give an answer: name, connection, TLS, time or size."""


@dataclass(frozen=True)
class Answer:
    """Status, retry hint and how long it took; the body is read up to a cap and thrown away."""

    status: int
    seconds: float
    retry_after: str = ""


@dataclass(frozen=True)
class Target:
    """A checked URL."""

    scheme: str
    host: str
    port: int
    path: str
    allowed: bool


def check_url(url: object, *, allow: Sequence[str] = (), field: str = "url") -> Target:
    """Check a URL without calling it.

    Parameters
    ----------
    allow : sequence of str
        ``host`` or ``host:port`` that the operator named; these may be private and use any port.

    Raises
    ------
    Invalid
        Naming what is wrong: length, characters, scheme, user information, host, port, or an address that is not
        public.
    """
    if not isinstance(url, str) or not url:
        raise Invalid(f"{field} must be an http or https address.", field=field)
    if len(url) > MAX_URL:
        raise Invalid(f"{field} has {len(url)} characters; at most {MAX_URL} are allowed.", field=field, limit=MAX_URL)
    if CLASHING.search(url) or not url.isascii():
        raise Invalid(f"{field} holds a space, a backslash or another character that must be escaped.", field=field)
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise Invalid(f"{field} is not an address: {error}.", field=field) from error
    _check_parts(parts, field)
    host = (parts.hostname or "").rstrip(".")
    if not HOST.fullmatch(host):
        raise Invalid(f"{field} has a host with characters that are not allowed.", field=field)
    target = Target(parts.scheme, host, port, _path(parts), _is_allowed(host, port, allow))
    _check_target(target, field)
    return target


def _check_parts(parts: SplitResult, field: str) -> None:
    if parts.scheme not in ("http", "https"):
        raise Invalid(f"{field} must begin with http:// or https://.", field=field, got=parts.scheme[:20])
    if "@" in parts.netloc:
        raise Invalid(f"{field} must not hold a user name or password.", field=field)
    if parts.fragment:
        raise Invalid(f"{field} must not hold a fragment (#).", field=field)
    if not parts.hostname:
        raise Invalid(f"{field} has no host.", field=field)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _is_allowed(host: str, port: int, allow: Sequence[str]) -> bool:
    return host in allow or f"{host}:{port}" in allow or f"[{host}]:{port}" in allow


def _check_target(target: Target, field: str) -> None:
    if target.allowed:
        return
    if target.port not in PORTS:
        ports = ", ".join(map(str, sorted(PORTS)))
        raise Invalid(f"{field} uses port {target.port}; allowed are {ports}.", field=field, limit=sorted(PORTS))
    _check_host(target, field)


def _check_host(target: Target, field: str) -> None:
    if target.allowed:
        return
    literal = _literal(target.host)
    if literal is None and LAST_LABEL_NUMERIC.search(target.host):
        raise Invalid(f"{field} writes an address in an unusual form.", field=field)
    if literal is not None and not is_public(literal):
        raise Invalid(f"{field} leads to an internal address; an administrator can allow its host.", field=field)
    if target.host == "localhost" or target.host.endswith((".localhost", ".internal", ".local")):
        raise Invalid(f"{field} leads to an internal host; an administrator can allow it.", field=field)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether an address lies in the public internet, also after unwrapping forms of IPv6 that carry an IPv4 one."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    for network in (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")):
        if address in network:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host, as the system's resolver gives them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    allow: Sequence[str] = (),
    resolver: Resolver = resolve,
    total_seconds: float = TOTAL_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send one POST.

    Parameters
    ----------
    body : bytes
        At most 1 MiB.
    allow : sequence of str
        See `check_url`.
    resolver : callable
        Host and port to addresses; an argument so that attacks can be tried.
    total_seconds : float
        From the look-up to the last byte.

    Returns
    -------
    Answer
        Whatever the status; redirects are answers, never followed.

    Raises
    ------
    Refused
        The address is not public, or the peer is not the address that was checked.
    Failed
        No answer within the time, size and protocol limits.
    """
    if len(body) > MAX_BODY_BYTES:
        raise Refused(f"The message has {len(body)} bytes; at most {MAX_BODY_BYTES} are sent.")
    try:
        target = check_url(url, allow=allow)
    except Invalid as error:
        raise Refused(error.message) from error
    began = time.monotonic()
    connection = pinned(target, resolver, tls)
    watch = watched(connection, max(total_seconds - (time.monotonic() - began), 0.01))
    try:
        return _exchange(connection, target, body, headers, began)
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = time.monotonic() - began >= total_seconds
        reason = f"no answer within {total_seconds:g} s" if late else f"{type(error).__name__}: {error}"
        raise Failed(reason[:300]) from error
    finally:
        watch.cancel()
        connection.close()


@dataclass(frozen=True)
class Reply:
    """A whole small answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    allow: Sequence[str] = (),
    limit_bytes: int = MAX_BODY_BYTES,
    total_seconds: float = TOTAL_SECONDS,
) -> Reply:
    """Send one call and read its answer whole; parameters and errors as of `post`.

    Raises
    ------
    Refused, Failed
        As `post`; also when the answer is larger than ``limit_bytes``.
    """
    try:
        target = check_url(url, allow=allow)
    except Invalid as error:
        raise Refused(error.message) from error
    connection = pinned(target)
    watch = watched(connection, total_seconds)
    try:
        connection.request(method, target.path, body=body, headers={**headers, "Connection": "close"})
        response = connection.getresponse()
        content = response.read(limit_bytes + 1)
        if connection.was_cut() or len(content) > limit_bytes:
            raise Failed("the answer took too long or is too large")
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(f"{type(error).__name__}: {error}"[:300]) from error
    finally:
        watch.cancel()
        connection.close()


def pinned(target: Target, resolver: Resolver = resolve, tls: ssl.SSLContext | None = None) -> "Pinned":
    """Return a connection, not open yet, to an address of the target that was checked just now."""
    return _connection(target, address_of(target, resolver), tls)


def watched(connection: "Pinned", seconds: float) -> threading.Timer:
    """Cut the connection after that time, unless the timer is cancelled before."""
    watch = threading.Timer(seconds, _cut, [connection])
    watch.daemon = True
    watch.start()
    return watch


def check_host(host: object, port: int, *, allow: Sequence[str] = (), field: str = "host") -> Target:
    """Check a host that speaks another protocol than HTTP, such as a database.

    Raises
    ------
    Invalid
        For a host with characters that are not allowed, or one that is not public.
    """
    if not isinstance(host, str) or len(host) > MAX_HOST or not HOST.fullmatch(host):
        raise Invalid(f"{field} is a host name or an address.", field=field)
    if not 1 <= port <= 65_535:
        raise Invalid("port is 1 to 65535.", field="port", got=port)
    target = Target("", host.rstrip("."), port, "", _is_allowed(host, port, allow))
    _check_host(target, field)
    return target


def address_of(target: Target, resolver: Resolver = resolve) -> str:
    """Return the address to connect to; one internal address among several refuses them all.

    Raises
    ------
    Refused, Failed
        When an address is internal, or the host is not found.
    """
    try:
        found = [address.partition("%")[0] for address in resolver(target.host, target.port)]
    except (OSError, UnicodeError) as error:
        raise Failed(f"the host {target.host} was not found") from error
    if not found:
        raise Failed(f"the host {target.host} has no address")
    if not target.allowed and not all(is_public(ipaddress.ip_address(address)) for address in found):
        raise Refused(f"{target.host} leads to an internal address; an administrator can allow this host.")
    return found[0]


class Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name says by now."""

    def __init__(self, target: Target, address: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port, timeout=CONNECT_SECONDS)
        self.address, self.tls, self.cut = address, tls, False
        self.held: socket.socket | None = None
        self.idle_seconds = CONNECT_SECONDS

    def was_cut(self) -> bool:
        """Whether the time was over before the answer was."""
        return self.cut

    def connect(self) -> None:
        """Open the socket to the checked address, compare the peer, then speak TLS with the name."""
        plain = socket.create_connection((self.address, self.port), timeout=CONNECT_SECONDS)
        self.sock = self.held = plain
        peer = str(plain.getpeername()[0]).partition("%")[0]
        if ipaddress.ip_address(peer) != ipaddress.ip_address(self.address):
            plain.close()
            raise Refused("The connection ended at another address than the one that was checked.")
        if self.tls is not None:
            self.sock = self.held = self.tls.wrap_socket(plain, server_hostname=self.host)
        self.held.settimeout(self.idle_seconds)


def _connection(target: Target, address: str, tls: ssl.SSLContext | None) -> Pinned:
    context = (tls or ssl.create_default_context()) if target.scheme == "https" else None
    return Pinned(target, address, context)


def _exchange(connection: Pinned, target: Target, body: bytes, headers: Mapping[str, str], began: float) -> Answer:
    connection.request("POST", target.path, body=body, headers={"Connection": "close", **headers})
    response = connection.getresponse()
    read = 0
    while read <= MAX_ANSWER_BYTES and (part := response.read1(8192)):
        read += len(part)
    if connection.cut:  # a closed socket reads like the end of the answer
        raise TimeoutError("cut off")
    retry_after = (response.getheader("Retry-After") or "")[:100]
    return Answer(response.status, time.monotonic() - began, retry_after)


def _cut(connection: Pinned) -> None:
    """End a call whose time is over, whatever it waits for: a slow drip keeps every single read short."""
    connection.cut = True
    with suppress(OSError):
        if connection.held is not None:
            connection.held.shutdown(socket.SHUT_RDWR)
