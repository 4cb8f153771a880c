"""A lasting pool of threads in which the one that worked last works next.

The pool of the standard library wakes the thread that waited longest. Each thread keeps a connection to the database,
and behind that a process of PostgreSQL with plans and catalogues of its own: asked in turn, none of sixteen is ever
warm, and a plan that is made once a connection is made sixteen times (``docs/adr/0091-the-warmest-thread-first.md``).
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any

_Work = tuple[Future[Any], Callable[[], Any]]


class WarmThreads(Executor):
    """Threads that are made when all others work, up to a number, and stay.

    Parameters
    ----------
    most : int
    name : str
        Of the threads, before their number.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._mutex = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle: list[SimpleQueue[_Work | None]] = []
        self._waiting: deque[_Work] = deque()
        self._is_closed = False
        atexit.register(self.shutdown)

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Have a call made by the thread that became idle last."""
        future: Future[Any] = Future()
        work = (future, partial(call, *args, **named))
        with self._mutex:
            if self._is_closed:
                raise RuntimeError("the pool of threads is closed")
            if self._idle:
                self._idle.pop().put(work)
            elif len(self._threads) < self._most:
                self._start(work)
            else:
                self._waiting.append(work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor has it
        """Let no call in any more and end the threads when the calls that are in have ended."""
        with self._mutex:
            self._is_closed = True
            if cancel_futures:
                for future, _ in self._waiting:
                    future.cancel()
                self._waiting.clear()
            for box in self._idle:
                box.put(None)
            self._idle.clear()
        for thread in self._threads if wait else ():
            thread.join()

    def _start(self, work: _Work) -> None:
        # Daemons, because the interpreter waits for others before it calls what is registered at its exit.
        thread = threading.Thread(
            target=self._work, args=(work,), name=f"{self._name}_{len(self._threads)}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _work(self, work: _Work | None) -> None:
        box: SimpleQueue[_Work | None] = SimpleQueue()
        while work is not None:
            tell = _made(*work)
            # Idle before anybody reads the result: who answers it at once with the next call finds this thread.
            work, is_idle = self._next(box)
            tell()
            if is_idle:
                work = box.get()

    def _next(self, box: SimpleQueue[_Work | None]) -> tuple[_Work | None, bool]:
        with self._mutex:
            if self._waiting:
                return self._waiting.popleft(), False
            if not self._is_closed:
                self._idle.append(box)
            return None, not self._is_closed


def _made(future: Future[Any], call: Callable[[], Any]) -> Callable[[], None]:
    """Make a call; return what tells its result."""
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        result = call()
    except BaseException as fault:  # noqa: BLE001 - raised again where the result is asked for
        return partial(future.set_exception, fault)
    return partial(future.set_result, result)
