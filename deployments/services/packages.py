"""A version of a model to take along: one zip that can be checked anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from deployments import gates
from deployments.models import ModelVersion
from deployments.proof import package, signing
from experiments.services import folder_zip
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.permissions import Permission, require


@dataclass(frozen=True)
class _File:
    path: str
    sha256: str
    size_bytes: int
    created_at: datetime


def export(by: Actor, *, version: ModelVersion) -> Iterator[bytes]:
    """Return a version as a zip, in parts: manifest, provenance, signatures, public keys and every file.

    Raises
    ------
    Conflict
        When the portal holds no file of it, or one is missing.
    TooMany
        When too many packages are on their way already.
    """
    require(by, Permission.MODEL_VIEW, version.model.project)
    files = files_of(version)
    made = {"made_at": timezone.now().isoformat(timespec="seconds")}
    return folder_zip.stream(files, heads=package.heads(about(version) | made, gates.keyring()))


def files_of(version: ModelVersion) -> list[Any]:
    """Return the stored files of a version as they lie in its zip.

    Raises
    ------
    Conflict
        When the portal holds none of it, or one is missing.
    """
    if not version.manifest:
        raise Conflict(f"{version} has no files in the portal.", code="no_files")
    lost = [row["path"] for row in version.manifest if not blobs.exists(row["sha256"])]
    if lost:
        raise Conflict(f"The file {lost[0]} of {version} is missing.", code="artifact_damaged", got=lost[:20])
    return [
        _File(package.FOLDER + row["path"], row["sha256"], row["size_bytes"], version.created_at)
        for row in version.manifest
    ]


def public_keys(version: ModelVersion) -> dict[str, str]:
    """Return the public keys that a check of a version needs, by id: what signed it, and what signs exports now."""
    ring = gates.keyring()
    wanted = dict.fromkeys((ring.key_id, version.signed_by))
    return {key: signing.public_pem(ring, key) for key in wanted if key in ring.publics}


def about(version: ModelVersion) -> dict[str, object]:
    """Return what the manifest of a zip says of a version."""
    return {
        "project": version.model.project.slug,
        "model": version.model.name,
        "number": version.number,
        "files": version.manifest,
        "provenance": version.provenance,
        "manifest_sha256": version.manifest_sha256,
        "manifest_signature": version.manifest_signature,
        "signed_by": version.signed_by,
        "keys": public_keys(version),
    }
