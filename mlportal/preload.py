"""``python -m mlportal.preload``: imports the portal once, then becomes its parts by forking.

Seven processes that import Django, Celery and numpy each for themselves take a gigabyte; forks share
what was imported before them (``docs/adr/0020-fork-the-parts.md``).

Two uses: ``--serve N`` forks a part for each request that comes over the socket N, and
``module arguments...`` becomes that one module, so that the processes which it forks share too.
"""

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from importlib import import_module
from typing import Any

import setproctitle

from mlportal.lib import forks
from mlportal.process import die_with_parent

# What the parts would import at their start or first use; a name that cannot be imported fails there.
MODULES = (
    "mlportal.asgi", "mlportal.urls", "mlportal.tasks", "projects.tasks", "experiments.tasks", "deployments.tasks",
    "monitoring.tasks", "granian.cli", "granian.server.mp", "uvloop", "celery.bin.celery", "celery.apps.worker",
    "celery.apps.beat", "celery.concurrency.prefork", "celery.worker.consumer", "kombu.transport.redis",
    "projects.services.session_store", "django.core.cache.backends.redis", "django.template.loader_tags",
)  # fmt: skip
MAX_REQUEST = 1 << 16


def load() -> None:
    """Import everything and keep it from collections of garbage: memory that is written to is shared no more."""
    gc.disable()
    import django
    from django.urls import get_resolver

    django.setup()
    for name in MODULES:
        import_module(name)
    get_resolver().check()
    forks.prepare()  # one for all workers
    gc.collect()
    gc.freeze()
    gc.enable()


def serve(line: socket.socket) -> list[str]:
    """Fork a part for each request; return its command in the fork, never in this process."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signals, waking = socket.socketpair()
    for end in (signals, waking):
        end.setblocking(False)
    signal.set_wakeup_fd(waking.fileno())
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if signals in ready:
                signals.recv(4096)
                _tell_ended(line)
            if line in ready and (request := _forked(line)):
                break
    signal.set_wakeup_fd(-1)
    for end in (signals, waking, line):
        end.close()
    return _begin(request)


def _forked(line: socket.socket) -> dict[str, Any] | None:
    """Fork for the next request; return it in the fork only."""
    message = line.recv(MAX_REQUEST)
    if not message:  # the supervisor is gone
        raise SystemExit(0)
    if pid := os.fork():
        _tell(line, {"started": pid})
        return None
    request: dict[str, Any] = json.loads(message)
    return request


def _tell_ended(line: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(line, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(line: socket.socket, news: dict[str, int]) -> None:
    line.send(json.dumps(news).encode())


def _begin(request: dict[str, Any]) -> list[str]:
    """Make a fresh fork what a program would be that was started by itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    die_with_parent()
    output = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    command: list[str] = request["command"]
    return command


def become(command: list[str]) -> None:
    """Run ``module arguments...`` as ``python -m`` would."""
    setproctitle.setproctitle(" ".join([sys.executable, "-m", *command]))
    sys.argv = ["", *command[1:]]
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    load()
    become(serve(socket.socket(fileno=int(given[1]))) if given[0] == "--serve" else given)
