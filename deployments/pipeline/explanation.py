"""What a worker runs to explain a version or one prediction: a child process, so that the worker stays small."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings

from deployments import gates
from deployments.models import Explanation, ModelVersion, PredictionExplanation
from deployments.services import told
from deployments.services.explanations import TASK
from mlportal.lib import blobs, forks, lease
from mlportal.lib.errors import DomainError, Unprocessable
from mlportal.lib.lease import Claim, WorkState
from monitoring.services import predictions

SECONDS = 600
PRELOAD = ("pandas", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline")
EXAMPLE_BYTES = 4 * 2**20
LAST_WORDS = 300
EXAMPLE_FILE = "model/example.json"
Json = dict[str, Any]


def explain_version(explanation_id: int, *, worker: str) -> bool:
    """Claim a queued explanation, compute it, store the answer. Returns whether this call did the work."""
    rows = Explanation.objects.all()
    held = lease.claim(rows, explanation_id, worker=worker)
    if held is None:
        return False
    version = rows.select_related("version__model").get(pk=explanation_id).version
    try:
        answer, failure = _compute(held, _question(version), rows)
    except (DomainError, OSError, ValueError) as error:
        answer, failure = None, error.message if isinstance(error, DomainError) else str(error)
    state = WorkState.FAILED if answer is None else WorkState.SUCCEEDED
    return lease.finish(rows, held, state=state, failure=failure, result=answer)


def sweep_explanations() -> int:
    """Hand on the explanations of silent workers, and wake workers for forgotten ones."""
    rows = Explanation.objects.all()
    moved = lease.sweep(rows, on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(rows, task=TASK)


def explain_prediction(explanation_id: int, *, worker: str) -> bool:
    """Claim a queued explanation of one prediction, compute it, store it. Returns whether this call did the work."""
    rows = PredictionExplanation.objects.all()
    held = lease.claim(rows, explanation_id, worker=worker)
    if held is None:
        return False
    row = rows.select_related("version__model", "prediction__chunk").get(pk=explanation_id)
    try:
        answer, failure = _compute(held, _told(row), rows)
    except (DomainError, OSError, ValueError) as error:
        answer, failure = None, error.message if isinstance(error, DomainError) else str(error)
    state = WorkState.FAILED if answer is None else WorkState.SUCCEEDED
    return lease.finish(rows, held, state=state, failure=failure, result=answer)


def sweep_told() -> int:
    """Hand on the explanations of predictions whose worker is silent, and wake workers for forgotten ones."""
    rows = PredictionExplanation.objects.all()
    moved = lease.sweep(rows, on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(rows, task=told.TASK)


def _told(row: PredictionExplanation) -> Json:
    """Ask for the logged row, beside the held-out rows that stand for not knowing a value."""
    question, features = _question(row.version), predictions.stored(row.prediction).features
    if why := told.hidden_values(features, question["columns"]):
        raise Unprocessable(why, code="no_features")
    return question | {"asked": [[features[name] for name in question["columns"]]]}


def _question(version: ModelVersion) -> Json:
    model = version.file(gates.model_file(version) or gates.MODEL_FILE)
    if model is None:
        raise Unprocessable(f"{version} has no {gates.MODEL_FILE}.", code="no_model")
    blobs.verify(model)
    columns = [str(row["name"]) for row in version.signature["inputs"]]
    asked: Json = {"model": str(blobs.local_path(model)), "columns": columns, "rows": None}
    if reference := version.file(gates.reference_file(version)):
        blobs.verify(reference)
        return asked | {"rows": str(blobs.local_path(reference))}
    return asked | {"examples": _examples(version, columns)}


def _examples(version: ModelVersion, columns: list[str]) -> list[list[Any]]:
    """Read the rows a version can be tried on: our own file, or the one an MLflow client logged."""
    path = gates.CLIENT_EXAMPLE_FILE if version.is_of_client else EXAMPLE_FILE
    digest = version.file(path)
    if digest is None:
        raise Unprocessable(f"{version} has neither held-out rows nor examples.", code="no_reference")
    found = json.loads(blobs.read_bytes(digest, limit_bytes=EXAMPLE_BYTES))
    if isinstance(found, dict):
        split = found.get("dataframe_split", {"columns": [], "data": []})
        found = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
    return [[row.get(name) for name in columns] for row in found]


def _compute(held: Claim, question: Json, rows: Any) -> tuple[Json | None, str]:
    """Run the child and pass its progress on; the claim may be lost meanwhile."""
    with tempfile.TemporaryDirectory(dir=settings.TEMP_DIR) as name, (Path(name) / "words").open("w+") as words:
        folder = Path(name)
        numba = {"NUMBA_NUM_THREADS": "1", "NUMBA_CACHE_DIR": name}
        child = forks.lines(
            "deployments.proof.explaining", json.dumps(question).encode(), folder=folder, seconds=SECONDS,
            environment=forks.bare_environment(folder) | numba, preload=PRELOAD, stderr=words.fileno(),
        )  # fmt: skip
        with closing(child) as lines:
            answer, failure = _heard(lines, held, rows)
        words.seek(0)
        last = words.read().strip().splitlines()[-1:]
        return answer, failure and f"{failure} {last[0][:LAST_WORDS] if last else ''}".strip()


def _heard(lines: Iterator[bytes], held: Claim, rows: Any) -> tuple[Json | None, str]:
    for said in map(json.loads, lines):
        if "result" in said:
            return said["result"], ""
        if not lease.heartbeat(rows, held, progress=said["progress"], phase="Explain predictions"):
            return None, "The claim was lost."
    return None, "The explanation ended without an answer."
