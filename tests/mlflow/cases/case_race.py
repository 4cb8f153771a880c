"""Several writers at once: nothing lost, nothing twice, nothing refused that is right."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

pytestmark = pytest.mark.once
WRITERS = 8


def together(action):
    """Run an action in several threads, each with a client of its own; return what each gave."""
    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(lambda at: action(MlflowClient(), at), range(WRITERS)))


def caught(action):
    def run(client, at):
        try:
            return action(client, at)
        except MlflowException as fault:
            return fault

    return run


def case_metrics_of_one_key(client, run):
    def write(own, at):
        for i in range(5):
            own.log_batch(run, [Metric("m", at * 5 + i, 1, at * 5 + i), Metric(f"own {at}", i, 1, i)])

    together(write)
    assert [m.step for m in client.get_metric_history(run, "m")] == list(range(WRITERS * 5))
    assert client.get_run(run).data.metrics["m"] == WRITERS * 5 - 1


def case_identical_points(client, run):
    together(lambda own, at: own.log_batch(run, [Metric("m", 1.0, 5, i) for i in range(50)]))
    assert len(client.get_metric_history(run, "m")) == 50


def case_param_is_written_once(client, run):
    results = together(caught(lambda own, at: own.log_param(run, "p", f"value {at}")))
    kept = client.get_run(run).data.params["p"]
    assert sum(not isinstance(one, Exception) for one in results) == 1
    assert kept.startswith("value ")


@pytest.mark.beyond_mlflow
def case_same_params_in_other_orders(client, run):
    def write(own, at):
        keys = [f"p{i}" for i in range(50)]
        own.log_batch(run, params=[Param(key, "1") for key in (keys if at % 2 else reversed(keys))])

    together(write)
    assert len(client.get_run(run).data.params) == 50


def case_one_name_for_an_experiment(client, name):
    results = together(caught(lambda own, at: own.create_experiment(name)))
    assert sum(isinstance(one, str) for one in results) == 1
    assert all(one.error_code == "RESOURCE_ALREADY_EXISTS" for one in results if not isinstance(one, str))


def case_runs_at_once(client, experiment):
    ids = together(lambda own, at: own.create_run(experiment).info.run_id)
    assert {run.info.run_id for run in client.search_runs([experiment])} == set(ids)


def case_version_numbers(client, name, run):
    client.create_registered_model(name)
    source = client.get_run(run).info.artifact_uri + "/model"
    numbers = together(lambda own, at: int(own.create_model_version(name, source, run).version))
    assert sorted(numbers) == list(range(1, WRITERS + 1))


def case_tags_of_one_key(client, run):
    together(lambda own, at: own.set_tag(run, "t", str(at)))
    assert client.get_run(run).data.tags["t"] in {str(at) for at in range(WRITERS)}


def case_files_of_one_name(client, run):
    together(lambda own, at: own.log_text(run, str(at) * 1000, "a.txt"))
    (file,) = client.list_artifacts(run)
    assert file.file_size == 1000
