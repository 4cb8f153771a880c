"""Commands that run a portal: all of it (``up``) or one part, as orchestrators want it."""

import argparse
import json
import os
from typing import Any


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    up = commands.add_parser("up", help="run the whole portal here until Ctrl-C")
    up.set_defaults(run=run_up)
    migrate = commands.add_parser("migrate", help="bring the database and the static files up to date")
    migrate.set_defaults(run=run_migrate)
    collect = commands.add_parser("collect", help="collect and compress the static files, for an image")
    collect.set_defaults(run=run_collect)
    prepare = commands.add_parser("prepare", help="migrate, then print the first administrator's set-up link as JSON")
    prepare.set_defaults(run=run_prepare)
    add_parts(commands)


def add_parts(commands: Any) -> None:
    """Declare the commands of the single parts."""
    web = commands.add_parser("web", help="run the web server alone")
    web.add_argument("--workers", type=int, default=2)
    web.set_defaults(run=run_web)
    worker = commands.add_parser("worker", help="run a worker alone")
    worker.add_argument("--queues", default="jobs,default", help="comma-separated; default: %(default)s")
    worker.add_argument("--concurrency", type=int, default=0, help="tasks at a time; default: one a core")
    worker.set_defaults(run=run_worker)
    commands.add_parser("beat", help="run the scheduler alone").set_defaults(run=run_beat)
    commands.add_parser("serve", help="run the serving process alone").set_defaults(run=run_serve)
    check = commands.add_parser("check", help="say whether one part on this host is well (exit code 0 or 7)")
    check.add_argument("part", choices=["web", "serve", "worker", "beat", "portal"])
    check.set_defaults(run=run_check)


def run_up(_given: argparse.Namespace) -> int:
    """Supervise all parts."""
    from mlportal.supervisor import Supervisor

    return Supervisor().run()


def run_web(given: argparse.Namespace) -> None:
    """Become the web server."""
    from django.conf import settings

    from mlportal import parts

    parts.run(parts.sharing(parts.web(bind=settings.BIND, port=settings.PORT, workers=given.workers)))


def run_worker(given: argparse.Namespace) -> None:
    """Become a worker."""
    from mlportal import parts

    parts.run(parts.worker(queues=given.queues, concurrency=given.concurrency or parts.cores()))


def run_beat(_given: argparse.Namespace) -> None:
    """Become the scheduler."""
    from mlportal import parts

    parts.run(parts.beat())


def run_serve(_given: argparse.Namespace) -> None:
    """Become the serving process."""
    from mlportal import parts

    parts.run(parts.serve())


def run_check(given: argparse.Namespace) -> int:
    """Ask one part on this host how it is; ``portal`` asks the web process about all parts."""
    from django.conf import settings

    from mlportal import health, supervisor
    from mlportal.cli.errors import UNAVAILABLE

    serve = supervisor.local_url().rsplit(":", 1)[0] + f":{settings.SERVE_PORT}"
    addresses = {
        "web": f"{supervisor.local_url()}/healthz",
        "portal": f"{supervisor.local_url()}/readyz",
        "serve": f"{serve}/healthz",
    }
    address = addresses.get(given.part)
    well = supervisor.status(address) == 200 if address else health.heard_here(given.part)
    print("up" if well else "down")
    return 0 if well else UNAVAILABLE


def run_collect(_given: argparse.Namespace) -> int:
    """Collect the static files."""
    from mlportal import upgrade
    from mlportal.cli import django

    django.setup()
    upgrade.static_files()
    return 0


def run_migrate(_given: argparse.Namespace) -> int:
    """Bring database and static files up to date."""
    from mlportal import upgrade
    from mlportal.cli import django

    django.setup()
    upgrade.database()
    upgrade.static_files()
    return 0


def run_prepare(given: argparse.Namespace) -> int:
    """Do what must be done before the parts start, and tell the supervisor the set-up link."""
    run_migrate(given)
    from projects.services import accounts

    print(json.dumps({"set_up_link": accounts.setup_link() or ""}))
    return 0
