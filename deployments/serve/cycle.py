"""Writes a whole answer at once, where uvicorn looks at each header with two patterns and writes twice."""

from __future__ import annotations

from collections.abc import Sequence

from uvicorn.protocols.http import httptools_impl

Given = Sequence[tuple[bytes, bytes]]


class Cycle(httptools_impl.RequestResponseCycle):
    """One request and its answer, as uvicorn's; `messages.answer` finds ``give`` on it."""

    def give(self, status: int, headers: Given, body: bytes) -> bool:
        """Write status, headers and body.

        Parameters
        ----------
        headers : sequence of (bytes, bytes)
            With names in small letters and the length of the body among them.

        Returns
        -------
        bool
            False when nothing was written and it has to go uvicorn's way: the caller reads slowly or is gone, the
            connection ends here, or a header holds the end of a line, which uvicorn refuses.
        """
        if self.flow.write_paused or self.disconnected or self.response_started or not self.keep_alive:
            return False
        given = [*self.default_headers, *headers]
        head = b"".join([part for name, value in given for part in (name, b": ", value, b"\r\n")])
        if not head.count(b"\r") == head.count(b"\n") == len(given):
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join((httptools_impl.STATUS_LINE[status], head, b"\r\n", body)))
        self.message_event.set()
        self.on_response()
        return True


def install() -> None:
    """Have uvicorn use it in this process: its protocol makes cycles by this name."""
    httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]
