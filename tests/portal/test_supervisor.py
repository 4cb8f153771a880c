"""The supervisor with real parts: what dies comes back, what is stopped leaves nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.portal.running import Portal, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    """On a new database, in a folder whose path is too long for a socket."""
    with running(tmp_path_factory.mktemp("portal") / ("long-" * 20), empty=True) as portal:
        yield portal


def kill_group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def proportional_kib(pid: int) -> int:
    """Its own memory, and its share of what it has in common with others."""
    rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rolled.splitlines() if line.startswith("Pss:"))


def test_all_parts_are_up(portal):
    assert portal.parts() == {
        "database": "up", "migrations": "up", "broker": "up", "worker": "up", "beat": "up", "serve": "up",
    }  # fmt: skip


def test_terminal_names_the_address_and_a_set_up_link(portal):
    assert f"open http://127.0.0.1:{portal.port}/" in portal.output
    assert "make the first administrator, once: http://127.0.0.1:" in portal.output


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("worker", "--queues default"), "worker"),
        (("granian",), "web"),
        (("-server unixsocket:",), "broker"),
        (("deployments.serve",), "serve"),
        (("celery", "beat"), "beat"),
    ],
)
def test_killed_part_comes_back(portal, words, part):
    before = portal.pids(*words)
    assert before, part
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: set(portal.pids(*words)) - set(before), what=f"another {part}")
    portal.wait_ready()
    assert not set(portal.pids(*words)) & set(before), "a process of the killed part lives on"


def test_killed_nursery_takes_its_forks_along_and_all_come_back(portal):
    words = ("mlportal.preload", "--serve")
    nursery, forked = portal.pids(*words), portal.pids("granian")
    assert len(nursery) == 1
    assert forked
    os.kill(nursery[0], signal.SIGKILL)
    wait_until(lambda: portal.pids(*words) and set(portal.pids("granian")) - set(forked), what="another web process")
    portal.wait_ready()
    assert not set(portal.pids("granian")) & set(forked), "a process of the killed nursery lives on"


def test_parts_share_what_they_import_and_a_stop_leaves_nothing(tmp_path):
    """The web server, the workers and the scheduler, idle and fresh; a part each for itself took 1,000 MiB."""
    with running(tmp_path / "p") as portal:
        pids = {pid for word in ("granian", "celery", "mlportal.preload") for pid in portal.pids(word)}
        assert sum(proportional_kib(pid) for pid in pids) / 1024 < 500
        start = time.monotonic()
        assert portal.stop(signal.SIGINT) == 0
        assert time.monotonic() - start < 20
        assert portal.output.endswith("mlportal: stopped\n")
        assert portal.processes() == {}
        assert portal.get("/livez")[0] == 0


def test_second_portal_on_the_same_data_is_refused(portal):
    second = Portal(portal.folder)
    answer = second.command("up")
    assert answer.returncode == 3
    assert answer.stderr == f"mlportal: a portal already runs on {portal.folder / 'data'}\n"


def test_killed_supervisor_leaves_nothing(tmp_path):
    with running(tmp_path / "p") as portal:
        os.kill(portal.child.pid, signal.SIGKILL)
        wait_until(lambda: portal.processes() == {}, 60, what="all processes gone")


def test_long_data_path_gets_a_short_socket(portal):
    assert portal.parts()["broker"] == "up"
    assert not (portal.folder / "data" / "run" / "broker.sock").exists()
    assert portal.command("admin", "--help").returncode == 0


def test_taken_port_is_named(tmp_path, portal):
    other = Portal(tmp_path, port=portal.port)
    answer = other.command("up")
    assert answer.returncode == 3
    assert f"cannot listen on 127.0.0.1:{portal.port} (Address already in use); set MLPORTAL_PORT" in answer.stderr
