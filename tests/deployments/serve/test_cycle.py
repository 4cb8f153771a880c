"""Whole answers at once: the same bytes as uvicorn's own way, and that way where something is out of the ordinary."""

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

from deployments.serve import connection, cycle, messages

ASKED = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n%b\r\n{}"
PLAIN = [(b"x-mlportal-version", b"3"), (b"x-request-id", b"abcdefgh")]


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def get_extra_info(self, name, default=None):
        return {"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)}.get(name, default)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol) -> None: ...


def answered(monkeypatch, kind, headers, *, asked: bytes = b"", times: int = 1) -> Transport:
    """What a server writes to the given requests on one connection, with this kind of cycle."""
    monkeypatch.setattr(httptools_impl, "RequestResponseCycle", kind)

    async def application(scope, receive, send) -> None:
        await receive()
        await messages.answer(send, 200, b'{"a":1}', headers=headers)

    async def ask() -> Transport:
        config = uvicorn.Config(
            application, http="httptools", lifespan="off", log_config=None, access_log=False, server_header=False,
            date_header=False,
        )  # fmt: skip
        config.load()
        protocol = httptools_impl.HttpToolsProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        transport = Transport()
        protocol.connection_made(transport)
        for _ in range(times):
            protocol.data_received(ASKED % asked)
            await asyncio.gather(*protocol.tasks, return_exceptions=True)
        closed = transport.closed
        protocol.connection_lost(None)
        transport.closed = closed
        return transport

    return asyncio.run(ask())


@pytest.mark.parametrize("asked", [b"", b"connection: close\r\n"])
def test_the_bytes_are_those_of_uvicorn(monkeypatch, asked):
    usual = answered(monkeypatch, httptools_impl.RequestResponseCycle, PLAIN, asked=asked)
    own = answered(monkeypatch, cycle.Cycle, PLAIN, asked=asked)
    assert b"".join(own.written) == b"".join(usual.written)
    assert own.closed == usual.closed == bool(asked)
    assert (len(usual.written), len(own.written)) == (2, 2 if asked else 1)


def test_a_connection_goes_on_with_the_next_request(monkeypatch):
    found = answered(monkeypatch, cycle.Cycle, PLAIN, times=3)
    assert len(found.written) == 3
    assert len(set(found.written)) == 1


@pytest.mark.parametrize("value", [b"3\r\nset-cookie: a=b", b"3\nx", b"3\rx"])
def test_a_header_with_the_end_of_a_line_is_refused(monkeypatch, value):
    found = answered(monkeypatch, cycle.Cycle, [(b"x-mlportal-version", value)])
    assert (found.written, found.closed) == ([], True)


def connected(ask, *, application=None, **named) -> tuple[Transport, list[bytes]]:
    """Ask over one connection of ours; what was written, and the heads that the parser was given."""
    parsed: list[bytes] = []

    class Counting(connection.Connection):
        def on_url(self, url: bytes) -> None:
            parsed.append(url)
            super().on_url(url)

    async def echo(scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await messages.answer(send, 200, body, headers=[(b"x-length", dict(scope["headers"])[b"content-length"])])

    async def go() -> Transport:
        config = uvicorn.Config(
            application or echo, http=Counting, lifespan="off", log_config=None, access_log=False, server_header=False,
            date_header=False, **named,
        )  # fmt: skip
        config.load()
        protocol = Counting(config, ServerState(), {}, asyncio.get_running_loop())
        transport = Transport()
        protocol.connection_made(transport)
        await ask(protocol)
        closed = transport.closed
        protocol.connection_lost(None)
        transport.closed = closed
        return transport

    return asyncio.run(go()), parsed


def told(*pieces: bytes):
    """Send these pieces, each when all before it are answered that can be."""

    async def ask(protocol) -> None:
        for piece in pieces:
            protocol.data_received(piece)
            for _ in range(20):  # turns of the loop: a request whose body is not whole waits on
                await asyncio.sleep(0)

    return ask


def answers(transport: Transport) -> list[tuple[bytes, bytes]]:
    """Head and body of each."""
    whole = b"".join(transport.written).split(b"HTTP/1.1 200 OK")[1:]
    return [(head, body) for head, _, body in (answer.partition(b"\r\n\r\n") for answer in whole)]


ONE, TWO = (b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n" + body for body in (b"{}", b"[]"))
SHORT = ONE.replace(b"length: 2", b"length: 1")[:-1]


def test_a_head_that_comes_again_is_not_parsed_and_answered_with_the_same_bytes():
    transport, parsed = connected(told(ONE, TWO, SHORT, TWO, ONE))
    heads, bodies = zip(*answers(transport), strict=True)
    assert bodies == (b"{}", b"[]", b"{", b"[]", b"{}")
    assert len(parsed) == 2  # one a head
    assert len(set(heads)) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [ONE, TWO[:-1], TWO[-1:], ONE],  # a body in two pieces
        [ONE, TWO + ONE],  # two requests in one piece
        [ONE, TWO + ONE[:9], ONE[9:]],  # one and the beginning of another
        [ONE, TWO[:30], TWO[30:]],
        [ONE[:-1], ONE[-1:], TWO],
    ],
)
def test_whatever_comes_in_other_pieces_is_read_by_the_parser(pieces):
    transport, parsed = connected(told(*pieces))
    whole = b"".join(pieces)
    assert [body for _, body in answers(transport)] == [part[-2:] for part in whole.split(b"POST")[1:]]
    assert len(parsed) >= 2


@pytest.mark.parametrize(
    "asked",
    [
        ONE.replace(b"host", b"connection: keep-alive\r\nhost"),
        ONE.replace(b"host", b"expect: 100-continue\r\nhost"),
        ONE.replace(b"1.1", b"1.0").replace(b"host", b"connection: keep-alive\r\nhost"),
        ONE.replace(b"POST", b"GET"),
        ONE.replace(b"host: a", b"host: " + b"a" * 3000),
    ],
)
def test_a_head_out_of_the_ordinary_is_always_parsed(asked):
    _, parsed = connected(told(asked, asked, asked))
    assert len(parsed) == 3


def test_a_connection_keeps_few_heads():
    heads = [ONE.replace(b"host: a", b"host: %d" % number) for number in range(20)]
    _, parsed = connected(told(*heads, *heads))
    assert len(parsed) == 40 - connection.MOST_HEADS


def test_too_many_requests_are_refused_on_a_known_head_too():
    async def ask(protocol) -> None:
        await told(ONE)(protocol)
        protocol.limit_concurrency = 1  # as many as there are connections
        await told(ONE)(protocol)

    transport, _ = connected(ask)
    assert [part[:12] for part in transport.written if part.startswith(b"HTTP")] == [b"HTTP/1.1 200", b"HTTP/1.1 503"]


def test_an_idle_connection_is_closed_and_a_busy_one_is_not():
    async def ask(protocol) -> None:
        for _ in range(4):
            await told(ONE)(protocol)
            await asyncio.sleep(0.06)
            assert not protocol.transport.closed
        await asyncio.sleep(0.3)
        assert protocol.transport.closed

    connected(ask, timeout_keep_alive=0.1)
