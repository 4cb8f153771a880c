"""Random bytes drawn many at a time: one system call for a few hundred ids instead of one each."""

import os
from collections import deque

AT_ONCE = 256


class Drawn:
    """Pieces of random bytes, each given once, in any thread; a forked child draws its own.

    Parameters
    ----------
    size : int
        Bytes a piece.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: deque[bytes] = deque()
        os.register_at_fork(after_in_child=self._held.clear)

    def __call__(self) -> bytes:
        """Give the next piece."""
        try:
            return self._held.popleft()
        except IndexError:
            size, drawn = self._size, os.urandom(self._size * AT_ONCE)
            self._held.extend(drawn[at : at + size] for at in range(size, len(drawn), size))
            return drawn[:size]
