"""A portal that has no room for a while: the client waits as it is told, and what it sent is there once."""

import logging
import os
import socket
import threading
from contextlib import ExitStack, contextmanager
from urllib.parse import urlparse

import pytest
from mlflow.entities import Metric, Param

pytestmark = [pytest.mark.portal, pytest.mark.once]
# More than two serving processes hold at once, if each takes its share.
ENOUGH = 1000
ROUND = 20


class Refusals(logging.Handler):
    """Notes that the client's own connections were told to come later."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.came = threading.Event()

    def emit(self, record):
        if " 429 " in record.getMessage():
            self.came.set()


@contextmanager
def refusals():
    """Listen to what the client's connections say."""
    log, handler = logging.getLogger("urllib3.connectionpool"), Refusals()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield handler.came
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def unfinished(wire):
    """A request that says it has a body and sends a part of it, so that it keeps its place."""
    place = urlparse(wire.address)
    line = socket.create_connection((place.hostname, place.port), timeout=30)
    line.sendall(
        b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    return line


def asked_anew(wire):
    """Ask on a line of its own, which any of the serving processes may take."""
    return wire.call("GET", "experiments/get?experiment_id=0", headers={"Connection": "close"})


@contextmanager
def full(wire):
    """Take all places of the door, and give them back at the end."""
    with ExitStack() as lines:
        for _ in range(0, ENOUGH, ROUND):
            for _ in range(ROUND):
                lines.enter_context(unfinished(wire))
            answers = [asked_anew(wire) for _ in range(8)]
            if {answer.status_code for answer in answers} == {429}:
                assert {answer.headers["Retry-After"] for answer in answers} == {"2"}
                assert {answer.json()["error_code"] for answer in answers} == {"REQUEST_LIMIT_EXCEEDED"}
                break
        else:
            raise AssertionError(f"{ENOUGH} unfinished requests leave room for more")
        yield


def case_client_comes_back_and_doubles_nothing(client, wire, experiment, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(4 * 2**20))
    old = client.create_run(experiment).info.run_id
    made = [old]

    def create():
        """Until the door refused somebody; one process may have had room for another call."""
        while not came.is_set() and len(made) < ENOUGH:
            made.append(client.create_run(experiment).info.run_id)

    calls = [
        create,
        lambda: client.log_batch(old, [Metric("loss", 0.5, 1, step) for step in range(900)], [Param("lr", "x" * 6000)]),
        lambda: client.log_artifact(old, str(file)),
    ]
    at_work = [threading.Thread(target=call) for call in calls]
    with full(wire), refusals() as came:
        for thread in at_work:
            thread.start()
        assert came.wait(60)
    for thread in at_work:
        thread.join(120)
    assert sorted(run.info.run_id for run in client.search_runs([experiment])) == sorted(made)
    assert len(client.get_metric_history(old, "loss")) == 900
    assert client.get_run(old).data.params == {"lr": "x" * 6000}
    assert [found.file_size for found in client.list_artifacts(old)] == [4 * 2**20]
