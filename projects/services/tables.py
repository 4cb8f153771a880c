"""Where the rows of a version lie: its typed copy, or the files of a folder, checked when they are used."""

import hashlib
import json
from pathlib import Path

from django.conf import settings

from mlportal.lib import blobs
from mlportal.lib.errors import Conflict
from projects.models import DatasetVersion
from projects.tabular import folder


def key(version: DatasetVersion) -> str:
    """Digest that names the rows: the same rows have the same one."""
    if version.parquet_sha256:
        return version.parquet_sha256
    facts = [[file["name"], file["size_bytes"], file["sha256"]] for file in version.manifest]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def paths(version: DatasetVersion, *, whole: bool = False) -> list[Path]:
    """Parquet files of a version, in order.

    Parameters
    ----------
    whole : bool
        Whether files of a folder are read and compared byte by byte, as before training; else only those whose
        size or time of change differs from what was recorded.

    Raises
    ------
    Conflict
        When a file of a folder is gone or has changed: a version never changes.
    """
    if version.parquet_sha256:
        return [blobs.local_path(version.parquet_sha256)]
    if version.source_kind != DatasetVersion.Source.FOLDER:
        raise Conflict(f"{version} has no rows to read: it is {version.get_state_display()}.", code="dataset_not_ready")
    source = version.source
    place = folder.locate(settings.DATA_ROOTS, source["root"], source["folder"])
    folder.verify(place, version.manifest, whole=whole)
    return [place / file["name"] for file in version.manifest]


def one_file(version: DatasetVersion, target: Path) -> Path:
    """One typed Parquet file with all rows of a version, for a reader that takes one; for workers only.

    Files of a folder are compared with what was recorded, then written to ``target``, which the caller removes.
    """
    if version.parquet_sha256:
        return blobs.local_path(version.parquet_sha256)
    from projects.tabular import canonical  # pyarrow, in a worker

    canonical.write_all(paths(version, whole=True), target, step=lambda _share, _phase: None)
    return target
