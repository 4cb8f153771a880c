"""Several writers, folders and readers at once, and a writer that is killed."""

import json
import multiprocessing
import os
import random
import signal
import threading
import time

import pytest
from django.db import close_old_connections, connection, connections, transaction

from experiments import metricstore
from experiments.models import MetricChunk, Run, RunParam
from mlportal.lib.errors import Conflict
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
WRITERS = 4
CALLS = 40


@pytest.fixture
def run():
    return make_run(make_experiment(make_project()))


def together(*targets):
    """Run each target in a thread of its own and raise what any of them raised."""
    faults = []

    def guarded(target):
        try:
            target()
        except Exception as fault:  # noqa: BLE001 - raised again by the caller
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guarded, args=(t,)) for t in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if faults:
        raise faults[0]


def expected(run):
    points = [(w * CALLS + c, float(w * CALLS + c)) for w in range(WRITERS) for c in range(CALLS)]
    found = metricstore.series(run.pk, "loss")
    assert list(zip(found.steps.tolist(), found.values.tolist(), strict=True)) == sorted(points)
    last = WRITERS * CALLS - 1
    assert metricstore.latest([run.pk])[run.pk]["loss"].step == last
    assert json.loads(Run.objects.get(pk=run.pk).latest)[0]["step"] == last
    assert MetricChunk.objects.filter(run=run, key=None).count() == 0


def write(run_id, writer, seed=0):
    order = list(range(CALLS))
    random.Random(seed + writer).shuffle(order)
    for call in order:
        step = writer * CALLS + call
        metricstore.append(run_id, metrics=[("loss", float(step), step, step)], tags={f"w{writer}": str(call)})


def fold_now_and_then(run_id, rounds=25):
    for _ in range(rounds):
        metricstore.fold(run_id)
        metricstore.latest([run_id])


def test_threads_that_write_fold_and_read_lose_nothing(run):
    writers = [lambda w=w: write(run.pk, w) for w in range(WRITERS)]
    together(*writers, lambda: fold_now_and_then(run.pk), lambda: fold_now_and_then(run.pk))
    expected(run)


def _child(run_id, writer):
    connections.close_all()
    write(run_id, writer, seed=99)
    if writer % 2:
        metricstore.fold(run_id)


def test_processes_that_write_and_fold_lose_nothing(run):
    connection.close()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_child, args=(run.pk, w)) for w in range(WRITERS)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * WRITERS
    expected(run)


def test_a_parameter_has_one_winner(run):
    refused = []

    def claim(value):
        try:
            metricstore.append(run.pk, params={"seed": value})
        except Conflict:
            refused.append(value)

    together(*(lambda v=str(v): claim(v) for v in range(6)))
    stored = RunParam.objects.get(run=run).value
    run.refresh_from_db()
    assert (len(refused), run.params) == (5, f'{{"seed":"{stored}"}}')


def test_overlapping_batches_of_keys_do_not_deadlock(run):
    names = [f"m{i:02}" for i in range(40)]

    def hammer(seed):
        mixed = random.Random(seed)
        for call in range(15):
            keys = mixed.sample(names, 20)
            metricstore.append(run.pk, metrics=[(k, float(call), call, seed * 100 + call) for k in keys])
            metricstore.fold(run.pk)

    together(*(lambda s=s: hammer(s) for s in range(4)))
    assert set(metricstore.latest([run.pk])[run.pk]) <= set(names)


def _told(run_id, pipe):
    """Log for ever; tell the parent each step after it was acknowledged."""
    connections.close_all()
    step = 0
    while True:
        metricstore.append(run_id, metrics=[("loss", float(step), step, step)])
        if step % 7 == 0:
            metricstore.fold(run_id)
        pipe.send(step)
        step += 1


@pytest.mark.faults
def test_what_was_acknowledged_survives_kill_9(run):
    connection.close()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_told, args=(run.pk, theirs))
    child.start()
    theirs.close()
    time.sleep(1.2)
    os.kill(child.pid, signal.SIGKILL)
    child.join(10)
    acknowledged = []
    while True:
        try:
            acknowledged.append(ours.recv())
        except EOFError:
            break
    close_old_connections()
    stored = metricstore.series(run.pk, "loss").steps.tolist()
    assert len(acknowledged) > 10
    # At most the one call that was under way may be there without having been told.
    assert stored in (acknowledged, [*acknowledged, acknowledged[-1] + 1])


@pytest.mark.only_on("postgresql")  # SQLite has one writer
def test_a_call_waits_for_no_lock_of_another_run(run):
    other = make_run(run.experiment)
    metricstore.append(run.pk, metrics=[("loss", 0.0, 0, 0)])
    metricstore.append(other.pk, metrics=[("loss", 0.0, 0, 0)])
    held, free, written = threading.Event(), threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Run.objects.select_for_update().get(pk=run.pk)
            held.set()
            assert free.wait(60)

    def log():
        for call in range(5):
            metricstore.append(other.pk, metrics=[("loss", 1.0, 1, call)])
        written.set()

    def waits():
        assert held.wait(60)
        metricstore.append(run.pk, metrics=[("loss", 1.0, 1, 1)])

    def watches():
        assert held.wait(60)
        try:
            assert written.wait(30), "a call waited for a run that is not its own"
        finally:
            free.set()

    together(hold, waits, lambda: held.wait(60) and waiting() and log(), watches)
    assert metricstore.series(run.pk, "loss").steps.tolist() == [0, 1]


def waiting(seconds=30):
    """Wait until some call waits for a lock."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.01)
    return False
