"""Files up and down: the portal and a real MLflow server, in pairs on the same kind of database.

``MLFLOW_PYTHON=… python -m tests.benchmarks.mlflow_files [--sqlite | --postgres]``. The portal hashes every file, waits
for the disk and writes an event of its audit log before it answers; MLflow runs as it comes and does none of these.
"""

import itertools
import os
from collections.abc import Callable

from tests.benchmarks.mlflow_writes import create_run
from tests.benchmarks.rival import Connection, Pair, Server, each_pair, heading, verdict

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MIB = 2**20
LARGE = 100 * MIB
MANY = 2000


def place(wire: Connection) -> str:
    """Make a run and return the address of its files."""
    run = wire.get("runs/get", run_id=create_run(wire))["run"]
    return f"{PROXY}/{run['info']['artifact_uri'].partition(':/')[2]}"


def sending(size: int) -> Callable[[Server], Callable[[], object]]:
    """Time the upload of a new file of a size."""

    def prepare(server: Server) -> Callable[[], object]:
        wire, numbers = server.connect(), itertools.count()
        root, rest = place(wire), os.urandom(size - 8)

        def send() -> object:
            number = next(numbers)
            return wire.send("PUT", f"{root}/f{number}.bin", number.to_bytes(8, "big") + rest)

        return send

    return prepare


def fetching(size: int) -> Callable[[Server], Callable[[], object]]:
    """Time the download of a file of a size."""

    def prepare(server: Server) -> Callable[[], object]:
        wire = server.connect()
        path, content = f"{place(wire)}/f.bin", os.urandom(size)
        wire.send("PUT", path, content)
        assert wire.send("GET", path) == content
        return lambda: wire.send("GET", path)

    return prepare


def a_model(server: Server) -> Callable[[], object]:
    """Time the 20 small files of a logged model and its plots, one after another as the client sends them."""
    wire, numbers = server.connect(), itertools.count()

    def send() -> None:
        number = next(numbers)
        root = place(wire)
        for at in range(20):
            wire.send("PUT", f"{root}/model/{at}.txt", f"{number} {at} ".encode() * 200)

    return send


def listing(server: Server) -> Callable[[], object]:
    """Time the list of the top of a run whose many files lie in one folder."""
    wire = server.connect()
    root = place(wire)
    for number in range(MANY):
        wire.send("PUT", f"{root}/images/{number}.txt", b"x")
    wire.send("PUT", f"{root}/top.txt", b"x")
    path = f"{PROXY}?path={root.removeprefix(PROXY)[1:]}"
    return lambda: wire.send("GET", path)


def measure(pair: Pair) -> None:
    """Print the table of one database."""
    print(heading(pair), flush=True)
    for name, prepare, rounds, goal in (
        ("100 MiB up", sending(LARGE), 7, 1),
        ("100 MiB down", fetching(LARGE), 7, 1),
        ("2 KiB up", sending(2048), 40, 0),
        ("2 KiB down", fetching(2048), 40, 0),
        ("20 small files of a model up", a_model, 7, 0),
        (f"top of a run with {MANY:,} files in a folder", listing, 20, 0),
    ):
        print(pair.interleaved(name, prepare, rounds, warm=1).line(goal), flush=True)
    memory = [server.memory_mib() for server in pair.both]
    print(f"{'memory after it, PSS in MiB':48}{memory[0]:10.0f}{memory[1]:10.0f}{verdict(memory[0] / memory[1], 1)}")


if __name__ == "__main__":
    each_pair(measure)
