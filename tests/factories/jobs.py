"""Dataset versions that are ready, and jobs on them."""

import io
from typing import Any

import pandas as pd
from django.db.models import F
from sklearn import datasets as samples

from experiments.models import TrainingJob
from experiments.services import jobs
from mlportal.lib import blobs
from mlportal.lib.lease import WorkState
from projects.models import Dataset, DatasetVersion, Project, User
from tests.factories.projects import actor, make_project, make_user

QUICK = {"task": "classification", "target": "species", "algorithm": "logistic_regression"}


def iris() -> pd.DataFrame:
    bunch = samples.load_iris()
    frame = pd.DataFrame(bunch.data, columns=["sepal_l", "sepal_w", "petal_l", "petal_w"])
    return frame.assign(species=[str(name) for name in bunch.target_names[bunch.target]])


def make_version(project: Project, frame: pd.DataFrame | None = None, *, name: str = "iris") -> DatasetVersion:
    frame = iris() if frame is None else frame
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    blob = blobs.put_bytes(stream.getvalue())
    dataset, _ = Dataset.objects.get_or_create(
        project=project, name=name, name_key=name, defaults={"created_by": project.created_by}
    )
    return DatasetVersion.objects.create(
        dataset=dataset,
        number=dataset.versions.count() + 1,
        sha256=blob.sha256,
        size_bytes=blob.size_bytes,
        filename=f"{name}.parquet",
        format="parquet",
        state=WorkState.SUCCEEDED,
        progress=1.0,
        row_count=len(frame),
        column_count=len(frame.columns),
        schema=[
            {"name": column, "kind": kind_of(frame[column]), "dtype": "", "nullable": bool(frame[column].isna().any())}
            for column in frame
        ],
        parquet_sha256=blob.sha256,
        created_by=project.created_by,
    )


def kind_of(column: pd.Series) -> str:
    if pd.api.types.is_integer_dtype(column):
        return "integer"
    return "numeric" if pd.api.types.is_numeric_dtype(column) else "categorical"


def make_scientist(project: Project) -> User:
    name = "ana" if project.slug == "churn" else f"ana-{project.slug}"
    return User.objects.filter(username=name).first() or make_user(name, role="scientist", project=project)


def make_job(project: Project | None = None, *, spec: dict[str, Any] | None = None, **extra: Any) -> TrainingJob:
    project = project or Project.objects.filter(slug="churn").first() or make_project()
    version = extra.pop("dataset_version", None) or DatasetVersion.objects.in_project(project).first()
    return jobs.launch(
        actor(make_scientist(project)),
        project=project,
        experiment=extra.pop("experiment", "churn-gbm"),
        dataset_version=version or make_version(project),
        spec=QUICK | (spec or {}),
        **extra,
    )


def expire(job: TrainingJob) -> None:
    """Let the lease of a job run out, as if its worker had gone silent."""
    from datetime import timedelta

    TrainingJob.objects.filter(pk=job.pk).update(lease_until=F("lease_until") - timedelta(hours=1))
