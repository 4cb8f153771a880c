"""Clients that make and change the same things at the same moment."""

import json
import threading
from collections import Counter

import pytest
from django.db import connections

from experiments.models import Experiment, InputDataset, Run, RunInput
from projects.models import Event
from tests.experiments.mlflow.calls import code, scientist
from tests.factories.projects import make_project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
CLIENTS = 8


@pytest.fixture
def api():
    return scientist(make_project())


def together(call):
    """Answers of all clients, counted; each is a thread with a connection of its own."""
    start, found = threading.Barrier(CLIENTS), []

    def one(number):
        try:
            start.wait()
            found.append(code(call(number)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return Counter(found)


def test_the_first_runs_of_a_project_share_one_default_experiment(api):
    assert together(lambda _: api.post("runs/create", {})) == {(200, ""): CLIENTS}
    assert Experiment.objects.get().is_default
    assert Run.objects.count() == CLIENTS
    assert Event.objects.filter(verb="experiment.created").count() == 1


def test_a_name_is_given_once(api):
    found = together(lambda _: api.post("experiments/create", {"name": "same"}))
    assert found == {(200, ""): 1, (400, "RESOURCE_ALREADY_EXISTS"): CLIENTS - 1}
    mine = [api.ok("experiments/create", name=f"e{n}")["experiment_id"] for n in range(CLIENTS)]
    found = together(lambda n: api.post("experiments/update", {"experiment_id": mine[n], "new_name": "other"}))
    assert found == {(200, ""): 1, (400, "RESOURCE_ALREADY_EXISTS"): CLIENTS - 1}


def test_inputs_and_models_of_one_run_are_neither_lost_nor_doubled(api):
    run_id = api.ok("runs/create")["run"]["info"]["run_id"]
    names = [f"data-{n}" for n in range(6)]

    def inputs(number):
        ordered = names if number % 2 else names[::-1]
        datasets = [
            {"dataset": {"name": n, "digest": "d", "source_type": "code", "source": "{}"}} for n in ordered
        ]  # fmt: skip
        return api.post("runs/log-inputs", {"run_id": run_id, "datasets": datasets})

    assert together(inputs) == {(200, ""): CLIENTS}
    assert (InputDataset.objects.count(), RunInput.objects.count()) == (6, 6)

    def model(number):
        entry = {"artifact_path": f"m{number}", "flavors": {}, "utc_time_created": "now", "run_id": run_id}
        return api.post("runs/log-model", {"run_id": run_id, "model_json": json.dumps(entry)})

    assert together(model) == {(200, ""): CLIENTS}
    history = json.loads(json.loads(Run.objects.get(uuid=run_id).tags)["mlflow.log-model.history"])
    assert {entry["artifact_path"] for entry in history} == {f"m{number}" for number in range(CLIENTS)}
