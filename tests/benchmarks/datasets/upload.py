"""Upload a large file to a running portal and watch the memory of the web process.

``python -m tests.benchmarks.datasets.upload [megabytes]`` starts a portal on an empty folder, sends a CSV file
of that size (default 1,000 MB) over REST, once as the body and once as a form as pages do, and prints how far the
web processes rose. Bar: 50 MB for 1 GB.
"""

import http.client
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.portal import Portal, running

LINE = b"1234567,alpha,0.123456,2024-01-31,some words about nothing in particular\n"
PART = LINE * (2**20 // len(LINE))
BOUNDARY = "a-boundary-of-the-benchmark"


def web_processes(portal: Portal) -> dict[int, float]:
    """Resident megabytes of each web process, by id."""
    assert portal.process is not None
    found, wanted = {}, {portal.process.pid}
    parents = {int(stat.parent.name): _parent(stat) for stat in Path("/proc").glob("[0-9]*/stat")}
    for _ in range(5):
        wanted |= {pid for pid, parent in parents.items() if parent in wanted}
    for pid in wanted:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if b"mlportal.asgi" in command and "VmRSS:" in status:
            found[pid] = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return found


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def body(megabytes: int) -> Iterator[bytes]:
    yield b"id,word,number,day,text\n"
    yield from itertools.repeat(PART, megabytes)


def form(megabytes: int) -> Iterator[bytes]:
    """Wrap the file in a multipart form; other words in it, so that it is another version."""
    head = 'Content-Disposition: form-data; name="file"; filename="big.csv"'
    yield f"--{BOUNDARY}\r\n{head}\r\nContent-Type: text/csv\r\n\r\nid,word,number,day,note\n".encode()
    yield from itertools.repeat(PART, megabytes)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


WAYS = {"body": (body, "text/csv"), "form": (form, f"multipart/form-data; boundary={BOUNDARY}")}


def send(portal: Portal, token: str, megabytes: int, way: str) -> int:
    make, kind = WAYS[way]
    connection = http.client.HTTPConnection(urlsplit(portal.url).netloc, timeout=600)
    size = sum(len(part) for part in make(megabytes))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind, "Content-Length": str(size)}
    path = "/api/v1/projects/bench/datasets/big/versions/?filename=big.csv"
    connection.request("POST", path, body=make(megabytes), headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def measure(portal: Portal, token: str, megabytes: int, way: str) -> None:
    before, peak, done = web_processes(portal), dict[int, float](), threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for pid, size in web_processes(portal).items():
                peak[pid] = max(size, peak.get(pid, 0.0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    status = send(portal, token, megabytes, way)
    took = time.monotonic() - start
    done.set()
    watcher.join()
    most = max(size - before.get(pid, size) for pid, size in peak.items())
    print(f"{way}: {megabytes:,} MB in {took:.1f} s, answer {status}; web processes rose by at most {most:.0f} MB")
    print(
        "  before", {pid: round(size) for pid, size in before.items()}, "peak", {p: round(s) for p, s in peak.items()}
    )


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as place, running(Path(place) / "data") as portal:
        portal.command("admin", "user", "add", "ana", "--email", "ana@example.org", "--generate-password")
        portal.command("admin", "project", "add", "bench", "--owner", "ana")
        asked = ("--user", "ana", "--project", "bench", "--scopes", "read write", "--print")
        token = portal.command("admin", "token", "add", *asked).stdout.split()[-1]
        for way in WAYS:
            send(portal, token, 1, way)  # load what the route needs before measuring
            measure(portal, token, megabytes, way)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
