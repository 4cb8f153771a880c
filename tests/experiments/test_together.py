"""Writers that share a commit: each is answered after it, and one fault fails one writer."""

import threading
from collections.abc import Sequence

import pytest

from experiments.metricstore.together import MOST, Together


class Disk:
    """Writes numbers; the first write waits until it is let go, so that others queue behind it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.written: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def write(self, works: Sequence[int]) -> list[int]:
        self.batches.append(list(works))
        self.begun.set()
        assert self.go.wait(30)
        if any(work < 0 for work in works):
            raise ValueError(f"bad {min(works)}")
        self.written += works
        return [10 * work for work in works]


def submitted(together: Together[int], works: list[int], disk: Disk) -> dict[int, object]:
    """Let one write begin, queue the others behind it, and return what each was answered."""
    answers: dict[int, object] = {}

    def submit(work: int) -> None:
        try:
            answers[work] = together.submit(work)
            assert work in disk.written, "answered before it was written"
        except ValueError as fault:
            answers[work] = str(fault)

    threads = [threading.Thread(target=submit, args=(work,)) for work in works]
    threads[0].start()
    assert disk.begun.wait(30)
    for number, thread in enumerate(threads[1:], 1):
        thread.start()
        while len(together._waiting) < number:
            pass
    disk.go.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return answers


def test_those_who_wait_are_written_together():
    disk = Disk()
    assert submitted(Together(disk.write), [1, 2, 3, 4], disk) == {1: 10, 2: 20, 3: 30, 4: 40}
    assert disk.batches == [[1], [2, 3, 4]]


def test_a_fault_fails_its_own_writer_only():
    disk = Disk()
    assert submitted(Together(disk.write), [1, 2, -3, 4], disk) == {1: 10, 2: 20, -3: "bad -3", 4: 40}
    assert disk.batches == [[1], [2, -3, 4], [2], [-3], [4]]
    assert sorted(disk.written) == [1, 2, 4]


def test_a_long_queue_is_written_in_parts():
    disk = Disk()
    works = list(range(1, MOST + 4))
    assert submitted(Together(disk.write), works, disk) == {work: 10 * work for work in works}
    assert [len(batch) for batch in disk.batches] == [1, MOST, 2]


def test_the_queue_goes_on_after_a_fault():
    disk = Disk()
    disk.go.set()
    together = Together(disk.write)
    with pytest.raises(ValueError, match="bad -1"):
        together.submit(-1)
    assert together.submit(2) == 20
