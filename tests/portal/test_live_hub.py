"""The hub of open pages: what watchers are sent, and what stays behind when they go."""

import asyncio
import threading

import pytest

from mlportal import live
from mlportal.live import Hub, Watch


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(live, "POLL_SECONDS", 0.01)


class Source:
    """What a topic reads: its version, and how often it was asked."""

    def __init__(self):
        self.version, self.reads, self.broken = "a", 0, False

    def __call__(self):
        self.reads += 1
        if self.broken:
            raise OSError("database is away")
        return self.version


class Line:
    """One client: what it got, and when it leaves."""

    def __init__(self):
        self.got, self.news, self.left = [], asyncio.Event(), asyncio.Event()

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.got.append(message)
        self.news.set()

    @property
    def text(self):
        return b"".join(message["body"] for message in self.got).decode()

    async def until(self, words):
        async with asyncio.timeout(20):
            while words not in self.text:
                self.news.clear()
                await self.news.wait()


async def until(test):
    async with asyncio.timeout(20):
        while not test():  # noqa: ASYNC110 - what is waited for happens in other threads
            await asyncio.sleep(0.01)


async def yes():
    return True


def hub(most=9, most_a_user=9, seconds=60.0):
    return Hub(most=most, most_a_user=most_a_user, seconds=seconds)


def watch(source, topic="run:1", user=1):
    return Watch(topic, user, source.version, source)


def opened(place, source, *, allowed=yes, **more):
    line = Line()
    return line, asyncio.ensure_future(place.keep(watch(source, **more), allowed, line.receive, line.send))


def test_all_watchers_of_a_topic_share_its_reads_and_hear_of_a_change():
    async def story():
        place, source, other = hub(), Source(), Source()
        lines = [opened(place, source, user=user) for user in (1, 2, 3)]
        apart, task = opened(place, other, topic="run:2")
        await asyncio.gather(*(line.until("data: a") for line, _ in lines))
        assert len(place.topics) == 2
        source.version = "b"
        await asyncio.gather(*(line.until("data: b") for line, _ in lines))
        assert "data: b" not in apart.text
        for line in (*(line for line, _ in lines), apart):
            line.left.set()
        await asyncio.gather(*(t for _, t in lines), task)
        assert (place.topics, place.count) == ({}, 0)
        settled = source.reads
        await asyncio.sleep(0.1)
        assert source.reads <= settled + 1  # a read that was under way may still end
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())


def test_reads_do_not_grow_with_watchers():
    async def story(count):
        place, source = hub(most=100, most_a_user=100), Source()
        lines = [opened(place, source) for _ in range(count)]
        await until(lambda: source.reads >= 5)
        polls = {id(topic.polling) for topic in place.topics.values()}
        for line, _ in lines:
            line.left.set()
        await asyncio.gather(*(task for _, task in lines))
        return len(polls)

    assert asyncio.run(story(1)) == asyncio.run(story(60)) == 1


def test_a_late_watcher_hears_what_the_topic_knows_already():
    async def story():
        place, source = hub(), Source()
        first, one = opened(place, source)
        source.version = "b"
        await first.until("data: b")
        late = Line()
        two = asyncio.ensure_future(place.keep(Watch("run:1", 2, "a", source), yes, late.receive, late.send))
        await late.until("data: b")
        first.left.set()
        late.left.set()
        await asyncio.gather(one, two)

    asyncio.run(story())


def test_lines_are_bounded_for_a_person_and_for_all():
    async def story():
        place, source = hub(most=3, most_a_user=2), Source()
        lines = [opened(place, source, user=user) for user in (1, 1)]
        await asyncio.gather(*(line.until("data: a") for line, _ in lines))
        assert (place.is_full_for(1), place.is_full_for(2)) == (True, False)
        lines.append(opened(place, source, user=2))
        await lines[-1][0].until("data: a")
        assert place.is_full_for(3)
        lines[0][0].left.set()
        await lines[0][1]
        assert not place.is_full_for(1)
        for line, _ in lines:
            line.left.set()
        await asyncio.gather(*(task for _, task in lines))

    asyncio.run(story())


@pytest.mark.parametrize("how", ["time", "close", "failure", "refused"])
def test_a_line_ends_with_a_word_so_that_the_browser_comes_back(monkeypatch, how):
    monkeypatch.setattr(live, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.02)

    async def no():
        return how != "refused"

    async def story():
        place, source = hub(seconds=0.2 if how == "time" else 60.0), Source()
        line, task = opened(place, source, allowed=no)
        await line.until("data: a")
        if how == "close":
            place.close()
            assert place.is_full_for(5)
        source.broken = how == "failure"
        async with asyncio.timeout(20):
            await task
        assert line.text.endswith("event: again\ndata: -\n\n")
        assert line.got[-1]["more_body"] is False
        assert (place.count, place.topics) == (0, {})

    asyncio.run(story())


def test_a_client_that_takes_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr(live, "SEND_SECONDS", 0.05)

    async def story():
        place, source = hub(), Source()
        line = Line()
        stuck = asyncio.Event()

        async def send(message):
            await line.send(message)
            if len(line.got) > 1:
                await stuck.wait()

        task = asyncio.ensure_future(place.keep(watch(source), yes, line.receive, send))
        await line.news.wait()
        source.version = "b"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await task
        assert place.count == 0

    asyncio.run(story())


def test_hubs_use_two_threads_at_most():
    async def story():
        place, sources = hub(most=50, most_a_user=50), [Source() for _ in range(30)]
        lines = [opened(place, source, topic=f"run:{at}") for at, source in enumerate(sources)]
        await until(lambda: all(source.reads >= 3 for source in sources))
        mine = [t for t in threading.enumerate() if t in place._pool._threads]
        for line, _ in lines:
            line.left.set()
        await asyncio.gather(*(task for _, task in lines))
        return len(mine)

    assert asyncio.run(story()) <= live.POLL_THREADS
