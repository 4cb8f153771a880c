"""The processes of a portal: how each is started, alone or by the supervisor."""

import os
import sys
from pathlib import Path

from django.conf import settings

# Numeric libraries start a thread per core in every process; training decides for itself.
FRUGAL = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    # Each thread would keep a heap of its own for what it once freed.
    "MALLOC_ARENA_MAX": "2",
    # The checks of Django import every page into workers; `make check` makes them.
    "CELERY_SKIP_CHECKS": "1",
}
HERE = Path(__file__).resolve().parent


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "--app", "mlportal.celery", "--quiet", *arguments]


def web(*, bind: str, port: int, workers: int) -> list[str]:
    """Return the command of the web server."""
    options = {
        "--interface": "asginl",
        "--host": bind,
        "--port": str(port),
        "--workers": str(workers),
        "--workers-kill-timeout": "5",  # else open event streams delay a stop
        "--http": "1",
        "--log-config": str(HERE / "granian-log.json"),
    }
    flags = ["--no-ws", "--respawn-failed-workers"]
    listed = [word for pair in options.items() for word in pair]
    return [sys.executable, "-m", "granian", *listed, *flags, "mlportal.asgi:application"]


def worker(*, queues: str, concurrency: int, name: str = "worker") -> list[str]:
    """Return the command of a worker of some queues."""
    return _celery(
        "worker", "--queues", queues, "--concurrency", str(concurrency), "--hostname", f"{name}@%h",
        "--without-gossip", "--without-mingle", "--loglevel", "INFO",
    )  # fmt: skip


def beat() -> list[str]:
    """Return the command of the scheduler."""
    schedule = settings.DATA_DIR / "run" / "beat"
    schedule.parent.mkdir(mode=0o700, exist_ok=True)
    return _celery(
        "beat", "--scheduler", "mlportal.celery:Scheduler", "--schedule", str(schedule), "--pidfile=",
        "--loglevel", "INFO",
    )  # fmt: skip


def serve() -> list[str]:
    """Return the command of the serving process."""
    return [sys.executable, "-m", "deployments.serve"]


def environment() -> dict[str, str]:
    """Return the environment of the parts."""
    return {
        **os.environ,
        **{key: os.environ.get(key, value) for key, value in FRUGAL.items()},
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "mlportal.settings",
    }


def sharing(command: list[str]) -> list[str]:
    """Return the command of a part that forks, so that its forks share what it imported."""
    return [sys.executable, "-m", "mlportal.preload", *command[2:]]


def run(command: list[str]) -> None:
    """Become one part: replace this process by its command, so that signals reach it directly."""
    os.execve(command[0], command, environment())  # noqa: S606 - a list made here, no shell
