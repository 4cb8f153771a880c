"""From the files of a model version to something that answers, or to the reason why not."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.runtime import exact, trial
from deployments.runtime.backends import Answer, Backend
from deployments.runtime.signature import Columns, Signature, parse, read_records
from mlportal.lib.errors import DomainError, Unprocessable

CHUNK_BYTES = 1 << 20
EXAMPLE_ROWS = 100
INLINE_SECONDS = 0.020
TOLERANCE = 1e-6
MAX_MISMATCH = 0.01
# A model needs a small multiple of its file in memory; 300 unlimited trees: 164 MB on disk, 329 MB in memory.
MEMORY_FACTOR = 2
MEMORY_BASE_BYTES = 4 << 20


class VersionRefused(Unprocessable):
    """The files of this version cannot be served."""

    kind = "version_refused"
    title = "This version cannot be served"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A loaded, checked and warmed version.

    Parameters
    ----------
    signature : Signature
    backend : Backend
    reason : str
        Why this backend.
    rows_checked : int
        Reference rows the choice rests on.
    size_bytes : int
        Estimate of the memory it holds.
    inline : bool
        Whether one row takes under 20 ms, so that it may run in the event loop.
    shares : int
        How many probabilities it gives a row, 0 for none.
    """

    signature: Signature
    backend: Backend
    reason: str
    rows_checked: int
    size_bytes: int
    inline: bool
    shares: int = 0

    def predict(self, records: Any) -> Answer:
        """Check records and predict them."""
        return self.backend.predict(read_records(records, self.signature))


def verify(files: Mapping[str, Path], manifest: Sequence[Mapping[str, Any]]) -> None:
    """Compare size and sha256 of every file with the manifest.

    Raises
    ------
    VersionRefused
        Naming the first file that is missing or differs.
    """
    if not manifest:
        raise VersionRefused("The version has no manifest.", code="manifest_missing")
    for entry in manifest:
        path = files[entry["path"]]
        if not path.is_file():
            raise VersionRefused(f"The file {entry['path']} is missing.", code="artifact_missing")
        if path.stat().st_size != entry["size_bytes"] or digest(path) != entry["sha256"]:
            raise VersionRefused(f"The file {entry['path']} is not the registered one.", code="artifact_changed")


def digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(CHUNK_BYTES):
            found.update(part)
    return found.hexdigest()


def load(
    files: Mapping[str, Path],
    document: Mapping[str, Any],
    load_model: Callable[[Path], Any],
    *,
    graph: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Runtime:
    """Load a verified version, choose its backend on the reference rows and warm it.

    Parameters
    ----------
    files : mapping of manifest path to local path
        Needs ``model.skops``; ``reference.parquet`` and ``example.json`` are used when there.
    document : mapping
        The version's signature.
    load_model : callable
        Reads the model file with our list of trusted types.
    graph : Path or None
        The estimator as ONNX, when its conversion passed the parity gate.
    clock : callable
        Seconds, for the probes.

    Raises
    ------
    VersionRefused
        When a file cannot be read, the model does not answer its own examples, or its answers on the reference
        rows are not those recorded in training.
    """
    signature = parse(document)
    model_path = _named(files, "model.skops")
    if model_path is None:
        raise VersionRefused("The version has no model.skops.", code="artifact_missing")
    model = load_model(model_path)
    try:
        return _build(model, files, signature, graph, clock)
    except DomainError:
        raise
    except Exception as error:
        raise VersionRefused(f"The model cannot be used: {type(error).__name__}.", code="model_unusable") from error


def _build(
    model: Any,
    files: Mapping[str, Path],
    signature: Signature,
    graph: Path | None,
    clock: Callable[[], float],
) -> Runtime:
    examples = _examples(files, signature)
    reference, recorded = trial.reference(_named(files, "reference.parquet"), signature)
    if examples is None and not recorded:
        raise VersionRefused("The version has neither examples nor reference rows to try it on.", code="no_examples")
    rows = reference if recorded else examples
    assert rows is not None
    choice = exact.choose(model, signature, rows, graph=graph, clock=clock)
    if recorded:
        _compare(choice.backend.predict(reference), recorded)
    file_bytes = sum(path.stat().st_size for path in (_named(files, "model.skops"), graph) if path is not None)
    tried = choice.backend.predict(examples if examples is not None else reference)
    return Runtime(
        signature=signature,
        backend=choice.backend,
        reason=choice.reason,
        rows_checked=choice.rows_checked,
        size_bytes=MEMORY_BASE_BYTES + MEMORY_FACTOR * file_bytes,
        inline=_single_row_seconds(choice.backend, rows, clock) < INLINE_SECONDS,
        shares=len(tried.probabilities[0]) if tried.probabilities else 0,
    )


def trial_rows(files: Mapping[str, Path], signature: Signature) -> Columns:
    """Held-out rows of a version, or its examples where it has none.

    Raises
    ------
    VersionRefused
        When it has neither.
    """
    reference, recorded = trial.reference(_named(files, "reference.parquet"), signature)
    if recorded:
        return reference
    examples = _examples(files, signature)
    if examples is None:
        raise VersionRefused("The version has neither examples nor reference rows to try it on.", code="no_examples")
    return examples


def _named(files: Mapping[str, Path], name: str) -> Path | None:
    return next((path for stored, path in sorted(files.items()) if stored.rsplit("/", 1)[-1] == name), None)


def _examples(files: Mapping[str, Path], signature: Signature) -> Columns | None:
    """Rows to try the model on: our own file, or the one an MLflow client logged."""
    path = _named(files, "example.json")
    if path is not None:
        records = json.loads(path.read_text("utf-8"))
    elif (path := _named(files, "serving_input_example.json")) is not None:
        split = json.loads(path.read_text("utf-8")).get("dataframe_split", {"columns": [], "data": []})
        records = [dict(zip(split["columns"], row, strict=True)) for row in split["data"][:EXAMPLE_ROWS]]
    else:
        return None
    return read_records(records, signature) if records else None


def _compare(answer: Answer, recorded: Sequence[Any]) -> None:
    """Refuse a model whose answers are not those that training wrote down for the same rows."""
    wrong = sum(not _same(given, noted) for given, noted in zip(answer.labels, recorded, strict=True))
    if wrong > MAX_MISMATCH * len(recorded):
        raise VersionRefused(
            f"On {wrong} of {len(recorded)} reference rows the model does not answer what it answered in training.",
            code="reference_mismatch",
            limit=MAX_MISMATCH,
            got=wrong / len(recorded),
        )


def _same(given: Any, noted: Any) -> bool:
    if isinstance(given, float) and isinstance(noted, float):
        return abs(given - noted) <= TOLERANCE * max(1.0, abs(noted))
    return bool(given == noted)


def _single_row_seconds(backend: Backend, rows: Columns, clock: Callable[[], float]) -> float:
    single = [[values[0]] for values in rows]
    start = clock()
    backend.predict(single)
    return clock() - start
