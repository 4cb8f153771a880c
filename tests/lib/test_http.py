"""Attacks on the outbound door, and a real little server that behaves badly."""

import contextlib
import ipaddress
import socket
import threading
import time

import pytest

from mlportal.lib import http
from mlportal.lib.errors import Invalid

HEADERS = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "url",
    [
        "", "not a url", "example.org/hook", "//example.org", "ftp://example.org", "file:///etc/passwd",
        "gopher://example.org", "javascript:alert(1)", "http://", "http:///path", "https://exa mple.org/",
        "https://example.org/\r\nHost: evil", "https://example.org/\x00", "https://example.org\\@127.0.0.1/",
        "https://user:secret@example.org/", "https://example.org@127.0.0.1/", "https://example.org/#part",
        "https://example.org:99999/", "https://example.org:abc/", "https://example.org:22/", "https://example.org:6379/",
        "http://127.0.0.1/", "http://localhost/", "http://LOCALHOST./", "http://db.internal/", "http://printer.local/",
        "http://10.0.0.1/", "http://172.16.5.4/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/", "http://0.0.0.0/", "http://255.255.255.255/", "http://224.0.0.1/",
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
        "http://127.0.0.1./", "http://[::1]/", "http://[::]/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/",
        "http://[fc00::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[ff02::1]/", "http://ｌｏｃａｌｈｏｓｔ/",
        "http://127.0.0.%31/", "https://" + "a" * 5000 + ".org/",
    ],
)  # fmt: skip
def test_address_is_refused(url):
    with pytest.raises(Invalid) as raised:
        http.check_url(url)
    assert raised.value.field == "url"


@pytest.mark.parametrize("url", [None, 5, ["https://example.org"], b"https://example.org"])
def test_what_is_no_text_is_refused(url):
    with pytest.raises(Invalid):
        http.check_url(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://example.org", "example.org", 443, "/"),
        ("http://example.org:8080/a?b=c", "example.org", 8080, "/a?b=c"),
        ("https://93.184.216.34/x", "93.184.216.34", 443, "/x"),
        ("https://[2606:2800:220:1:248:1893:25c8:1946]/", "2606:2800:220:1:248:1893:25c8:1946", 443, "/"),
        ("HTTPS://Example.ORG/", "example.org", 443, "/"),
    ],
)
def test_public_address_is_taken(url, host, port, path):
    target = http.check_url(url)
    assert (target.host, target.port, target.path, target.allowed) == (host, port, path, False)


@pytest.mark.parametrize(
    ("allow", "taken"),
    [(["127.0.0.1:9999"], True), (["127.0.0.1"], True), (["127.0.0.1:1"], False), (["::1"], False), ([], False)],
)
def test_operator_may_allow_a_host(allow, taken):
    with contextlib.nullcontext() if taken else pytest.raises(Invalid):
        assert http.check_url("http://127.0.0.1:9999/", allow=allow).allowed


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("::ffff:93.184.216.34", True), ("127.0.0.1", False),
        ("::ffff:10.0.0.1", False), ("2002:0a00:0001::", False), ("64:ff9b::a00:1", False), ("198.18.0.1", False),
    ],
)  # fmt: skip
def test_public_or_not(address, public):
    assert http.is_public(ipaddress.ip_address(address)) is public


class Server:
    """Answers each connection by a function on the raw socket."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    self.seen.append(connection.recv(65536))
                    self.answer(connection)

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def server(answer):
    made = Server(answer)
    try:
        yield made
    finally:
        made.close()


def call(made, host="127.0.0.1", **options):
    options = {"allow": [f"{host}:{made.port}"]} | options
    return http.post(f"http://{host}:{made.port}/hook", body=b"{}", headers=HEADERS, **options)


def reply(text):
    return lambda connection: connection.sendall(text.encode())


def test_answer_comes_back_with_its_status():
    with server(reply("HTTP/1.1 503 Away\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nhi")) as made:
        answer = call(made)
    assert (answer.status, answer.retry_after) == (503, "7")
    assert made.seen[0].startswith(b"POST /hook HTTP/1.1\r\n")


def test_redirect_is_an_answer_and_not_followed():
    with server(reply("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")) as made:
        assert call(made).status == 302
        assert len(made.seen) == 1


def test_name_that_leads_inside_is_refused_before_anything_is_sent():
    with server(reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as made:
        with pytest.raises(http.Refused):
            http.post(
                "http://rebind.example.org:8080/", body=b"", headers={}, resolver=lambda host, port: ["127.0.0.1"]
            )
        assert made.seen == []


def test_one_internal_address_among_public_ones_is_refused():
    with pytest.raises(http.Refused):
        http.post(
            "http://mixed.example.org/", body=b"", headers={}, resolver=lambda host, port: ["93.184.216.34", "10.0.0.5"]
        )


def test_name_is_looked_up_once_so_a_second_answer_changes_nothing():
    """DNS rebinding: public while checked, internal when connecting. We connect to what was checked."""
    answers = []

    def rebinding(host, port):
        answers.append(host)
        return ["127.0.0.1"]

    with server(reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as made:
        answer = http.post(
            f"http://name.example.org:{made.port}/", body=b"", headers={}, resolver=rebinding,
            allow=[f"name.example.org:{made.port}"],
        )  # fmt: skip
    assert (answer.status, answers) == (200, ["name.example.org"])
    assert f"Host: name.example.org:{made.port}".encode() in made.seen[0]


def test_connection_that_ends_elsewhere_is_refused(monkeypatch):
    """A translation on the way (NAT, hosts trick) must not lead inside: the peer of the socket is compared."""
    with server(reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as made:
        real = socket.create_connection
        monkeypatch.setattr(http.socket, "create_connection", lambda to, **options: real(("127.0.0.1", made.port)))
        with pytest.raises(http.Refused, match="another address"):
            http.post("http://93.184.216.34/", body=b"x", headers={})
        time.sleep(0.05)
        assert b"".join(made.seen) == b""


@pytest.mark.slow
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_slow_drip_is_cut_by_the_total_time(head):
    def drip(connection):
        connection.sendall(head)
        for _ in range(100):
            connection.sendall(b"X: y\r\n")
            time.sleep(0.05)

    with server(drip) as made:
        began = time.monotonic()
        with pytest.raises(http.Failed, match=r"no answer within 0\.4 s"):
            call(made, total_seconds=0.4)
    assert time.monotonic() - began < 1.5


@pytest.mark.slow
def test_endless_body_is_read_up_to_the_cap():
    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with server(endless) as made:
        assert call(made).status == 200


@pytest.mark.parametrize("text", ["", "hello\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 200])
def test_nonsense_is_a_failure(text):
    with server(reply(text)) as made, pytest.raises(http.Failed):
        call(made, total_seconds=2.0)


def test_nobody_there_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(http.Failed):
        http.post(f"http://127.0.0.1:{port}/", body=b"", headers={}, allow=["127.0.0.1"])


def test_unknown_name_is_a_failure():
    def unknown(host, port):
        raise socket.gaierror("not known")

    with pytest.raises(http.Failed, match="was not found"):
        http.post("https://gone.example.org/", body=b"", headers={}, resolver=unknown)
    with pytest.raises(http.Failed, match="no address"):
        http.post("https://gone.example.org/", body=b"", headers={}, resolver=lambda host, port: [])


def test_large_message_is_not_sent():
    with pytest.raises(http.Refused, match="at most"):
        http.post("https://example.org/", body=b"x" * (http.MAX_BODY_BYTES + 1), headers={})


def test_plain_http_server_behind_https_is_a_failure():
    with server(reply("HTTP/1.1 200 OK\r\n\r\n")) as made, pytest.raises(http.Failed):
        http.post(f"https://127.0.0.1:{made.port}/", body=b"", headers={}, allow=["127.0.0.1"], total_seconds=2.0)
