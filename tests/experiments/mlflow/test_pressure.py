"""Many clients at once: nothing is lost, nothing is doubled, a parameter is written once."""

import itertools
import json
import threading

import pytest
from django.db import connections

from experiments import metricstore
from experiments.models import Run
from tests.experiments.mlflow.calls import scientist
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
WRITERS = 50
STAMP = 1_760_000_000_000


def together(writers, target):
    """Run the target in as many threads, each with its number, and give what each returned."""
    found, faults, start = {}, [], threading.Barrier(writers)

    def guarded(number):
        try:
            start.wait(60)
            found[number] = target(number)
        except Exception as fault:  # noqa: BLE001 - raised again below
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    if faults:
        raise faults[0]
    assert len(found) == writers
    return found


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return scientist(project)


def patient(ana, path, body):
    """Send as the client does: 429 means later, and the same again must be harmless."""
    for _ in range(50):
        status, answer = ana.post(path, body)
        if status != 429:
            return status, answer
    raise AssertionError("the door stayed busy")


def test_fifty_writers_to_one_run_lose_and_double_nothing(ana, project):
    run = make_run(make_experiment(project), source=Run.Source.MLFLOW)

    def write(number):
        batch = {
            "run_id": run.uuid,
            "metrics": [
                {"key": key, "value": number, "timestamp": STAMP + number, "step": step}
                for key, step in itertools.product(("loss", f"own/{number}"), range(3))
            ],
            "params": [{"key": f"p{number}", "value": str(number)}],
            "tags": [{"key": f"t{number}", "value": str(number)}, {"key": "shared", "value": str(number)}],
        }
        return [patient(ana, "runs/log-batch", batch)[0] for _ in range(2)]

    assert set(map(tuple, together(WRITERS, write).values())) == {(200, 200)}
    found = metricstore.series(run.pk, "loss")
    points = list(zip(found.steps.tolist(), found.stamps.tolist(), found.values.tolist(), strict=True))
    assert points == [(s, STAMP + n, float(n)) for s in range(3) for n in range(WRITERS)]
    latest = metricstore.latest([run.pk])[run.pk]
    assert (latest["loss"].step, latest["loss"].value, len(latest)) == (2, WRITERS - 1, WRITERS + 1)
    run.refresh_from_db()
    assert json.loads(run.params) == {f"p{n}": str(n) for n in range(WRITERS)}
    tags = json.loads(run.tags)
    assert {key: value for key, value in tags.items() if key != "shared"} == {f"t{n}": str(n) for n in range(WRITERS)}


def test_of_racing_values_of_a_parameter_one_stays(ana, project):
    run = make_run(make_experiment(project), source=Run.Source.MLFLOW)

    def write(number):
        return patient(ana, "runs/log-parameter", {"run_id": run.uuid, "key": "lr", "value": str(number)})[0]

    statuses = together(WRITERS, write)
    run.refresh_from_db()
    winner = int(json.loads(run.params)["lr"])
    assert [number for number, status in statuses.items() if status == 200] == [winner]
    assert sorted(set(statuses.values())) == [200, 400]


def test_fifty_clients_make_fifty_runs_of_their_own(ana, project):
    made = together(WRITERS, lambda number: patient(ana, "runs/create", {"run_name": f"r{number}"}))
    ids = {answer["run"]["info"]["run_id"] for _, answer in made.values()}
    assert len(ids) == WRITERS
    assert sorted(Run.objects.values_list("name", flat=True)) == sorted(f"r{n}" for n in range(WRITERS))
