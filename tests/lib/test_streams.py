"""Bodies on their way between the server and a view, driven as the server drives them."""

import asyncio
import hashlib
import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from mlportal import streams
from mlportal.lib import blobs
from mlportal.lib.errors import Invalid

PART = 256 * 1024
SCOPE = {
    "type": "http", "method": "PUT", "path": "/x", "raw_path": b"/x", "query_string": b"", "http_version": "1.1",
    "scheme": "http", "server": ("testserver", 80), "client": ("127.0.0.1", 1), "headers": [],
}  # fmt: skip


class Wire:
    """A client: the parts it sends, made when they are asked for, and what it gets back."""

    def __init__(self, parts, *, breaks=False, headers=()):
        self.left, self.breaks, self.given, self.sent = parts, breaks, 0, []
        self.headers = list(headers)

    async def receive(self):
        await asyncio.sleep(0)
        if not self.left:
            return {"type": "http.disconnect"}
        self.left -= 1
        self.given += 1
        return {"type": "http.request", "body": bytes(PART), "more_body": self.left > 0 or self.breaks}

    async def send(self, message):
        self.sent.append(message)

    def go(self, view, **scope):
        async def run():
            with ThreadPoolExecutor(1) as pool:
                whole = SCOPE | {"headers": self.headers} | scope
                await streams.respond(view, pool, whole, self.receive, self.send)

        asyncio.run(run())
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def length(parts):
    return [(b"content-length", str(parts * PART).encode())]


def test_the_body_comes_whole_and_the_wire_stays_little_ahead():
    wire, ahead, seen = Wire(200, headers=length(200)), [], 0

    def view(request):
        nonlocal seen
        while part := request.read(blobs.CHUNK_BYTES):
            seen += len(part)
            ahead.append(wire.given * PART - seen)
        return HttpResponse(b"done")

    assert wire.go(view).body == b"done"
    assert seen == 200 * PART
    assert max(ahead) <= streams.AHEAD_BYTES + 2 * PART


def test_a_large_file_is_kept_in_little_memory(settings):
    def view(request):
        kept = blobs.put(request, limit_bytes=2**30, expected_bytes=400 * PART)
        return HttpResponse(kept.sha256)

    wire = Wire(400, headers=length(400))
    tracemalloc.start()
    wire.go(view)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert wire.body.decode() == hashlib.sha256(bytes(400 * PART)).hexdigest()
    assert peak < 16 * 2**20


def test_a_line_that_breaks_ends_the_reading_and_keeps_nothing(settings):
    faults = []

    def view(request):
        try:
            blobs.put(request.META["wsgi.input"], limit_bytes=2**30)
        except Invalid as fault:
            faults.append(fault.code)
        return HttpResponse(status=400)

    Wire(3, breaks=True).go(view)
    place = settings.DATA_DIR / "blobs" / "incoming"
    assert (faults, list(place.iterdir())) == (["broken_off"], [])


def test_a_refusal_waits_for_what_is_on_its_way():
    wire = Wire(100, headers=length(100)).go(lambda request: HttpResponse(b"no", status=403))
    assert (wire.status, wire.body, wire.left) == (403, b"no", 0)


def test_a_body_over_the_bound_is_cut_off(monkeypatch):
    monkeypatch.setattr(streams, "DRAIN_BYTES", 5 * PART)
    wire = Wire(100, headers=length(100)).go(lambda request: HttpResponse(b"no", status=403))
    assert wire.status == 403
    assert 5 < wire.given < 20


def a_file(path):
    def view(request):
        response = StreamingHttpResponse(iter([b"by ", b"parts"]), headers={"Content-Length": "8"})
        response.whole_file = path
        return response

    return view


def test_a_file_at_hand_is_sent_by_its_path(tmp_path):
    wire = Wire(1).go(a_file(tmp_path / "x"), extensions={streams.PATHSEND: {}})
    assert wire.sent[1] == {"type": streams.PATHSEND, "path": str(tmp_path / "x")}
    assert (b"Content-Length", b"8") in wire.sent[0]["headers"]


@pytest.mark.parametrize("path", [None, "somewhere"])
def test_anything_else_is_sent_by_parts(path):
    wire = Wire(1).go(a_file(path))
    assert (wire.status, wire.body) == (200, b"by parts")
    assert [message.get("more_body") for message in wire.sent[1:]] == [True, True, False]


def test_parts_larger_than_asked_are_divided():
    sizes = []

    def view(request):
        while part := request.read(100_000):
            sizes.append(len(part))
        return HttpResponse(json.dumps(sizes))

    Wire(2, headers=length(2)).go(view)
    assert (sum(sizes), max(sizes)) == (2 * PART, 100_000)
