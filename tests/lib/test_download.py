"""The outbound door for files, against real servers on this machine; each attack on it is a test."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlportal.lib import http
from mlportal.lib.download import Stopped, Wanted, fetch
from mlportal.lib.errors import Invalid
from mlportal.lib.s3 import Keys, object_url

CONTENT = b"a,b\n" + b"1,2\n" * 50_000


class Handler(BaseHTTPRequestHandler):
    """A small file server; ``broken`` ends the first answers in the middle."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        plan = self.server.plans.get(self.path.partition("?")[0])
        if plan is None:
            self._answer(404, b"")
        else:
            plan(self)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int = 0) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut] if cut else body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(**plans) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.asked, server.plans = [], {f"/{name}": plan for name, plan in plans.items()}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wanted(server, path: str = "file", **extra) -> Wanted:
    port = server.server_address[1]
    extra = {"limit_bytes": 10**7, "total_seconds": 20, "allow": [f"127.0.0.1:{port}"], "wait_seconds": 0.01} | extra
    return Wanted(f"http://127.0.0.1:{port}/{path}", **extra)


def plain(handler: Handler) -> None:
    handler._answer(200, CONTENT, {"ETag": '"one"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"})


def test_fetch_writes_the_content_and_keeps_the_validators(tmp_path):
    seen = []
    with served(file=plain) as server:
        came = fetch(wanted(server, on_bytes=lambda done, size: seen.append((done, size))), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert (came.size_bytes, came.etag, came.unchanged) == (len(CONTENT), '"one"', False)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_fetch_of_an_unchanged_file_sends_nothing(tmp_path):
    def conditional(handler: Handler) -> None:
        handler._answer(304 if handler.headers.get("If-None-Match") == '"one"' else 200, b"")

    with served(file=conditional) as server:
        assert fetch(wanted(server, etag='"one"'), tmp_path / "f").unchanged is True


def test_a_break_is_gone_on_with_from_where_it_was(tmp_path):
    def breaking(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        rest = CONTENT[start:]
        headers = {"ETag": '"one"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler._answer(206 if start else 200, rest, headers, cut=len(rest) if start > 100_000 else 60_000)

    with served(file=breaking) as server:
        fetch(wanted(server), tmp_path / "f")
    assert hashlib.sha256((tmp_path / "f").read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    ranges = [headers.get("Range") for _path, headers in server.asked]
    assert ranges == [None, "bytes=60000-", "bytes=120000-"]
    assert server.asked[1][1]["If-Range"] == '"one"'


def test_a_file_that_changed_after_a_break_is_begun_again(tmp_path):
    tries = []

    def changing(handler: Handler) -> None:
        tries.append(1)
        if len(tries) == 1:
            handler._answer(200, b"x" * 1000, {"ETag": '"old"'}, cut=500)
        else:
            handler._answer(200, CONTENT, {"ETag": '"new"'})

    with served(file=changing) as server:
        assert fetch(wanted(server), tmp_path / "f").etag == '"new"'
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_fetch_gives_up_after_five_tries(tmp_path):
    plan = lambda handler: handler._answer(200, CONTENT, cut=10)  # noqa: E731
    with served(file=plan) as server, pytest.raises(http.Failed, match="after 10 of"):
        fetch(wanted(server), tmp_path / "f")
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("plan", "kind", "words"),
    [
        (lambda h: h._answer(200, CONTENT), http.Refused, "The file has 200,004 bytes; at most 1,000 are fetched."),
        (lambda h: h._answer(403, b""), http.Refused, "The server answered 403 Forbidden."),
        (lambda h: h._answer(503, b""), http.Failed, "The server answered 503"),
        (lambda h: h._answer(200, b"x", {"Content-Encoding": "gzip"}), http.Refused, "another coding"),
        (lambda h: h._answer(302, b""), http.Failed, "without an address"),
    ],
)
def test_fetch_refuses_answers_that_are_no_file(tmp_path, plan, kind, words):
    with served(file=plan) as server, pytest.raises(kind, match=words):
        fetch(wanted(server, limit_bytes=1_000), tmp_path / "f")


def test_a_body_without_length_is_cut_at_the_limit(tmp_path):
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)
        handler.close_connection = True

    with served(file=endless) as server, pytest.raises(http.Refused, match="more than 1,000 bytes"):
        fetch(wanted(server, limit_bytes=1_000), tmp_path / "f")


def test_a_slow_drip_ends_with_the_time(tmp_path):
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x")
        handler.wfile.flush()
        handler.server.release.wait(20)

    with served(file=drip) as server:
        server.release = threading.Event()
        try:
            with pytest.raises(http.Failed, match=r"not done within 0\.5 s"):
                fetch(wanted(server, total_seconds=0.5), tmp_path / "f")
        finally:
            server.release.set()


def test_fetch_stops_when_asked(tmp_path):
    with served(file=plain) as server:
        asked = wanted(server)
        asked.stop.set()
        with pytest.raises(Stopped):
            fetch(asked, tmp_path / "f")


# --- attacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.7/",
        "http://192.168.1.1/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "http://metadata.google.internal/",
        "http://user:password@example.org/",
        "http://example.org:22/",
        "file:///etc/passwd",
        "gopher://example.org:70/1",
        "ftp://example.org/file",
        "dict://127.0.0.1:6379/info",
        "http://example.org/\r\nHost: inside",
    ],
)
def test_internal_and_foreign_addresses_are_refused(tmp_path, url):
    with pytest.raises(http.Refused):
        fetch(Wanted(url, limit_bytes=10, total_seconds=5), tmp_path / "f")


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["::1"], ["169.254.169.254"], ["93.184.216.34", "10.0.0.7"], ["64:ff9b::7f00:1"]]
)
def test_names_that_lead_inside_are_refused(tmp_path, found):
    asked = Wanted("http://data.example.org/", 10, 5, resolver=lambda _host, _port: found)
    with pytest.raises(http.Refused, match="leads to an internal address"):
        fetch(asked, tmp_path / "f")


def test_a_name_that_changes_its_address_is_checked_at_each_connection(tmp_path):
    """DNS that re-binds: public at the first look-up, internal at the next one."""
    answers = iter([["127.0.0.1"], ["127.0.0.1"]])
    looked = []

    def rebinding(host: str, _port: int) -> list[str]:
        looked.append(host)
        return next(answers)

    def redirect(handler: Handler) -> None:
        handler._answer(302, b"", {"Location": "http://rebind.example.org:8080/"})

    with (
        served(file=redirect) as server,
        pytest.raises(http.Refused, match=r"rebind\.example\.org leads to"),
    ):
        fetch(wanted(server, resolver=rebinding), tmp_path / "f")
    assert looked == ["127.0.0.1", "rebind.example.org"]


@pytest.mark.parametrize(
    "place",
    ["http://127.0.0.1:1/", "http://[::1]/", "http://169.254.169.254/", "file:///etc/passwd", "gopher://example.org/"],
)
def test_redirects_to_the_inside_are_refused(tmp_path, place):
    plan = lambda handler: handler._answer(302, b"", {"Location": place})  # noqa: E731
    with served(file=plan) as server, pytest.raises(http.Refused):
        fetch(wanted(server), tmp_path / "f")
    assert len(server.asked) == 1


def test_redirects_are_followed_a_few_times_and_lose_the_signature(tmp_path):
    def hop(handler: Handler) -> None:
        handler._answer(302, b"", {"Location": "/file"})

    with served(first=hop, file=plain, round=lambda h: h._answer(302, b"", {"Location": "/round"})) as server:
        fetch(wanted(server, "first", sign=lambda _url, _headers: {"Authorization": "secret"}), tmp_path / "f")
        with pytest.raises(http.Failed, match="redirects more than 5 times"):
            fetch(wanted(server, "round"), tmp_path / "f")
    assert [headers.get("Authorization") for _path, headers in server.asked[:2]] == ["secret", None]


def test_hosts_of_databases_are_checked_by_the_same_rule():
    for host in ("127.0.0.1", "::1", "169.254.169.254", "localhost", "/var/run/postgresql", "a b", ""):
        with pytest.raises(Invalid):
            http.check_host(host, 5432)
    assert http.check_host("127.0.0.1", 5432, allow=["127.0.0.1:5432"]).allowed is True
    with pytest.raises(http.Refused):
        http.address_of(http.check_host("db.example.org", 5432), lambda _host, _port: ["10.0.0.7"])


def test_signature_is_the_one_of_amazons_example():
    """Amazon S3 API Reference, "Signature Calculations for the Authorization Header", example GET Object."""
    from datetime import UTC, datetime

    keys = Keys("AKIAIOSFODNN7EXAMPLE", "us-east-1", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    made = keys.sign(
        "https://examplebucket.s3.amazonaws.com/test.txt", {"Range": "bytes=0-9"}, at=datetime(2013, 5, 24, tzinfo=UTC)
    )
    assert made["Authorization"].endswith(
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    assert "EXAMPLEKEY" not in repr(keys)
    assert object_url("https://s3.example.org/", "b", "a b/c+d.csv") == "https://s3.example.org/b/a%20b/c%2Bd.csv"
