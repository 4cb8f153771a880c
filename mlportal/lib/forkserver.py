"""``python -m mlportal.lib.forkserver REST MOST``: imports what children need and forks them; asked over descriptor 3.

It has no secret in its environment, one thread, and no file but its sockets. It ends when nobody holds the other end of
its socket any more, and its children with it. After a rest, or many children, it begins anew as a bare process: that
gives the memory back, and where things lie in memory changes.

Each request is one JSON object with descriptors beside it: first a socket over which the child's process id and
exit code go back, then its standard streams, then others. A child whose socket is closed at the other end is killed.
"""

import contextlib
import ctypes
import gc
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import setproctitle

LINE = 3
MAX_REQUEST = 1 << 17
MOST_DESCRIPTORS = 8
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Begin(BaseException):
    """Leaves the loop in a fresh child; carries what it was asked to be."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request


class ForkServer:
    """Forks children and tells of their ends.

    Parameters
    ----------
    line : socket.socket
        Where requests come from.
    rest : float
        Seconds without a request after which it may begin anew.
    most : int
        Children after which it may.
    """

    def __init__(self, line: socket.socket, rest: float, most: int) -> None:
        self._line, self._rest, self._most = line, rest, most
        self._children: dict[int, socket.socket] = {}
        self._forked = 0
        self._ended, waking = socket.socketpair()
        for end in (self._ended, waking):
            end.setblocking(False)
        self._own = [line, self._ended, waking]
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        for given in (line, self._ended):
            self._selector.register(given, selectors.EVENT_READ)

    def serve(self) -> None:
        """Fork a child for each request until a rest is due; raises `Begin` in the child."""
        while True:
            ready = [key.fileobj for key, _ in self._selector.select(self._rest)]
            if self._ended in ready:
                self._ended.recv(4096)
                self._reap()
            for pid, line in list(self._children.items()):
                if line in ready:
                    self._kill(pid, line)
            if self._line in ready:
                self._take()
            if self._rests(idle=not ready):
                return

    def _rests(self, *, idle: bool) -> bool:
        return not self._children and self._forked > 0 and (idle or self._forked >= self._most)

    def _take(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._line, MAX_REQUEST, MOST_DESCRIPTORS)
        if not message:  # everybody who could ask is gone
            os._exit(0)
        answers, *streams = descriptors
        line = socket.socket(fileno=answers)
        request = json.loads(message)
        _import(request["preload"])
        server = os.getpid()
        if pid := os.fork():
            self._forked += 1
            self._children[pid] = line
            self._selector.register(line, selectors.EVENT_READ)
            _tell(line, {"pid": pid})
            for descriptor in streams:
                os.close(descriptor)
            return
        self._leave(line)
        _settle(request, streams, server)
        raise Begin(request)

    def _leave(self, line: socket.socket) -> None:
        """Close, in a child, what belongs to the server: by its objects, which would close a number used anew."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for own in (*self._own, *self._children.values(), line):
            own.close()

    def _kill(self, pid: int, line: socket.socket) -> None:
        self._selector.unregister(line)
        _kill_group(pid)

    def _reap(self) -> None:
        while self._children:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            _kill_group(found.si_pid)  # what it started; while it is not reaped the number is its own
            _, status = os.waitpid(found.si_pid, 0)
            line = self._children.pop(found.si_pid)
            with contextlib.suppress(KeyError):
                self._selector.unregister(line)
            _tell(line, {"code": os.waitstatus_to_exitcode(status)})
            line.close()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # it may not have its group yet
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _tell(line: socket.socket, news: dict[str, int]) -> None:
    with contextlib.suppress(OSError):  # who asked may be gone
        line.send(json.dumps(news).encode())


def _import(names: list[str]) -> None:
    """Import what is not there yet and keep it from collections of garbage: memory that is written to is not shared."""
    if all(name in sys.modules for name in names):
        return
    gc.disable()
    for name in names:
        with contextlib.suppress(Exception):  # the child fails by the same, and is heard
            import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()


def _settle(request: dict[str, Any], streams: list[int], server: int) -> None:
    """Make a fork what a program would be that was started by itself."""
    os.setsid()
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    high = [os.dup2(descriptor, 200 + at) for at, descriptor in enumerate(streams)]
    for number, descriptor in enumerate(high):
        os.dup2(descriptor, number)
    for number in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
        if number >= len(streams):
            with contextlib.suppress(OSError):  # the listing's own
                os.close(number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    time.tzset()
    tempfile.tempdir = None
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else all children would draw the same
    if pools := sys.modules.get("threadpoolctl"):
        pools.threadpool_limits(int(request["environment"].get("OMP_NUM_THREADS", 1)))


def _become(request: dict[str, Any]) -> NoReturn:
    """Run ``module arguments...`` as ``python -m`` would, and end without taking apart what is shared."""
    module = request["module"]
    sys.argv = [module, *request["arguments"]]
    setproctitle.setproctitle(" ".join([sys.executable, "-m", *sys.argv]))
    # What was preloaded may have imported the module for its names; it runs anew under the name of a program.
    warnings.filterwarnings("ignore", f".*{module}.* found in sys.modules", RuntimeWarning)
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 as the interpreter does
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(rest: str, most: str) -> None:
    """Serve until nobody can ask any more; a bare process again after a rest."""
    line = socket.socket(fileno=LINE)
    os.chdir("/")
    try:
        ForkServer(line, float(rest), int(most)).serve()
    except Begin as asked:
        request = asked.request
    else:
        os.set_inheritable(LINE, True)
        os.execv(sys.executable, [sys.executable, "-P", "-m", "mlportal.lib.forkserver", rest, most])  # noqa: S606 no shell
    _become(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
