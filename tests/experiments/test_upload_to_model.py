"""The whole way inside one process: an uploaded CSV is profiled, trained on and gives a servable model."""

import csv
import io
import json
import random

import pandas as pd
import pytest

from experiments import pipeline
from experiments.models import TrainingJob
from experiments.services import artifacts, jobs
from mlportal.lib import blobs, modelfile
from projects import pipeline as data_pipeline
from projects.models import DatasetVersion
from projects.services import datasets
from tests.factories.jobs import make_scientist
from tests.factories.projects import actor, make_project

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def table() -> bytes:
    """A customer table with an id, blanks, yes and no, dates and a text target."""
    chance = random.Random(1)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["customer", "tenure", "charges", "plan", "paperless", "since", "left"])
    for number in range(400):
        tenure = chance.randrange(72)
        left = "Yes" if tenure + chance.gauss(0, 12) < 24 else "No"
        charges = "" if number % 50 == 7 else f"{20 + chance.random() * 80:.2f}"
        since = f"20{chance.randrange(18, 25)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        flag = chance.choice(["true", "false"])
        writer.writerow([f"C-{number:05}", tenure, charges, chance.choice(["a", "b", "c"]), flag, since, left])
    return out.getvalue().encode()


def test_uploaded_table_becomes_a_model_that_answers_its_own_example() -> None:
    project = make_project()
    ana = actor(make_scientist(project))
    version = datasets.register_upload(
        ana, project=project, name="customers", stream=io.BytesIO(table()), filename="customers.csv"
    )
    data_pipeline.profile_version(version.pk, worker="test")
    version = DatasetVersion.objects.get(pk=version.pk)
    assert (version.state, version.failure) == ("succeeded", "")
    spec = {"task": "classification", "target": "left", "algorithm": "logistic_regression", "folds": 2}
    job = jobs.launch(ana, project=project, experiment="churn", dataset_version=version, spec=spec)
    pipeline.execute_job(job.pk, worker="test")
    job = TrainingJob.objects.with_context().get(pk=job.pk)
    assert (job.state, job.failure) == ("succeeded", "")
    assert job.warnings == ['Column "customer" is left out: it looks like an identifier.']

    def read(path: str) -> bytes:
        return blobs.read_bytes(artifacts.find(job.run, path).sha256)

    signature = json.loads(read("model/signature.json"))
    assert {column["name"]: column["kind"] for column in signature["inputs"]} == {
        "tenure": "integer",
        "charges": "numeric",
        "plan": "categorical",
        "paperless": "boolean",
        "since": "datetime",
    }
    assert json.loads(read("metrics.json"))["metrics"]["roc_auc"] > 0.8
    model = modelfile.load(blobs.local_path(artifacts.find(job.run, "model/model.skops").sha256))
    assert set(model.predict(pd.DataFrame(json.loads(read("model/example.json"))))) <= {"Yes", "No"}
