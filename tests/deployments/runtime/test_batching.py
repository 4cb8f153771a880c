"""Requests put together get their own answers back."""

import asyncio
import time

import pytest

from deployments.runtime.backends import Answer, ModelFailed
from deployments.runtime.batching import Batcher


class Doubling:
    """Answers twice the number; refuses rows below zero; remembers the size of each call."""

    def __init__(self):
        self.calls = []

    def __call__(self, columns):
        values = columns[0]
        self.calls.append(len(values))
        if any(value == 13 for value in values):
            raise RuntimeError("broken")
        if any(value < 0 for value in values):
            raise ModelFailed("no negative numbers")
        doubled = [2 * value for value in values]
        return Answer(doubled, [[value, 1] for value in values], doubled)


async def ask(batcher, *requests):
    return await asyncio.gather(*(batcher.predict([list(values)]) for values in requests), return_exceptions=True)


def test_requests_of_one_window_share_a_call():
    model = Doubling()
    answers = asyncio.run(ask(Batcher(model), [1], [2, 3], [4]))
    assert [answer.labels for answer in answers] == [[2], [4, 6], [8]]
    assert [answer.probabilities for answer in answers] == [[[1, 1]], [[2, 1], [3, 1]], [[4, 1]]]
    assert model.calls == [4]


def test_full_batch_does_not_wait():
    model = Doubling()
    answers = asyncio.run(ask(Batcher(model, window_seconds=60, max_rows=3), [1], [2], [3]))
    assert ([answer.labels for answer in answers], model.calls) == ([[2], [4], [6]], [3])


def test_one_bad_request_does_not_spoil_the_others():
    model = Doubling()
    good, bad, other = asyncio.run(ask(Batcher(model), [1], [-1], [5]))
    assert (good.labels, type(bad), other.labels) == ([2], ModelFailed, [10])


def test_unforeseen_error_reaches_everyone():
    answers = asyncio.run(ask(Batcher(Doubling()), [1], [13]))
    assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError]
    with pytest.raises(RuntimeError):
        asyncio.run(Batcher(Doubling()).predict([[13]]))


def test_request_that_was_given_up_is_not_computed():
    model = Doubling()

    async def scene():
        batcher = Batcher(model, window_seconds=0.01)
        gone = asyncio.ensure_future(batcher.predict([[1]]))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher.predict([[2]])

    assert (asyncio.run(scene()).labels, model.calls) == ([4], [1])


def test_nobody_waits_for_more_than_came_last_time():
    model = Doubling()

    async def scene():
        batcher = Batcher(model, window_seconds=60)
        await ask(batcher, [1])
        await ask(batcher, [1], [2], [3])
        await ask(batcher, [1], [2], [3])

    asyncio.run(asyncio.wait_for(scene(), 30))
    assert model.calls == [1, 3, 3]


class Slow(Doubling):
    """Holds the loop up as a real model does, so that others' requests wait for its end."""

    def __call__(self, columns):
        time.sleep(0.005)
        return super().__call__(columns)


def test_two_groups_find_together():
    """Of two groups that take turns, one would never meet the other: now and then a call waits its whole time."""
    model = Slow()

    async def in_turns(batcher, late):
        await asyncio.sleep(late)
        for _ in range(40):
            await ask(batcher, [1], [2])
            await asyncio.sleep(0.001)  # the way to the caller and back

    async def scene():
        batcher = Batcher(model, window_seconds=0.2)
        await asyncio.gather(in_turns(batcher, 0), in_turns(batcher, 0.001))

    asyncio.run(scene())
    assert 4 in model.calls[:17]
