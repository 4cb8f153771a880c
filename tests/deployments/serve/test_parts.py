"""Parts of the serving process by themselves: queue, time, bodies, memory, passes."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.runtime import passes
from deployments.runtime.backends import Answer
from deployments.runtime.loading import Runtime
from deployments.runtime.signature import read_records
from deployments.serve import database, messages
from deployments.serve.configuration import Configuration
from deployments.serve.follower import Warm
from deployments.serve.journal import Journal
from deployments.serve.limits import Limits
from deployments.serve.live import Live
from deployments.serve.metrics import Metrics
from deployments.serve.protocols import own
from deployments.serve.tables import EndpointRow
from mlportal.lib.errors import DomainError, Invalid, Unavailable
from monitoring import spool
from tests.deployments.runtime import recipes

ROW = EndpointRow(1, 1, "churn", "churn-production", True, "all", "serve", "safe", 0.1, (), 0, 0, 7, 1, 3, 1, "churn")
RECORD = {"age": 41.5, "visits": 3, "member": True, "city": "rome", "plan": "plan-1"}


class Slow:
    """A model that takes its time."""

    name = "sklearn"

    def __init__(self, seconds: float = 0.0, *, batched: bool = False) -> None:
        self.seconds, self.batched = seconds, batched

    def predict(self, columns):
        time.sleep(self.seconds)
        rows = len(columns[0])
        return Answer(["no"] * rows, [[1.0, 0.0]] * rows, [0.0] * rows)


def runtime(backend, size_bytes: int = 0, *, inline: bool = False) -> Runtime:
    return Runtime(recipes.SIGNATURE, backend, "", 1, size_bytes, inline)


def live(backend, *, inline: bool = False, **limits) -> Live:
    settings = Configuration(database={}, spool=Path("unused"), pass_key=b"", locate=Path, load_model=Path)
    return Live(ROW, runtime(backend, inline=inline), replace(settings, **limits))


def ask(endpoint: Live, records):
    return endpoint.predict(lambda: read_records(records, endpoint.runtime.signature), len(records))


async def outcomes(endpoint: Live, count: int):
    found = await asyncio.gather(*(ask(endpoint, [RECORD]) for _ in range(count)), return_exceptions=True)
    return [getattr(one, "code", "answer") for one in found]


def test_full_queue_refuses_at_once():
    endpoint = live(Slow(0.05), max_waiting=4)
    assert asyncio.run(outcomes(endpoint, 6)) == ["answer"] * 4 + ["too_many_requests"] * 2
    assert endpoint.waiting == 0


def test_slow_model_is_given_up():
    endpoint = live(Slow(2.0), timeout_seconds=0.05)
    started = time.monotonic()
    with pytest.raises(DomainError) as caught:
        asyncio.run(_predict_and_leave(endpoint))
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (504, "timeout", 5)
    assert time.monotonic() - started < 1.5
    assert endpoint.waiting == 0


async def _predict_and_leave(endpoint: Live):
    return await ask(endpoint, [RECORD])


@pytest.mark.parametrize(("inline", "batched"), [(True, False), (False, False), (False, True)])
def test_each_way_gives_the_answer_of_each_request(inline, batched):
    endpoint = live(Slow(batched=batched), inline=inline)
    assert asyncio.run(outcomes(endpoint, 20)) == ["answer"] * 20
    with pytest.raises(DomainError) as caught:
        asyncio.run(ask(endpoint, [{**RECORD, "age": "x"}]))
    assert (caught.value.code, caught.value.row, caught.value.column) == ("value_invalid", 0, "age")


def test_versions_that_are_not_live_are_kept_within_the_budget():
    warm = Warm(budget_bytes=250)
    for version in range(1, 6):
        warm.put(version, runtime(Slow(), 100))
    warm.get(1)
    warm.trim(live={5})
    assert list(warm.loaded) == [4, 5, 1]
    warm.trim(live={4, 5, 1})
    assert list(warm.loaded) == [4, 5, 1]


def arriving(*parts: bytes, pause: float = 0.0, gone: bool = False):
    queue = list(parts)

    async def receive():
        await asyncio.sleep(pause)
        if not queue:
            return {"type": "http.disconnect"}
        part = queue.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(queue) or gone}

    return receive


def read(receive, headers=None, **limits):
    reader = messages.Reader(**({"limit_bytes": 10, "budget_bytes": 20, "timeout_seconds": 10.0} | limits))
    try:
        body = asyncio.run(reader.read(headers or {}, receive))
    except DomainError as error:
        return error.code
    finally:
        assert reader._held_bytes == 0
    return body


def test_bodies_are_read_within_limits():
    assert read(arriving(b"12345", b"67890")) == b"1234567890"
    assert read(arriving(b"1234567890")) == b"1234567890"
    assert read(arriving(b"12345", b"678901")) == "too_large"
    assert read(arriving(b"12345678901")) == "too_large"
    assert read(arriving(b"1"), {b"content-length": b"11"}) == "too_large"
    assert read(arriving(b"1"), {b"content-length": b"9" * 30}) == b"1"
    assert read(arriving(b"123", b"45", b"6"), budget_bytes=4) == "too_many_requests"
    assert read(arriving(b"1", b"2", pause=0.15), timeout_seconds=0.2) == "body_too_slow"
    with pytest.raises(messages.Gone):
        read(arriving(b"1", gone=True))


def test_request_ids_are_taken_only_when_plain():
    assert messages.request_id({b"x-request-id": b"abc-12345"}) == "abc-12345"
    for strange in (b"", b"short", b"x" * 65, b"a b c d e f", b"abc\r\ninjected: 1"):
        assert len(messages.request_id({b"x-request-id": strange})) == 32


def test_parse_refuses_other_shapes():
    for body, code in [
        (b"[]", "records_missing"),
        (b"{}", "records_missing"),
        (b'{"records":1,"x":2}', "field_unknown"),
    ]:
        with pytest.raises(Invalid) as caught:
            own.parse(body, {})
        assert caught.value.code == code
    assert own.parse(b'{"records":[]}', {b"content-type": b"application/json; charset=utf-8"}) == ([], None)


def test_pass_is_read_back_and_ends():
    key = passes.derive("a secret of the installation")
    text = passes.issue(key, project_id=3, endpoint_id=9, token_id=0, now=1000.0)
    assert passes.read(key, text, now=1029.9) == passes.Pass(3, 9, 0, 1030.0)
    assert passes.read(key, text, now=1030.0) is None
    assert passes.read(passes.derive("another"), text, now=1000.0) is None
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert passes.read(key, changed, now=1000.0) in (None, passes.Pass(3, 9, 0, 1030.0))
        if changed.rpartition(".")[2] != text.rpartition(".")[2] or place < 4:
            assert passes.read(key, changed, now=1000.0) is None
    for strange in ("", "mli_", "mli_x.y", "mli_é.y", "mli_" + "A" * 500):
        assert passes.read(key, strange, now=1000.0) is None


def test_database_that_is_not_there_is_lost(tmp_path):
    with pytest.raises(database.Lost):
        database.connect({"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "none.sqlite3"})
    with pytest.raises(database.Lost):
        database.connect({"ENGINE": "django.db.backends.postgresql", "NAME": "none", "HOST": "/nowhere", "PORT": 1})


def test_sqlite_source_sees_commits_and_cannot_write(tmp_path):
    import sqlite3

    path = tmp_path / "a.sqlite3"
    writer = sqlite3.connect(path)
    writer.execute("CREATE TABLE t (a)")
    writer.commit()
    source = database.connect({"ENGINE": "django.db.backends.sqlite3", "NAME": path})
    assert (source.changed(), source.changed()) == (True, False)
    writer.execute("INSERT INTO t VALUES (7)")
    writer.commit()
    assert (source.changed(), source.query("SELECT a FROM t WHERE a = %s", (7,))) == (True, [(7,)])
    with pytest.raises(database.Lost):
        source.query("INSERT INTO t VALUES (8)")
    source.close()
    writer.close()


def test_times_and_json_of_both_databases_are_read_alike():
    from datetime import UTC, datetime

    assert database.from_time("2026-11-20 12:00:00") == database.from_time(datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert database.from_json('["predict"]') == database.from_json(["predict"]) == ["predict"]


def test_limits_of_a_minute_for_all_and_for_each_token():
    now = [0.0]
    limits = Limits(clock=lambda: now[0])
    row = replace(ROW, requests_per_minute=4, caller_requests_per_minute=2)

    def take(token):
        try:
            limits.check(row, token)
        except DomainError as error:
            return error.status, error.code, error.limit, error.retry_after

    assert [take(1), take(1), take(1)] == [None, None, (429, "rate_limited", 2, 30)]
    assert [take(2), take(2), take(3)] == [None, None, (429, "rate_limited", 4, 15)]
    now[0] = 30.0
    assert [take(1), take(1)] == [None, (429, "rate_limited", 2, 30)]
    now[0] = 1000.0
    assert [take(0)] * 4 == [None] * 4
    free = replace(ROW, requests_per_minute=0)
    assert all(limits.check(free, 1) is None for _ in range(100))


@pytest.mark.parametrize("mode", ["off", "sample", "safe", "durable"])
def test_each_mode_of_the_log(tmp_path, mode):
    row = replace(ROW, logging=mode, sample_share=1e-9, masked_columns=("city",))
    settings = Configuration(database={}, spool=tmp_path, pass_key=b"", locate=Path, load_model=Path)
    endpoint = Live(row, runtime(Slow()), settings)
    journal = Journal(spool.Writer(tmp_path), Metrics())

    async def answer():
        for _ in range(3):
            journal.answered(
                endpoint,
                [[1.0]],
                Answer(["no"], None, [0.5]),
                ids=["a"],
                inference_ids=None,
                latency_us=1,
                token_id=0,
                protocol="v2",
            )
        if mode == "durable":
            await asyncio.gather(*(journal.settle(endpoint) for _ in range(5)))
            await journal.settle(endpoint)

    asyncio.run(answer())
    journal.refused(endpoint, status=422, code="no_rows", latency_us=1)
    journal.writer.close()
    readings = [spool.read(path) for path in spool.closed_segments(tmp_path)]
    kinds = [[(record["kind"], record.get("kept", True)) for record in reading.records] for reading in readings]
    expected = [("prediction", mode != "sample")] * 3 + [("refusal", True)]
    assert kinds == ([] if mode == "off" else [expected])
    assert [reading.headers[7]["masked"] for reading in readings] == ([] if mode == "off" else [["city"]])


def test_a_changed_setting_writes_its_header_again(tmp_path):
    writer = spool.Writer(tmp_path)
    first, second = ({"kind": "header", "source": 7, "masked": masked} for masked in ([], ["city"]))
    for header in (first, first, second):
        writer.append({"kind": "gap", "source": 7}, header=header)
    writer.close()
    (path,) = spool.closed_segments(tmp_path)
    assert path.read_bytes().count(b"header") == 2
    assert spool.read(path).headers[7]["masked"] == ["city"]


@pytest.mark.parametrize("late", [False, True])
def test_a_body_is_read_whole_whether_it_is_there_or_comes_in_pieces(late):
    pieces = [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request", "body": b"c"}]

    async def receive():
        if late:
            await asyncio.sleep(0)
        return pieces.pop(0)

    reader = messages.Reader(limit_bytes=10, budget_bytes=10, timeout_seconds=5)
    assert asyncio.run(reader.read({}, receive)) == b"abc"


def test_a_body_that_never_comes_ends_with_the_time():
    ended = []

    async def receive():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    reader = messages.Reader(limit_bytes=10, budget_bytes=10, timeout_seconds=0.01)
    with pytest.raises(Unavailable, match="did not arrive in time"):
        asyncio.run(reader.read({}, receive))
    assert ended == [True]
