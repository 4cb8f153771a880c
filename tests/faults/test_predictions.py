"""Whatever of the prediction log's way is killed, each answered prediction is in the log once and counted once."""

import os
import random
import signal
import sys
import time

import pytest
from django.core.management import call_command

from monitoring import spool
from monitoring.drift import shape
from monitoring.models import Bucket, Prediction
from tests.factories.monitoring import make_monitor
from tests.faults.plant import kill_group, plant
from tests.serve.conftest import scene, token  # noqa: F401 - fixtures
from tests.serve.harness import ROOT, Load, Serve

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
THREADS = 2


def test_killed_serve_shipper_and_worker_lose_and_double_no_answer(scene, token, tmp_path, settings, monkeypatch):  # noqa: F811
    folder = tmp_path / "spool"
    monkeypatch.setenv("MLPORTAL_SPOOL_DIR", str(folder))
    scene.switch(scene.make_version(1))
    make_monitor(scene.project, version="v1", pace={})
    chance = random.Random(ROUNDS)
    kills = dict.fromkeys(("serve", "shipper", "worker"), 0)
    shipping = [sys.executable, str(ROOT / "manage.py"), "ship_predictions", "--every", "0.1"]
    with plant(tmp_path) as works, Serve(folder) as serve, Load(serve, token, threads=THREADS, pause=0.005) as load:
        worker, shipper = works.sweeper(), works._start(shipping)
        for number in range(ROUNDS):
            before = len(load.ids)
            serve.wait_for(lambda before=before: len(load.ids) > before)
            time.sleep(chance.uniform(0, 3))
            victim = ("serve", "shipper", "worker")[number % 3]
            kills[victim] += 1
            if victim == "serve":
                serve.stop(signal.SIGKILL)
                serve.start()
            elif victim == "shipper":
                kill_group(shipper)
                shipper = works._start(shipping)
            else:
                kill_group(worker)
                worker = works.sweeper()
    works.end()
    settings.SPOOL_DIR = folder
    call_command("ship_predictions")
    assert spool.closed_segments(folder) == []
    assert {status for status, _ in load.answers} <= {200, 503}  # one that starts says that it is not ready
    stored = {str(pk) for pk in Prediction.objects.values_list("pk", flat=True)}
    assert len(load.ids) == len(set(load.ids)) > 50
    assert set(load.ids) <= stored
    # the answer of a line that was written may be cut off: at most one a thread and kill
    assert len(stored - set(load.ids)) <= THREADS * (kills["serve"] + 1)
    answered = Bucket.objects.filter(column=shape.TRAFFIC).values_list("counts", flat=True)
    assert sum(shape.filled(counts) for counts in answered) == len(stored), "each is counted once"
    print(f"{len(stored):,} predictions, kills: {kills}")
