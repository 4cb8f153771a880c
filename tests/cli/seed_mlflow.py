"""Fills an MLflow store with one of everything; runs under an interpreter that has mlflow.

``python seed_mlflow.py URI WORK [RUNS POINTS]``: small by default, with a big experiment when numbers are given.
"""

import math
import os
import sys
from pathlib import Path

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType

T = 1_700_000_000_000


def small(client, work):
    forest = client.create_experiment("forest", tags={"team": "ärzte", "mlflow.note.content": "# Trees"})
    parent = client.create_run(forest, start_time=T, run_name="sweep", tags={"mlflow.user": "ann"}).info.run_id
    long = "x" * 6000
    for start in range(0, 2500, 1000):
        points = [Metric("loss", 1.0 / (i + 1), T + i, i) for i in range(start, min(start + 1000, 2500))]
        client.log_batch(parent, points)
    client.log_batch(
        parent,
        [Metric("odd/näme x", math.nan, T, 0), Metric("late", 5.0, T + 5, -3), Metric("late", 0.1 + 0.2, T + 4, 9)],
        [Param("depth", "3"), Param("long", long), Param("empty", ""), Param("weird/ key.x", "ü'\"\\")],
        [RunTag("mlflow.note.content", "best *run*"), RunTag("free", "text\nwith lines")],
    )
    # Never reported twice, though written twice.
    client.log_batch(parent, [Metric("late", 5.0, T + 5, -3)])
    folder = Path(work) / "files"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha")
    (folder / "empty.bin").write_bytes(b"")
    (folder / "deep" / "er" / "ü name+plus.bin").write_bytes(os.urandom(300_000))
    client.log_artifacts(parent, str(folder))
    client.log_artifacts(parent, str(folder / "deep"), "model")
    for number in range(3):
        child = client.create_run(
            forest, start_time=T + 1 + number, run_name=f"child {number}", tags={"mlflow.parentRunId": parent}
        ).info.run_id
        client.log_param(child, "depth", str(number))
        client.log_metric(child, "acc", number / 3, T + 50, 1)
        client.set_terminated(child, ["FINISHED", "FAILED", "KILLED"][number], T + 99)
    _dataset(client, parent)
    client.set_terminated(parent, "FINISHED", T + 5000)
    gone = client.create_run(forest, start_time=T + 9, run_name="gone").info.run_id
    client.log_metric(gone, "acc", 0.5, T, 0)
    client.set_terminated(gone, "FINISHED", T + 10)
    client.delete_run(gone)
    still = client.create_run("0", start_time=T, run_name="still going").info.run_id
    client.log_metric(still, "acc", 0.25, T, 7)
    dead = client.create_experiment("dropped")
    run = client.create_run(dead, start_time=T, run_name="buried").info.run_id
    client.log_param(run, "p", "1")
    client.set_terminated(run, "FINISHED", T + 1)
    client.delete_experiment(dead)
    model = _logged_model(client, forest, parent, folder) if hasattr(client, "create_logged_model") else None
    _registry(client, parent, model)


def _dataset(client, run):
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = Dataset(
        name="iris", digest="abc123", source_type="local", source='{"uri": "iris.csv"}', schema='{"x": 1}', profile="{}"
    )
    client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])


def _logged_model(client, experiment, run, folder):
    from mlflow.entities import LoggedModelOutput

    model = client.create_logged_model(
        experiment, name="tree", source_run_id=run, tags={"kind": "oak"}, params={"leaves": "7"}, model_type="agent"
    )
    client.log_model_artifacts(model.model_id, str(folder))
    client.log_metric(run, "acc", 0.75, T + 60, 3, model_id=model.model_id)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(model.model_id, 3)])
    return model


def _registry(client, run, model):
    client.create_registered_model("oak", tags={"domain": "woods"}, description="Classifies trees")
    root = client.get_run(run).info.artifact_uri
    for number in range(1, 6):
        client.create_model_version(
            "oak", f"{root}/model", run, tags={"n": str(number)}, description=f"Version {number}"
        )
    for number in (1, 3, 4):
        client.delete_model_version("oak", str(number))
    client.transition_model_version_stage("oak", "2", "Archived")
    client.set_registered_model_alias("oak", "champion", "5")
    if model is not None:
        client.create_registered_model("ash")
        client.create_model_version("ash", f"models:/{model.model_id}", run, model_id=model.model_id)
    client.create_registered_model("far")
    client.create_model_version("far", "s3://bucket/place/model")


def big(client, runs, points):
    experiment = client.create_experiment("big")
    for number in range(runs):
        run = client.create_run(experiment, start_time=T + number, run_name=f"run {number}").info.run_id
        client.log_batch(run, [], [Param(f"p{i}", str(i)) for i in range(20)])
        for start in range(0, points, 1000):
            batch = [Metric("m", i * 0.5, T + i, i) for i in range(start, min(start + 1000, points))]
            client.log_batch(run, batch)
        client.log_text(run, f"text of {number}", "notes/text.txt")
        client.set_terminated(run, "FINISHED", T + number + 1)


if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_registry_uri(sys.argv[1])
    made = mlflow.MlflowClient(sys.argv[1], sys.argv[1])
    if len(sys.argv) > 3:
        big(made, int(sys.argv[3]), int(sys.argv[4]))
    else:
        small(made, sys.argv[2])
    assert made.search_experiments(view_type=ViewType.ALL)
