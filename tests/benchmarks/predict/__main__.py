"""``python -m tests.benchmarks.predict [--rounds 3] [--seconds 3] [--connections 8]``.

Requests a second, latency and CPU a request of: an empty answer (hello), the ``exact`` backend, and the ``sklearn``
backend, all with tokens checked and every prediction logged; interleaved, on a data folder of its own.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def request(path: str, body: bytes, token: str = "") -> bytes:
    """One HTTP request, whole."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{head}{authorization}Content-Length: {len(body)}\r\n\r\n".encode() + body


def measure(port: int, pid: int, content: bytes, given: argparse.Namespace) -> dict:
    """One round against one server."""
    before = cpu_seconds(pid)
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.predict.sender",
        str(port),
        str(given.seconds),
        str(given.connections),
    ]
    done = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    result = json.loads(done.stdout)
    result["cpu_us"] = 1e6 * (cpu_seconds(pid) - before) / result["requests"]
    return result


def prepare(folder: Path):
    """Tables, a project, a token and two endpoints in an empty data folder."""
    os.environ |= {"MLPORTAL_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from deployments.models import ModelVersion
    from mlportal.lib import blobs
    from tests.benchmarks.predict import model
    from tests.factories.experiments import make_run
    from tests.factories.projects import make_project, make_token, make_user
    from tests.serve.harness import Scene

    project = make_project()
    user = make_user("ana", role="scientist", project=project)
    scene = Scene(project, user, folder / "artifacts")
    other = scene.make_endpoint("slow")
    for number, (endpoint, compiled) in enumerate([(scene.endpoint, True), (other, False)], 1):
        made = folder / f"model-{number}"
        model.write(made, compiled=compiled)
        stored = {path.name: blobs.put_file(path, limit_bytes=1 << 30) for path in sorted(made.iterdir())}
        manifest = [
            {"path": f"model/{name}", "sha256": blob.sha256, "size_bytes": blob.size_bytes}
            for name, blob in stored.items()
        ]
        version = ModelVersion.objects.create(
            model=scene.model, number=number, run=make_run(scene.experiment, f"run-{number}"), manifest=manifest,
            provenance={}, manifest_sha256="0" * 64, manifest_signature="x", signed_by="bench",
            signature=model.DOCUMENT, created_by=user,
        )  # fmt: skip
        scene.switch(version, endpoint)
    return make_token(user, project, ["predict"]), {"records": [model.record(folder / "model-1")]}


def main() -> None:
    """Measure and print a table, and the numbers as one line of JSON."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--seconds", type=float, default=3.0)
    reader.add_argument("--connections", type=int, default=8)
    given = reader.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        token, document = prepare(folder)
        from tests.serve.harness import Serve

        body = json.dumps(document).encode()
        with Serve(folder / "spool") as serve:
            port = serve.port + 1
            command = [sys.executable, "-m", "tests.benchmarks.predict.hello", str(port)]
            hello = subprocess.Popen(command, cwd=ROOT)
            try:
                serve.wait_for(lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
                serve.wait_for(lambda: serve.predict(token, document)[0] == 200)
                slow = "/p/churn/endpoints/slow/predict"
                serve.wait_for(lambda: serve.predict(token, document, path=slow)[0] == 200)
                fast = "/p/churn/endpoints/churn-production/predict"
                targets = {
                    "hello": (port, hello.pid, request("/", body)),
                    "exact": (serve.port, serve.process.pid, request(fast, body, token)),
                    "sklearn": (serve.port, serve.process.pid, request(slow, body, token)),
                }
                report(targets, given)
            finally:
                hello.terminate()
                hello.wait()


def report(targets: dict, given: argparse.Namespace) -> None:
    """Interleaved rounds, then medians."""
    rounds: dict[str, list[dict]] = {name: [] for name in targets}
    for _ in range(given.rounds):
        for name, (port, pid, content) in targets.items():
            rounds[name].append(measure(port, pid, content, given))
    medians = {
        name: {key: statistics.median(one[key] for one in results) for key in results[0]}
        for name, results in rounds.items()
    }
    floor = medians["hello"]
    print(f"python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {vars(given)}")
    print(f"{'':10}{'rps':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}{'CPU/hello':>11}{'faults':>8}")
    for name, one in medians.items():
        print(
            f"{name:10}{one['rps']:9.0f}{one['p50_ms']:9.2f}{one['p99_ms']:9.2f}{one['cpu_us']:9.0f}"
            f"{one['cpu_us'] / floor['cpu_us']:11.1f}{one['faults']:8.0f}"
        )
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
