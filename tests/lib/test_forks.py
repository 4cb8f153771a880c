"""Children forked from a process that has imported for them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mlportal.lib import forks

PROGRAM = "tests.lib.forked"
PRELOAD = ("numpy",)
HOLDER = """
import sys
from pathlib import Path
from mlportal.lib import forks
folder = Path(sys.argv[1])
child = forks.start("tests.lib.forked", "stay", folder=folder, environment=forks.bare_environment(folder), stdout=1)
child.wait()
"""


def run(folder: Path, what: str, words: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """What a child of the program answers."""
    return forks.run(
        PROGRAM,
        words,
        folder=folder,
        environment=forks.bare_environment(folder) | environment,
        seconds=60,
        preload=PRELOAD,
        arguments=(what,),
    )


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone(*pids: int) -> bool:
    """Whether processes end soon."""
    until = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_a_child_sees_what_it_was_given_and_nothing_of_who_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("MLPORTAL_SECRET_KEY", "planted")
    done = run(tmp_path, "look", b"a question", OWN="1")
    seen = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (seen["folder"], seen["arguments"], seen["given"]) == (str(tmp_path), ["look"], "a question")
    assert (seen["environment"]["OWN"], seen["environment"]["HOME"]) == ("1", str(tmp_path))
    assert "planted" not in done.stdout.decode()
    assert (seen["open"], seen["leads"]) == ([0, 1, 2], True)
    again = json.loads(run(tmp_path, "look").stdout)
    assert "OWN" not in again["environment"]
    assert again["drawn"] != seen["drawn"], "children of one process must not draw the same numbers"


def test_more_descriptors_come_behind_the_standard_ones(tmp_path):
    reading, writing = os.pipe()
    child = forks.start(
        PROGRAM, "say", folder=tmp_path, environment=forks.bare_environment(tmp_path), also=[writing], preload=PRELOAD
    )
    os.close(writing)
    with os.fdopen(reading) as heard:
        assert (child.wait(60), heard.read()) == (0, "here")
    assert child.poll() == child.end() == 0


@pytest.mark.parametrize(("what", "words"), [("refuse", "no, thank you"), ("fail", "ValueError: a defect")])
def test_how_it_failed_is_told(tmp_path, what, words):
    done = run(tmp_path, what)
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (1, words)


def test_what_it_started_ends_with_it(tmp_path):
    lines = forks.lines(
        PROGRAM, b"", folder=tmp_path, environment=forks.bare_environment(tmp_path), seconds=60, preload=PRELOAD,
        arguments=("stay",),
    )  # fmt: skip
    with closing(lines):
        pids = json.loads(next(lines))
        assert all(map(alive, pids))
    assert gone(*pids)


def test_it_is_not_heard_for_longer_than_was_said(tmp_path):
    lines = forks.lines(
        PROGRAM, b"", folder=tmp_path, environment=forks.bare_environment(tmp_path), seconds=1, preload=PRELOAD,
        arguments=("stay",),
    )  # fmt: skip
    heard = list(lines)
    assert all(gone(*json.loads(line)) for line in heard)
    with pytest.raises(subprocess.TimeoutExpired):
        forks.run(
            PROGRAM, b"", folder=tmp_path, environment=forks.bare_environment(tmp_path), seconds=0, preload=PRELOAD,
            arguments=("stay",),
        )  # fmt: skip


def test_nobody_outlives_who_asked_for_it(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=forks.ROOT) as holder:
        assert holder.stdout is not None
        child, other = json.loads(holder.stdout.readline())
        server = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
        holder.kill()
    assert gone(child, other, server)


@pytest.fixture
def ask(tmp_path):
    """Ask a server of the test's own for a child."""
    servers = []

    def asked(server: forks.Server, what: str, preload: tuple[str, ...] = ()) -> forks.Fork:
        servers.append(server)
        request = {"module": PROGRAM, "arguments": [what], "folder": str(tmp_path), "preload": preload}
        with Path(os.devnull).open("r+b") as nothing:
            words = json.dumps(request | {"environment": forks.bare_environment(tmp_path)}).encode()
            return server.ask(words, [nothing.fileno()] * 3)

    yield asked
    for server in servers:
        server._drop(server._line)


def loaded(pid: int) -> bool:
    """Whether a process holds numpy."""
    return "numpy" in Path(f"/proc/{pid}/maps").read_text()


def test_after_many_children_it_begins_anew(ask):
    server = forks.Server(most=2)
    first, second = ask(server, "look", PRELOAD), ask(server, "stay", PRELOAD)
    assert first.wait(60) == 0
    assert second.poll() is None
    assert loaded(server._pid), "not while a child of it lives"
    second.end()
    until = time.monotonic() + 30
    while loaded(server._pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not loaded(server._pid)
    assert ask(server, "look").wait(60) == 0


def test_a_server_that_died_takes_its_children_along_and_another_comes(ask):
    server = forks.Server()
    first = ask(server, "stay")
    while first.pid is None:
        first.poll()
    os.kill(server._pid, signal.SIGKILL)
    assert (first.wait(60), gone(first.pid)) == (forks.LOST, True)
    second = ask(server, "stay")
    assert second.poll() is None
    assert second.end() == -signal.SIGKILL
