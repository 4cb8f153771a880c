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
from mlportal.cli.errors import CANNOT_START, FAILED, MISSING, REFUSED, Failure

START_SECONDS = 120


def add_commands(commands: Any) -> None:
    """Declare the command."""
    demo = commands.add_parser("demo", help="fill the example project; starts the portal for it if none runs")
    demo.set_defaults(run=run_demo)
    fixture = commands.add_parser("fixture", help="fill an empty project with very many runs and datasets, for trials")
    fixture.add_argument("--project", required=True)
    for name, size in (("runs", 100_000), ("metric-names", 10_000), ("datasets", 1000), ("experiments", 1000)):
        fixture.add_argument(f"--{name}", type=int, default=size, help="default: %(default)s")
    fixture.set_defaults(run=run_fixture)


def run_demo(_given: argparse.Namespace) -> int:
    """Make people and project, print the passwords once, then fill the project."""
    django.quiet()
    with _portal() as started:
        _fill()
    if started:
        print("Done. Start the portal with `mlportal up` (or `make up`) and sign in.")
    else:
        print(f"Done. Sign in at {_address()}: a decision waits for mona, an alert for otto.")
    return 0


def _address() -> str:
    from django.conf import settings

    return str(settings.BASE_URL)


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


def run_fixture(given: argparse.Namespace) -> int:
    """Fill an empty project by bulk; says what is left out."""
    django.quiet()
    django.setup()
    from mlportal import fixture, upgrade
    from mlportal.lib.errors import DomainError
    from projects.actor import Actor
    from projects.models import Project
    from projects.permissions import GRANTS, Role

    upgrade.database()
    project = Project.objects.filter(slug=given.project).select_related("created_by").first()
    if project is None:
        raise Failure(f"there is no project {given.project!r}", MISSING)
    if min(given.runs, given.experiments) < 1:
        raise Failure("--runs and --experiments are at least 1", REFUSED)
    size = fixture.Size(given.runs, given.metric_names, given.datasets, given.experiments)
    by = Actor.system("fixture", project=project, grants=GRANTS[Role.ADMIN], on_behalf_of=project.created_by)
    try:
        fixture.fill(by, project, size, lambda step: print(f"{step} …", flush=True))
    except DomainError as problem:
        raise Failure(str(problem), REFUSED) from None
    print("Done. Left out: an audit event for each copied run and dataset, and the digests of their results.")
    return 0
