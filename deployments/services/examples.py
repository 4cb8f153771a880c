"""A request that a version takes: what was kept with it, else one made from its schema."""

import json
from dataclasses import dataclass
from typing import Any

from deployments import gates
from deployments.models import ModelVersion
from deployments.runtime import example
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError

MAX_BYTES = 64 * 2**10
KEPT = ("model/example.json", gates.CLIENT_EXAMPLE_FILE)


@dataclass(frozen=True)
class Example:
    """Text to copy and where it comes from: a path of the manifest, or nothing when it was made."""

    text: str
    source: str = ""


def of(version: ModelVersion) -> Example | None:
    """Return an example of a version's input, None when neither a file nor a schema tells of one."""
    for path in KEPT:
        if (found := _kept(version, path)) is not None:
            return Example(_text(found), path)
    made = example.record(version.signature)
    return Example(_text([made])) if made else None


def _kept(version: ModelVersion, path: str) -> Any:
    digest = version.file(path)
    if digest is None:
        return None
    try:
        return json.loads(blobs.read_bytes(digest, limit_bytes=MAX_BYTES))
    except (DomainError, OSError, ValueError, RecursionError):
        return None  # a damaged or odd file is what the check of the version names


def _text(found: Any) -> str:
    """Write it as the body of a request where it is a list of records."""
    return json.dumps({"records": found} if isinstance(found, list) else found, indent=2, ensure_ascii=False)
