"""Live pages of a real portal, watched by a plain HTTP client."""

import http.client
import http.cookiejar
import os
import re
import signal
import socket
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.portal.running import running, wait_until
from tests.portal.test_web_killed import call

pytestmark = pytest.mark.slow
A_USER = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A portal with somebody in it, their session, and a run."""
    with running(tmp_path_factory.mktemp("live") / "p", MLPORTAL_LIVE_WATCHERS_A_USER=str(A_USER)) as portal:
        password, token = portal.people("sam", sam=("admin", "read write"))["sam"]
        call(portal, token, "POST", "projects/churn/experiments/", body={"name": "first"})
        run = call(portal, token, "POST", "projects/churn/runs/", body={"experiment": "first", "name": "one"})[1]
        yield portal, token, run["id"], session(portal, password)


def session(portal, password):
    """Sign in and return the cookie."""
    jar = http.cookiejar.CookieJar()
    web = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = web.open(f"{portal.url}/sign-in/", timeout=30).read().decode()
    secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    data = urllib.parse.urlencode({"csrfmiddlewaretoken": secret, "username": "sam", "password": password}).encode()
    web.open(f"{portal.url}/sign-in/", data, timeout=30).read()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


class Stream:
    """An open line: its status, and what came over it."""

    def __init__(self, portal, topic, cookie):
        self.line = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=60)
        self.line.request("GET", f"/p/churn/live/?topic={topic}", headers={"Cookie": cookie})
        self.answer = self.line.getresponse()
        self.status = self.answer.status

    def event(self):
        """The name and data of the next event."""
        name = ""
        while True:
            line = self.answer.readline().decode().strip()
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                return name, line[5:].strip()

    def close(self):
        with suppress(OSError):
            self.line.sock.shutdown(socket.SHUT_RDWR)
        self.answer.close()
        self.line.close()


@contextmanager
def stream(portal, topic, cookie):
    opened = Stream(portal, topic, cookie)
    try:
        yield opened
    finally:
        opened.close()


def watchers(portal):
    found = re.search(r"^mlportal_live_watchers(?:\{[^}]*\})? (\S+)$", portal.get("/metrics")[1].decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def children(pid):
    """Processes that one process started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def web_server(portal):
    """The web server's main process."""
    (found,) = (pid for pid in forks(portal.child.pid) if b"granian" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def forks(pid):
    """Processes below one process that are no child of a web server."""
    below = children(pid)
    return [*below, *(fork for child in below for fork in children(child))]


def footprint(portal):
    """Threads and open files of the web processes."""
    threads = files = 0
    for pid in children(web_server(portal)):
        threads += int(re.search(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        files += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return threads, files


def test_a_change_is_told_within_seconds(place):
    portal, token, run, cookie = place
    with stream(portal, f"run:{run}", cookie) as one, stream(portal, f"run:{run}", cookie) as two:
        assert (one.status, two.status) == (200, 200)
        assert one.answer.headers["Content-Type"] == "text/event-stream"
        assert one.answer.headers["X-Content-Type-Options"] == "nosniff"
        first = one.event()
        assert first == two.event()
        began = time.monotonic()
        body = {"metrics": [{"key": "loss", "value": 0.5, "step": 1, "timestamp": 1_760_000_000_000}]}
        assert call(portal, token, "POST", f"projects/churn/runs/{run}/log-batch/", body=body)[0] in (200, 204)
        told = one.event()
        assert told[0] == "changed"
        assert told != first
        assert two.event() == told
        assert time.monotonic() - began < 20


def test_only_who_may_see_the_page_may_watch(place):
    portal, _, run, cookie = place
    with stream(portal, f"run:{run}", "") as nobody:
        assert (nobody.status, "/sign-in/" in nobody.answer.headers["Location"]) == (302, True)
    with stream(portal, "run:99999", cookie) as missing:
        assert missing.status == 404
    with stream(portal, "nonsense", cookie) as wrong:
        assert wrong.status == 400
    assert watchers(portal) == 0


def test_too_many_lines_are_refused_and_all_are_let_go(place):
    portal, _, run, cookie = place
    lines = []
    try:
        # Each of the two web processes counts for itself.
        while len(lines) < 2 * A_USER + 4 and not (lines and lines[-1].status == 429):
            lines.append(Stream(portal, f"run:{run}", cookie))
        assert [line.status for line in lines[:A_USER]] == [200] * A_USER
        assert lines[-1].status == 429
        assert lines[-1].answer.headers["Retry-After"] == "60"
        assert 1 <= watchers(portal) <= 2 * A_USER
    finally:
        for line in lines:
            line.close()
    wait_until(lambda: watchers(portal) == 0, what="no watcher is left")
    with stream(portal, f"run:{run}", cookie) as again:
        assert again.status == 200


def test_many_visits_leave_no_thread_and_no_open_file(place):
    portal, _, run, cookie = place

    def visit(times):
        for _ in range(times):
            with stream(portal, f"run:{run}", cookie) as line:
                if line.status == 200:
                    line.event()
        wait_until(lambda: watchers(portal) == 0, what="no watcher is left")

    visit(40)  # the pools have all their threads now
    threads, files = footprint(portal)
    visit(40)
    wait_until(lambda: footprint(portal)[1] <= files + 4, what=f"{files} open files again")
    assert footprint(portal)[0] <= threads + 4


def test_open_lines_do_not_delay_a_stop(place):
    portal, _, run, cookie = place
    with stream(portal, f"run:{run}", cookie) as line:
        line.event()
        began = time.monotonic()
        web = web_server(portal)
        os.kill(web, signal.SIGTERM)
        assert line.event() == ("again", "-")
        assert time.monotonic() - began < 4
        wait_until(lambda: not Path(f"/proc/{web}").exists(), 20, what="the web server ended")
    portal.wait_ready()
