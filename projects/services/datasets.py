"""Register datasets: by upload, or from the samples that scikit-learn carries."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.module_loading import import_string

from mlportal.lib import blobs, names, queue
from mlportal.lib.errors import Conflict, Invalid, Missing
from mlportal.lib.lease import TERMINAL, WorkState
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.permissions import Permission, require
from projects.services import events, marks
from projects.tabular import sniff
from projects.tabular.guard import UploadGuard
from projects.tabular.samples import SAMPLES, Sample

PROFILE_TASK = "projects.profile_version"
__all__ = ["SAMPLES", "SameContent", "Sample", "ready_version", "register_blob", "register_sample", "register_upload"]


class SameContent(Conflict):
    """The same bytes, read the same way, are a version of this dataset already."""

    def __init__(self, version: DatasetVersion) -> None:
        super().__init__(
            f"These bytes are already {version}; nothing was added.",
            code="same_content",
            field="file",
            got={"version": version.number},
        )
        self.version = version


@dataclass(frozen=True)
class Reading:
    """How to read an upload: what the user chose, empty to detect.

    Parameters
    ----------
    filename : str
        Name that the user gave the file; shown, never a path.
    encoding, delimiter : str
        See ``projects.tabular.sniff``.
    """

    filename: str
    encoding: str = ""
    delimiter: str = ""

    def checked(self) -> "Reading":
        """Checked values, with the bare file name.

        Raises
        ------
        Invalid
            For an encoding or a delimiter that is not offered.
        """
        if self.encoding:
            sniff.encoding(b"", self.encoding)
        if self.delimiter:
            sniff.delimiter("", self.delimiter)
        bare = PurePosixPath(self.filename.replace("\\", "/")).name
        kept = "".join(character for character in bare if character.isprintable())[-200:]
        return Reading(kept or "data", self.encoding, self.delimiter)


@dataclass(frozen=True)
class Origin:
    """Where the content of a version came from.

    Parameters
    ----------
    kind : str
        See ``DatasetVersion.Source``.
    facts : dict
        Address, query, folder and what was learned of them; never a secret.
    sealed : str
        The part that may hold a secret, sealed.
    derived_from : DatasetVersion or None
        Version that it was made from.
    marks : dict
        Sensitivity marks that columns bring along; a stronger one on the dataset stays.
    """

    kind: str = DatasetVersion.Source.UPLOAD
    facts: dict[str, Any] = field(default_factory=dict)
    sealed: str = ""
    derived_from: DatasetVersion | None = None
    marks: dict[str, str] = field(default_factory=dict)


UPLOADED = Origin()


def register_upload(
    by: Actor,
    *,
    project: Project,
    name: str,
    stream: blobs.Readable | Iterable[bytes],
    filename: str,
    description: str = "",
    encoding: str = "",
    delimiter: str = "",
    derived_from: DatasetVersion | None = None,
) -> DatasetVersion:
    """Store a stream as the next version of a dataset, made if it is new, and have it profiled.

    Raises
    ------
    Forbidden, Invalid, TooLarge, UnsupportedType, Unprocessable
        Before anything is kept.
    SameContent
        When the dataset has a version of the same bytes.
    """
    require(by, Permission.DATASET_CREATE, project)
    name = names.clean(name)
    reading = Reading(filename, encoding, delimiter).checked()
    guard = UploadGuard(encoding)
    blob = blobs.put(watched(stream, guard), limit_bytes=settings.MAX_UPLOAD_BYTES)
    return register_blob(
        by, project=project, name=name, blob=blob, file_type=guard.file_type, reading=reading, description=description,
        origin=Origin(derived_from=derived_from),
    )  # fmt: skip


def register_blob(
    by: Actor,
    *,
    project: Project,
    name: str,
    blob: blobs.Blob,
    file_type: str,
    reading: Reading,
    description: str = "",
    origin: Origin = UPLOADED,
) -> DatasetVersion:
    """Add a stored file, which an ``UploadGuard`` watched, as the next version of a dataset.

    Raises
    ------
    SameContent
        When the dataset has a version of the same bytes.
    """
    require(by, Permission.DATASET_CREATE, project)
    reading = reading.checked()
    found = DatasetVersion.Format.PARQUET if file_type == sniff.PARQUET else DatasetVersion.Format.CSV

    def build(dataset: Dataset) -> DatasetVersion:
        same = (
            dataset.versions.kept()
            .filter(sha256=blob.sha256, encoding=reading.encoding, delimiter=reading.delimiter)
            .first()
        )
        if same is not None:
            raise SameContent(same)
        return DatasetVersion(
            sha256=blob.sha256,
            size_bytes=blob.size_bytes,
            filename=reading.filename,
            format=found,
            encoding=reading.encoding,
            delimiter=reading.delimiter,
            source_kind=origin.kind,
            source=origin.facts,
            sealed_source=origin.sealed,
            derived_from=origin.derived_from,
        )

    return _add(by, project, name, description, build, marked=origin.marks)


def register_folder(
    by: Actor,
    *,
    project: Project,
    name: str,
    manifest: list[dict[str, Any]],
    origin: Origin,
    description: str = "",
) -> DatasetVersion:
    """Add files that stay where they are as the next version of a dataset.

    Raises
    ------
    SameContent
        When the newest version is made of the same files.
    """
    require(by, Permission.DATASET_CREATE, project)

    def build(dataset: Dataset) -> DatasetVersion:
        newest = dataset.versions.kept().order_by("-number").first()
        if newest is not None and newest.source_kind == origin.kind and _digests(newest.manifest) == _digests(manifest):
            raise SameContent(newest)
        return DatasetVersion(
            format=DatasetVersion.Format.PARQUET,
            filename=str(origin.facts["folder"])[-200:],
            size_bytes=sum(file["size_bytes"] for file in manifest),
            source_kind=origin.kind,
            source=origin.facts,
            manifest=manifest,
        )

    return _add(by, project, name, description, build)


def _digests(manifest: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(file["name"], file["sha256"]) for file in manifest]


def register_sample(by: Actor, *, project: Project, sample: str, name: str = "") -> DatasetVersion:
    """Add a bundled sample as a dataset; a worker builds and profiles it.

    Raises
    ------
    Missing
        When there is no such sample.
    SameContent
        When the dataset was made from it before.
    """
    require(by, Permission.DATASET_CREATE, project)
    chosen = SAMPLES.get(sample) if isinstance(sample, str) else None
    if chosen is None:
        raise Missing(f"There is no sample of that name. Samples: {', '.join(SAMPLES)}.", field="sample")

    def build(dataset: Dataset) -> DatasetVersion:
        same = dataset.versions.kept().filter(sample=chosen.name).first()
        if same is not None:
            raise SameContent(same)
        return DatasetVersion(
            source_kind=DatasetVersion.Source.SAMPLE, sample=chosen.name, filename=f"{chosen.name}.csv"
        )

    return _add(by, project, name or chosen.name, chosen.description, build)


def ready_version(by: Actor, *, project: Project, name: str, number: int | None = None) -> DatasetVersion:
    """A version that can be trained on: the numbered one, or the newest that is ready.

    Raises
    ------
    Missing
        When there is no such dataset or version.
    Conflict
        While it is being profiled, or when profiling failed.
    """
    require(by, Permission.DATASET_VIEW, project)
    dataset = Dataset.objects.in_project(project).filter(name_key=names.key(name)).first()
    if dataset is None:
        raise Missing(f"There is no dataset {name[:100]!r} in {project.name}.", field="dataset")
    versions = dataset.versions.kept().select_related("dataset__project").order_by("-number")
    asked = versions if number is None else versions.filter(number=number)
    found = asked.ready().first() or asked.first()
    if found is None:
        raise Missing(f"Dataset {dataset.name} has no version {number}.", field="version")
    if found.state not in TERMINAL:
        raise Conflict(
            f"{found} is still being profiled ({found.progress_percent}%). Try again when it is ready.",
            code="dataset_not_ready",
            field="dataset",
        )
    if found.state != WorkState.SUCCEEDED:
        raise Conflict(f"{found} cannot be used: {found.failure}", code="dataset_failed", field="dataset")
    return found


def watched(stream: blobs.Readable | Iterable[bytes], guard: UploadGuard) -> Iterator[bytes]:
    """Parts of a stream while a guard looks at them; call it where a permission was checked."""
    parts = iter(lambda: stream.read(blobs.CHUNK_BYTES), b"") if hasattr(stream, "read") else stream
    for part in parts:
        guard.feed(part)
        yield part
    guard.close()


def _add(
    by: Actor,
    project: Project,
    name: str,
    description: str,
    build: Callable[[Dataset], DatasetVersion],
    *,
    marked: Mapping[str, str] | None = None,
) -> DatasetVersion:
    if by.user is None:
        raise Invalid("A dataset needs a person who registers it.", field="by")
    name = names.clean(name)
    description = names.clean_text(description, field="description")
    with transaction.atomic():
        dataset = _dataset(by, project, name, description)
        version = build(dataset)
        brought = _mark(dataset, marked or {})
        version.dataset, version.created_by = dataset, by.user
        version.number = (dataset.versions.aggregate(last=Max("number"))["last"] or 0) + 1
        version.save(force_insert=True)
        queue.enqueue(PROFILE_TASK, version.pk)
        data = {"version": version.number, "sha256": version.sha256, "size_bytes": version.size_bytes}
        data |= {"source": version.source_kind} if version.source_kind != DatasetVersion.Source.UPLOAD else {}
        data |= {"marks": brought} if brought else {}
        events.record(by, "dataset.registered", project=project, target=version, data=data)
    return version


def _mark(dataset: Dataset, brought: Mapping[str, str]) -> dict[str, str]:
    """Add the marks that columns bring along; returns those that are new or stronger than what was there."""
    if not brought:
        return {}
    held = Dataset.objects.select_for_update(of=("self",), no_key=True).get(pk=dataset.pk)
    strength = {mark: place for place, mark in enumerate(marks.MARKS)}
    new = {
        name: mark for name, mark in brought.items()
        if strength[mark] > strength.get(held.marks.get(name, ""), -1)
    }  # fmt: skip
    if new:
        held.marks, held.revision = {**held.marks, **new}, held.revision + 1
        held.save(update_fields=["marks", "revision"])
    return new


def _dataset(by: Actor, project: Project, name: str, description: str) -> Dataset:
    """Row of that name, locked, so that version numbers are given one by one."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    dataset = Dataset.objects.in_project(project).filter(name_key=names.key(name)).first()
    if dataset is None:
        return Dataset.objects.create(
            project=project, name=name, name_key=names.key(name), description=description, created_by=by.user
        )
    if dataset.name != name:
        raise Conflict(
            f"{name} differs only in case from the dataset {dataset.name}. Use that name, or a different one.",
            code="name_taken",
            field="name",
            got=name,
        )
    return dataset


@dataclass(frozen=True)
class Use:
    """Something that was made from a dataset version.

    Parameters
    ----------
    kind : str
        ``run`` or ``model``.
    label, url : str
        What to show, and where it is.
    """

    kind: str
    label: str
    url: str


@dataclass(frozen=True)
class Uses:
    """What one version is used by: counts, and the newest few of each kind."""

    runs: int = 0
    models: int = 0
    newest: tuple[Use, ...] = ()
    last_at: datetime | None = None

    def __add__(self, other: "Uses") -> "Uses":
        last = max((at for at in (self.last_at, other.last_at) if at), default=None)
        return Uses(self.runs + other.runs, self.models + other.models, self.newest + other.newest, last)


def uses(by: Actor, *, project: Project, versions: list[int], newest: int = 0) -> dict[int, Uses]:
    """What each of these versions is used by: counts, and so many of the newest of each kind.

    The answers come from the apps above, which are named in ``settings.DATASET_USES``; each is a function
    from version ids and ``newest`` to ``Uses`` by id, with a fixed number of queries.
    """
    require(by, Permission.DATASET_VIEW, project)
    found = dict.fromkeys(versions, Uses())
    for path in settings.DATASET_USES if versions else ():
        for version, more in import_string(path)(versions, newest=newest).items():
            found[version] += more
    return found
