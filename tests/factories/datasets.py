"""Datasets, profiled by the real pipeline."""

from pathlib import Path

from projects import pipeline
from projects.actor import Actor
from projects.models import DatasetVersion, Project
from projects.permissions import Permission
from projects.services import datasets

CHURN = b"""customer,plan,age,spend,joined,churned
c-1,basic,31,10.5,2024-01-05,true
c-2,plus,45,20.25,2024-02-11,false
c-3,basic,,11,2024-03-30,false
"""


def registrar(project: Project) -> Actor:
    """A system actor that may register datasets, for a person."""
    grants = frozenset({Permission.DATASET_CREATE, Permission.DATASET_VIEW})
    return Actor.system("test", project=project, grants=grants, on_behalf_of=project.created_by)


def upload(project: Project, content: bytes = CHURN, *, name: str = "churn", **extra: str) -> DatasetVersion:
    """Register bytes as a dataset version, not profiled yet."""
    extra.setdefault("filename", f"{name}.csv")
    return datasets.register_upload(registrar(project), project=project, name=name, stream=[content], **extra)


def profiled(project: Project, content: bytes = CHURN, *, name: str = "churn", **extra: str) -> DatasetVersion:
    """Register bytes and profile them in the child process, as a worker does."""
    version = upload(project, content, name=name, **extra)
    pipeline.profile_version(version.pk, worker="test")
    version.refresh_from_db()
    return version


def profiled_file(project: Project, path: Path, *, name: str) -> DatasetVersion:
    """Register a local file and profile it."""
    with path.open("rb") as stream:
        version = datasets.register_upload(
            registrar(project), project=project, name=name, stream=stream, filename=path.name
        )
    pipeline.profile_version(version.pk, worker="test")
    version.refresh_from_db()
    return version
