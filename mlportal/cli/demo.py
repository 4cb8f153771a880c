"""``mlportal demo``: the example project, on a running portal or on one started for it."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlportal.cli import django
from mlportal.cli.errors import CANNOT_START, FAILED, REFUSED, Failure

START_SECONDS = 120


def add_commands(commands: Any) -> None:
    """Declare the command."""
    demo = commands.add_parser("demo", help="fill the example project; starts the portal for it if none runs")
    demo.set_defaults(run=run_demo)


def run_demo(_given: argparse.Namespace) -> int:
    """Make people and project, print the passwords once, then fill the project."""
    django.quiet()
    with _portal() as started:
        _fill()
    if started:
        print("Done. Start the portal with `mlportal up` (or `make up`) and sign in.")
    return 0


@contextmanager
def _portal() -> Iterator[bool]:
    """Use the running portal of this data folder, else run one for the time of the command."""
    from mlportal import supervisor

    if supervisor.is_running() or supervisor.status(f"{supervisor.local_url()}/livez") == 200:
        _wait_ready()
        yield False
        return
    print("No portal runs here; starting one for the time of this command.", flush=True)
    command = [sys.executable, "-m", "mlportal.cli", "up"]
    usual = {key: value for key, value in os.environ.items() if not key.startswith("MLPORTAL_LOG_")}
    child = subprocess.Popen(command, env=usual, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        _wait_ready(child)
        yield True
    finally:
        child.terminate()
        child.wait()


def _wait_ready(child: "subprocess.Popen[bytes] | None" = None) -> None:
    from mlportal import supervisor

    deadline = time.monotonic() + START_SECONDS
    while supervisor.status(f"{supervisor.local_url()}/readyz") != 200:
        if child is not None and child.poll() is not None:
            raise Failure("the portal did not start; `mlportal up` says why", CANNOT_START)
        if time.monotonic() > deadline:
            raise Failure(f"the portal was not ready within {START_SECONDS} s", CANNOT_START)
        time.sleep(0.3)


def _fill() -> None:
    django.setup()
    from mlportal import demo, example
    from mlportal.lib.errors import DomainError

    try:
        project, passwords = example.people(example.site_actor())
        print("One user a role; the passwords are shown this once:", flush=True)
        for name, password in passwords.items():
            role = example.PEOPLE[name][0]
            print(f"  {name:<5} {role:<10} {password}", flush=True)
        demo.fill(project, lambda step: print(f"{step} …", flush=True))
    except demo.DemoFailed as problem:
        raise Failure(str(problem), FAILED) from None
    except DomainError as problem:
        raise Failure(str(problem), REFUSED) from None
