"""What the fluent API logs in files of its own: images, tables, dictionaries, figures, system metrics."""

import time

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

plt.switch_backend("Agg")


@pytest.fixture
def active(experiment):
    mlflow.set_experiment(experiment_id=experiment)  # load_table looks there
    with mlflow.start_run() as run:
        yield run


def uri(run, path):
    return f"{run.info.artifact_uri}/{path}"


def names(client, run, path=None):
    return {file.path for file in client.list_artifacts(run.info.run_id, path)}


def case_dict_as_json_and_yaml(active):
    mlflow.log_dict({"a": {"b": [1, None]}}, "x/a.json")
    mlflow.log_dict({"a": 1}, "x/a.yaml")
    assert mlflow.artifacts.load_dict(uri(active, "x/a.json")) == {"a": {"b": [1, None]}}
    assert mlflow.artifacts.load_text(uri(active, "x/a.yaml")) == "a: 1\n"


def case_image_file(active):
    mlflow.log_image(np.full((8, 6, 3), 200, dtype=np.uint8), "pictures/a.png")
    assert mlflow.artifacts.load_image(uri(active, "pictures/a.png")).size == (6, 8)


def case_image_of_pillow(active):
    mlflow.log_image(Image.new("RGB", (5, 4)), "b.png")
    assert mlflow.artifacts.load_image(uri(active, "b.png")).size == (5, 4)


def case_images_by_step(client, active):
    for step in range(2):
        mlflow.log_image(
            np.zeros((4, 4, 3), dtype=np.uint8), key="dog face nose", step=step, timestamp=1000 + step, synchronous=True
        )
    found = names(client, active, "images")
    assert len(found) == 4
    assert all("face nose" in path for path in found)
    for path in found:
        assert client.download_artifacts(active.info.run_id, path)
    assert client.get_run(active.info.run_id).data.tags["mlflow.loggedImages"]


def case_figure(active):
    figure, axes = plt.subplots()
    axes.plot([1, 2], [3, 4])
    mlflow.log_figure(figure, "plots/line.png")
    plt.close(figure)
    assert mlflow.artifacts.load_image(uri(active, "plots/line.png")).size[0] > 100


def case_table_grows(active, client):
    mlflow.log_table({"in": ["a", "b"], "out": [1, 2]}, "tables/t.json")
    mlflow.log_table(pd.DataFrame({"in": ["c"], "out": [3]}), "tables/t.json")
    found = mlflow.load_table("tables/t.json", run_ids=[active.info.run_id])
    assert list(found["in"]) == ["a", "b", "c"]
    assert "tables/t.json" in client.get_run(active.info.run_id).data.tags["mlflow.loggedArtifacts"]


def case_tables_of_several_runs(client, experiment):
    mlflow.set_experiment(experiment_id=experiment)
    for i in range(2):
        with mlflow.start_run():
            mlflow.log_table({"i": [i]}, "t.json")
    assert sorted(
        mlflow.load_table(
            "t.json", extra_columns=["run_id"], run_ids=[r.info.run_id for r in client.search_runs([experiment])]
        )["i"]
    ) == [0, 1]


def case_parquet_table(active):
    mlflow.log_table({"a": [1, 2]}, "t.parquet")
    assert list(mlflow.load_table("t.parquet", run_ids=[active.info.run_id])["a"]) == [1, 2]


def case_asynchronous_logging(client, active):
    for step in range(20):
        mlflow.log_metric("loss", 1 / (step + 1), step=step, synchronous=False)
    mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
    mlflow.set_tags({"c": 3}, synchronous=False)
    mlflow.flush_async_logging()
    found = client.get_run(active.info.run_id).data
    assert (len(client.get_metric_history(active.info.run_id, "loss")), found.params, found.tags["c"]) == (
        20,
        {"a": "1", "b": "2"},
        "3",
    )


@pytest.mark.mlflow3
def case_system_metrics(client, experiment):
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(experiment_id=experiment, log_system_metrics=True) as run:
        time.sleep(1.5)
    found = client.get_run(run.info.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in found
    assert client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
