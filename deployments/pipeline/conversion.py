"""What a worker runs to convert a version: a child with a limit of time and memory, so that the worker stays small."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings

from deployments import gates
from deployments.models import Conversion, ModelVersion
from deployments.services.conversions import TASK
from mlportal.lib import blobs, forks, lease
from mlportal.lib.errors import DomainError, Unprocessable
from mlportal.lib.lease import WorkState

SECONDS = 240
MEMORY_BYTES = 6 << 30
MOST_MODEL_BYTES = 50 << 20
PRELOAD = ("deployments.runtime.conversion", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "skl2onnx")
LAST_WORDS = 300
Json = dict[str, Any]


def convert_version(conversion_id: int, *, worker: str) -> bool:
    """Claim a queued conversion, convert, store graph and figures. Returns whether this call did the work."""
    rows = Conversion.objects.all()
    held = lease.claim(rows, conversion_id, worker=worker)
    if held is None:
        return False
    version = rows.select_related("version__model").get(pk=conversion_id).version
    if not lease.heartbeat(rows, held, phase="Convert and compare", progress=0.1):
        return False
    try:
        graph, figures = _convert(version)
    except (DomainError, OSError, ValueError) as error:
        said = error.message if isinstance(error, DomainError) else str(error)
        return lease.finish(rows, held, state=WorkState.FAILED, failure=said)
    sha256 = blobs.put_bytes(graph).sha256 if graph else ""
    passed = bool(figures["passed"] and sha256)
    return lease.finish(rows, held, state=WorkState.SUCCEEDED, passed=passed, graph_sha256=sha256, figures=figures)


def sweep_conversions() -> int:
    """Hand on the conversions of silent workers, and wake workers for forgotten ones."""
    rows = Conversion.objects.all()
    moved = lease.sweep(rows, on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(rows, task=TASK)


def _convert(version: ModelVersion) -> tuple[bytes, Json]:
    """Graph and figures of the parity gate; an estimator that cannot be converted is a figure, not a failure."""
    model = version.file(gates.model_file(version) or gates.MODEL_FILE)
    if model is None:
        raise Unprocessable(f"{version} has no {gates.MODEL_FILE}.", code="no_model")
    blobs.verify(model)
    place = blobs.local_path(model)
    if place.stat().st_size > MOST_MODEL_BYTES:
        return b"", {"passed": False, "reason": "The model file is over 50 MB."}
    files = {row["path"]: str(blobs.local_path(row["sha256"])) for row in version.manifest}
    with tempfile.TemporaryDirectory(dir=settings.TEMP_DIR) as name:
        graph = Path(name) / "graph.onnx"
        asked = {
            "model": str(place),
            "signature": version.signature,
            "files": files,
            "graph": str(graph),
            "memory_bytes": MEMORY_BYTES,
        }
        figures = _child(json.dumps(asked), Path(name))
        return (graph.read_bytes() if graph.exists() else b""), figures


def _child(question: str, folder: Path) -> Json:
    try:
        done = forks.run(
            "deployments.runtime.conversion", question.encode(), folder=folder, seconds=SECONDS, preload=PRELOAD,
            environment=forks.bare_environment(folder),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"passed": False, "reason": f"The conversion took more than {SECONDS} s."}
    if done.returncode == 0:
        found: Json = json.loads(done.stdout.splitlines()[-1])
        return found
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return {"passed": False, "reason": f"It cannot be converted. {last[0][:LAST_WORDS] if last else ''}".strip()}
