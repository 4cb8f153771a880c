"""Whole answers at once: the same bytes as uvicorn's own way, and that way where something is out of the ordinary."""

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

from deployments.serve import cycle, messages

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
