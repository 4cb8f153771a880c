"""The manifest of a model version: which files belong to it, where they came from, and one hash over all of it."""

import re
from collections import Counter
from dataclasses import asdict, dataclass

from deployments.proof import canonical
from mlportal.lib.errors import Invalid

FORMAT = "mlportal-manifest-1"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class File:
    """One file of a version: its path inside the run, its sha256 and its size."""

    path: str
    sha256: str
    size_bytes: int


def build(files: list[File]) -> list[dict[str, str | int]]:
    """Sort the files by path and return them as plain rows.

    Parameters
    ----------
    files
        Every file of the version, in any order.

    Returns
    -------
    list of dict
        Rows ``{"path", "sha256", "size_bytes"}`` sorted by path.

    Raises
    ------
    Invalid
        When there is no file, a path occurs twice, a hash is not a sha256 or a size is negative.
    """
    if not files:
        raise Invalid("A model version needs at least one file.", code="no_files")
    for item in files:
        _check(item)
    counted = Counter(item.path for item in files)
    doubled = sorted(path for path, count in counted.items() if count > 1)
    if doubled:
        raise Invalid(
            f"The path {doubled[0]} occurs twice in the manifest.",
            code="path_twice",
            got=doubled[0],
        )
    return [asdict(item) for item in sorted(files)]


def digest(files: list[dict[str, str | int]], provenance: dict[str, canonical.Plain]) -> str:
    """Return the identity of a version: sha256 over its files and its provenance.

    Parameters
    ----------
    files
        Rows as made by :func:`build`; their order does not matter.
    provenance
        Run, dataset hash, algorithm, library versions, attempt and fence of the trainer.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    rows = sorted(files, key=lambda row: str(row["path"]))
    return canonical.digest({"format": FORMAT, "files": list(rows), "provenance": provenance})  # type: ignore[arg-type]


def _check(item: File) -> None:
    if not item.path or item.path.startswith("/") or ".." in item.path.split("/"):
        raise Invalid(
            f"The path {item.path!r} cannot be part of a manifest.",
            code="bad_path",
            got=item.path,
        )
    if not _SHA256.fullmatch(item.sha256):
        raise Invalid(
            f"The hash of {item.path} is not a sha256.",
            code="bad_sha256",
            got=item.sha256,
        )
    if item.size_bytes < 0:
        raise Invalid(
            f"The size of {item.path} is negative.",
            code="bad_size",
            got=str(item.size_bytes),
        )
