"""The pool of threads of the web process."""

import threading
import time

import pytest

from mlportal.threads import WarmThreads

SECONDS = 20


@pytest.fixture
def pool():
    made = WarmThreads(4, "trial")
    yield made
    made.shutdown()


def filled(pool, count):
    """Hold so many threads at once, and let them go."""
    all_here = threading.Barrier(count)
    for call in [pool.submit(all_here.wait, SECONDS) for _ in range(count)]:
        call.result(SECONDS)


def test_one_caller_is_served_by_one_thread_though_there_are_others(pool):
    filled(pool, 4)
    assert len({pool.submit(threading.get_ident).result(SECONDS) for _ in range(200)}) == 1


def test_threads_are_made_when_the_others_work_up_to_the_number(pool):
    pool.submit(int).result(SECONDS)
    assert len(pool._threads) == 1
    filled(pool, 4)
    held = threading.Event()
    calls = [pool.submit(held.wait, SECONDS) for _ in range(9)]
    time.sleep(0.05)
    assert sum(call.running() for call in calls) == len(pool._threads) == 4
    held.set()
    assert all(call.result(SECONDS) for call in calls)


def test_a_fault_reaches_who_asked_and_the_thread_goes_on(pool):
    with pytest.raises(ValueError, match="invalid literal"):
        pool.submit(int, "x").result(SECONDS)
    assert pool.submit(int, "10", base=2).result(SECONDS) == 2
    assert len(pool._threads) == 1


def test_a_closed_pool_ends_what_is_in_and_lets_nothing_in(pool):
    held = threading.Event()
    working = [pool.submit(held.wait, SECONDS) for _ in range(4)]
    waiting, dropped = pool.submit(int, "1"), pool.submit(int, "2")
    assert dropped.cancel()
    pool.shutdown(wait=False)
    held.set()
    pool.shutdown()
    assert all(call.result() for call in working)
    assert waiting.result() == 1
    assert not any(thread.is_alive() for thread in pool._threads)
    with pytest.raises(RuntimeError):
        pool.submit(int)


def test_calls_that_wait_can_be_dropped(pool):
    held = threading.Event()
    working = [pool.submit(held.wait, SECONDS) for _ in range(4)]
    waiting = pool.submit(int, "1")
    pool.shutdown(wait=False, cancel_futures=True)
    held.set()
    assert waiting.cancelled()
    assert all(call.result(SECONDS) for call in working)
