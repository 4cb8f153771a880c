"""Prints all that an MLflow server or store holds, without its own ids, so that two of them can be compared.

Runs under an interpreter that has mlflow: ``python dump_mlflow.py URI``. Runs and models go by their names, which the
seed keeps unique.
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.entities import ViewType

HIDDEN = ("mlportal.import.", "mlflow.modelVersions")


def tags(values):
    return {key: value for key, value in dict(values).items() if not key.startswith(HIDDEN)}


def files(uri):
    with tempfile.TemporaryDirectory() as folder:
        try:
            top = Path(download_artifacts(artifact_uri=uri, dst_path=folder))
        except Exception:  # noqa: BLE001 a run without files has no folder
            return {}
        return {
            str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in top.rglob("*")
            if path.is_file()
        }


def run(client, found, names):
    kept = tags(found.data.tags)
    if "mlflow.parentRunId" in kept:
        kept["mlflow.parentRunId"] = names[kept["mlflow.parentRunId"]]
    info = found.info
    deleted = info.lifecycle_stage == "deleted"
    whole = client.get_run(info.run_id)
    outputs = getattr(getattr(whole, "outputs", None), "model_outputs", None) or []
    return {
        "status": info.status,
        "times": [info.start_time, info.end_time],
        "deleted": deleted,
        "params": dict(found.data.params),
        "tags": kept,
        "points": {
            key: sorted(
                [one.timestamp, one.step, repr(one.value)] for one in client.get_metric_history(info.run_id, key)
            )
            for key in found.data.metrics
        },
        "latest": {key: repr(value) for key, value in found.data.metrics.items()},
        "files": files(info.artifact_uri),
        "datasets": [
            [vars(one.dataset) | {}, sorted((tag.key, tag.value) for tag in one.tags)]
            for one in whole.inputs.dataset_inputs
        ],
        "outputs": [[client.get_logged_model(one.model_id).name, one.step] for one in outputs],
    }


def model(found, names):
    return {
        "type": found.model_type,
        "status": str(found.status),
        "params": found.params,
        "tags": tags(found.tags),
        "run": names.get(found.source_run_id),
        "metrics": sorted([one.key, one.timestamp, one.step, repr(one.value)] for one in found.metrics or []),
        "files": files(found.artifact_location),
    }


def version(client, found, names):
    roots = {}
    if found.run_id:
        roots[client.get_run(found.run_id).info.artifact_uri] = "RUN"
    source = found.source
    for root, word in roots.items():
        source = source.replace(root, word)
    if source.startswith("models:/m-"):
        source = "models:/" + client.get_logged_model(source.partition("/")[2]).name
    return {
        "source": source,
        "run": names.get(found.run_id),
        "description": found.description or "",
        "stage": found.current_stage,
        "tags": tags(found.tags),
    }


def dump(uri):
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient()
    experiments = client.search_experiments(view_type=ViewType.ALL)
    found = {one.name: client.search_runs([one.experiment_id], "", ViewType.ALL) for one in experiments}
    names = {one.info.run_id: one.info.run_name for runs in found.values() for one in runs}
    result = {"experiments": {}, "models": {}, "registry": {}}
    for one in experiments:
        result["experiments"][one.name] = {
            "deleted": one.lifecycle_stage == "deleted",
            "tags": tags(one.tags),
            "runs": {each.info.run_name: run(client, each, names) for each in found[one.name]},
        }
        assert len(result["experiments"][one.name]["runs"]) == len(found[one.name]), "a run is there twice"
        if one.lifecycle_stage == "active":
            for each in client.search_logged_models([one.experiment_id]):
                assert each.name not in result["models"], "a model is there twice"
                result["models"][each.name] = model(each, names)
    for one in client.search_registered_models():
        whole = client.get_registered_model(one.name)
        result["registry"][one.name] = {
            "description": whole.description or "",
            "tags": tags(whole.tags),
            "aliases": {alias: str(number) for alias, number in whole.aliases.items()},
            "versions": {
                str(each.version): version(client, each, names)
                for each in client.search_model_versions(f"name='{one.name}'")
            },
        }
    return result


if __name__ == "__main__":
    print(json.dumps(dump(sys.argv[1])))
