"""Answers leave in one write, and nothing that was written stays behind."""

import asyncio

from deployments.serve.wire import Joined


class Recording(asyncio.Transport):
    """Keeps what reached the wire, a call an entry."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def write(self, content):
        self.sent.append(content)

    def writelines(self, parts):
        self.sent.append(b"".join(parts))

    def close(self):
        self.sent.append("closed")

    def is_closing(self):
        return "closed" in self.sent


def after(act):
    """What reached the wire once the turn of the loop in which `act` wrote is over."""

    async def scene():
        wire = Recording()
        act(Joined(wire, asyncio.get_running_loop()))
        before = list(wire.sent)
        await asyncio.sleep(0)
        return before, wire.sent

    return asyncio.run(scene())


def test_head_and_body_are_one_write():
    assert after(lambda out: (out.write(b"head "), out.write(b"body"))) == ([b"head body"], [b"head body"])


def test_what_comes_alone_is_sent_at_the_end_of_the_turn():
    assert after(lambda out: out.write(b"continue")) == ([], [b"continue"])
    whole = [b"head first", b"second"]
    assert after(lambda out: [out.write(part) for part in (b"head ", b"first", b"second")])[1] == whole


def test_an_empty_body_sends_the_head_and_nothing_sends_nothing():
    assert after(lambda out: (out.write(b"head"), out.write(b"")))[1] == [b"head"]
    assert after(lambda out: out.write(b""))[1] == []


def test_closing_sends_first():
    def act(out):
        out.write(b"last words")
        out.close()
        assert out.is_closing()

    assert after(act)[1] == [b"last words", "closed"]
