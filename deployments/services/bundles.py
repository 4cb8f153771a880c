"""A version to run elsewhere: the export with what serves it, checks it and builds a container of it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from deployments import gates
from deployments.models import ModelVersion
from deployments.proof import container, package
from deployments.runtime import trial
from deployments.runtime.signature import parse
from deployments.services import packages
from experiments.services import folder_zip
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Invalid, Unprocessable
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import marks

EDGE, CONTAINER = "edge", "container"
KINDS = (EDGE, CONTAINER)
GRAPH, LOCK, CHECK = "model.onnx", "requirements/runtime.txt", "deployments/runtime/bundle_check.py"


@dataclass(frozen=True)
class _File:
    path: str
    sha256: str
    size_bytes: int
    created_at: datetime


def export(by: Actor, *, version: ModelVersion, kind: str) -> Iterator[bytes]:
    """Return a version as a signed zip that runs without the portal, in parts; the same version gives the same bytes.

    Parameters
    ----------
    kind
        ``edge``: files, ONNX form, golden rows, parity, a script that checks them, the code that serves them.
        ``container``: that and a Dockerfile with Kubernetes manifests.

    Raises
    ------
    Invalid
        For another kind.
    Conflict
        When a version trained here has no held-out rows with recorded answers, lost a file, or was trained on
        columns that are masked for who asks.
    Unprocessable
        When an MLflow client registered it as a pickle, without held-out rows, or with some that cannot be read.
    """
    require(by, Permission.MODEL_VIEW, version.model.project)
    if kind not in KINDS:
        raise Invalid(f"kind is one of: {', '.join(KINDS)}.", field="kind", limit=list(KINDS), got=kind[:20])
    _check(by, version)
    files = packages.files_of(version)
    texts = _texts(version, kind)
    added = [_row(path, content) for path, content in texts.items()]
    if graph := _graph(version):
        size = blobs.local_path(graph).stat().st_size
        files.append(_File(GRAPH, graph, size, version.created_at))
        added.append({"path": GRAPH, "sha256": graph, "size_bytes": size})
    about = packages.about(version) | {
        "made_at": version.created_at.isoformat(timespec="seconds"), "kind": kind, "signature": version.signature,
        "endpoint": container.endpoint(version.model.name), "added": sorted(added, key=lambda row: str(row["path"])),
    }  # fmt: skip
    heads = package.heads(about, gates.keyring())
    return folder_zip.stream(files, heads=[*heads, *sorted(texts.items())])


def why_not(version: ModelVersion) -> str:
    """Say why nobody could run or check a version elsewhere and what helps, empty when it can be exported so."""
    if unfit := gates.cargo(version):
        return unfit
    if version.file(gates.reference_file(version)):
        return ""
    told = f"{version} has no held-out rows with recorded answers, so nobody could check it elsewhere."
    if not version.is_of_client:
        return told
    return (
        f"{told} Log them beside the model before you register it: "
        f'MlflowClient().log_model_artifact(model_id, "{gates.CLIENT_REFERENCE_FILE}") with the input columns, '
        f"{trial.PREDICTION} and {trial.SCORE}. Its files can be exported as they are."
    )


def _check(by: Actor, version: ModelVersion) -> None:
    if trouble := why_not(version):
        fault = Unprocessable if version.is_of_client else Conflict
        code = "not_servable" if gates.cargo(version) else "no_reference"
        raise fault(trouble, code=code, field="version")
    data = version.dataset_version
    hidden = marks.hidden(by, dataset=data.dataset) if data else frozenset()
    read = {str(row["name"]) for row in version.signature["inputs"]}
    if masked := sorted(hidden & read):
        raise Conflict(
            f"The export holds rows of {data}, and {masked[0]} is masked for you.", code="masked", field="version"
        )


def _texts(version: ModelVersion, kind: str) -> dict[str, bytes]:
    root, name, number = settings.BASE_DIR, version.model.name, version.number
    texts = {f"package/{path}": content for path, content in container.code(root).items()}
    texts |= {
        "README.md": container.words(name, number),
        "check.py": (root / CHECK).read_bytes(),
        "golden.json": _json(_golden(version)),
        "parity.json": _json(_parity(version)),
        "requirements.txt": container.requirements((root / LOCK).read_text()),
    }
    return texts | (container.texts(name, number, version.size_bytes) if kind == CONTAINER else {})


def _golden(version: ModelVersion) -> dict[str, Any]:
    """Rows with recorded answers; a client wrote its file by itself, so it may hold anything."""
    path = _reference(version)
    try:
        found = trial.golden(path, parse(version.signature))
    except KeyError as error:
        raise _unreadable(version, f"lacks a column: {error.args[0]}") from error
    except (ValueError, OSError) as error:
        raise _unreadable(version, "is no Parquet file that can be read") from error
    if not found["records"]:
        raise _unreadable(version, "holds no row that fits the signature")
    return found


def _unreadable(version: ModelVersion, fault: str) -> Unprocessable:
    return Unprocessable(
        f"{gates.reference_file(version)} of {version} {fault}. It needs the input columns, {trial.PREDICTION} and "
        f"{trial.SCORE}.", code="no_reference", field="version",
    )  # fmt: skip


def _reference(version: ModelVersion) -> Any:
    digest = version.file(gates.reference_file(version))
    assert digest is not None  # checked before
    blobs.verify(digest)
    return blobs.local_path(digest)


def _graph(version: ModelVersion) -> str:
    work = getattr(version, "conversion", None)
    return str(work.graph_sha256) if work is not None and work.passed else ""


def _parity(version: ModelVersion) -> dict[str, Any]:
    work = getattr(version, "conversion", None)
    if work is None or work.figures is None:
        return {"passed": False, "reason": "It was not converted to ONNX."}
    return dict(work.figures)


def _row(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()
