"""Convert a version's estimator to ONNX and measure how far its answers are from the pipeline's.

Run as ``python -m deployments.runtime.conversion`` in a process of its own: it reads the question as JSON from its
standard input, writes the graph beside it and one JSON line with the figures.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deployments.runtime.backends import Answer, PipelineBackend
from deployments.runtime.encoder import compile_encoder
from deployments.runtime.exact import challenges
from deployments.runtime.onnx import INPUT, OnnxBackend, classes_of
from deployments.runtime.signature import Columns, Signature

ROWS = 1_000
MOST_ROWS = 5_000
MAX_DIFFERENCE = 1e-4
MAX_BYTES = 50 << 20
OPSETS = {"": 18, "ai.onnx.ml": 3}


@dataclass(frozen=True, slots=True)
class Parity:
    """Figures of the gate.

    Parameters
    ----------
    passed : bool
    reason : str
        Why not, or what was found.
    rows, rows_mixed : int
        Rows compared, and how many of them were mixed from held-out ones because those were fewer than 1,000.
    max_difference : float
        Largest difference of a probability, or of a number relative to its size.
    labels_changed : int
    size_bytes : int
    seconds : float
        Time the conversion took.
    """

    passed: bool
    reason: str
    rows: int = 0
    rows_mixed: int = 0
    max_difference: float = 0.0
    labels_changed: int = 0
    size_bytes: int = 0
    seconds: float = 0.0


def convert(model: Any, signature: Signature, reference: Columns) -> tuple[bytes, Parity]:
    """Convert and compare.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
    signature : Signature
    reference : list of list, shape (columns, rows)
        Held-out rows.

    Returns
    -------
    bytes
        The graph, empty when there is none.
    Parity
        Passed when no label changes and no probability moves by more than 1e-4, on at least 1,000 rows and on rows
        with nulls and unseen categories.
    """
    steps = [step for _, step in getattr(model, "steps", [])]
    if len(steps) != 2 or type(steps[0]).__name__ != "ColumnTransformer":
        return b"", Parity(passed=False, reason="It is not a column transformer and an estimator.")
    encoder = compile_encoder(steps[0], signature.names)
    if encoder is None:
        return b"", Parity(passed=False, reason="A preparation step has no compiled form.")
    started = time.perf_counter()
    graph = _graph(steps[1], encoder.width)
    seconds = round(time.perf_counter() - started, 3)
    if len(graph) > MAX_BYTES:
        return b"", Parity(passed=False, reason="The graph is over 50 MB.", size_bytes=len(graph), seconds=seconds)
    fast, plain = OnnxBackend(encoder, graph, classes_of(steps[1])), PipelineBackend(model, signature)
    rows, mixed = widened(reference)
    sets = [rows, *challenges(reference, signature)]
    pairs = [(fast.predict(columns), plain.predict(columns)) for columns in sets]
    found = _compared(pairs)
    return graph, Parity(
        passed=found[0] <= MAX_DIFFERENCE and not found[1],
        reason=_words(*found),
        rows=sum(len(columns[0]) for columns in sets),
        rows_mixed=mixed,
        max_difference=found[0],
        labels_changed=found[1],
        size_bytes=len(graph),
        seconds=seconds,
    )


def _graph(estimator: Any, width: int) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    made = to_onnx(
        estimator, initial_types=[(INPUT, FloatTensorType([None, width]))], target_opset=OPSETS, options=options
    )
    return bytes(made.SerializeToString())


def widened(reference: Columns) -> tuple[Columns, int]:
    """At least 1,000 rows: where there are fewer, columns of held-out rows are mixed anew; also how many are mixed."""
    held = len(reference[0])
    missing = max(0, ROWS - held)
    if not missing:
        return [values[:MOST_ROWS] for values in reference], 0
    chance = np.random.default_rng(0)
    picked = [chance.integers(held, size=missing) for _ in reference]
    return [[*values, *(values[row] for row in rows)] for values, rows in zip(reference, picked, strict=True)], missing


def _compared(pairs: Sequence[tuple[Answer, Answer]]) -> tuple[float, int]:
    differences, changed = [0.0], 0
    for fast, plain in pairs:
        if plain.probabilities is None:
            given, noted = np.array(fast.labels, dtype=float), np.array(plain.labels, dtype=float)
            differences.append(float((np.abs(given - noted) / np.maximum(1.0, np.abs(noted))).max()))
            continue
        changed += sum(one != other for one, other in zip(fast.labels, plain.labels, strict=True))
        moved = np.abs(np.array(fast.probabilities) - np.array(plain.probabilities))
        differences.append(float(moved.max()))
    return max(differences), changed


def _words(difference: float, changed: int) -> str:
    if changed:
        return f"{changed} labels change."
    if difference > MAX_DIFFERENCE:
        return f"An answer moves by {difference:.2g}, more than {MAX_DIFFERENCE:g}."
    return "No label changes, no answer moves by more than the limit."


def main() -> None:
    """Answer the question on standard input."""
    import warnings

    from deployments.runtime import loading
    from deployments.runtime.signature import parse
    from mlportal.lib import modelfile

    warnings.simplefilter("ignore")  # scikit-learn warns of the unseen categories that we try on purpose
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    signature = parse(asked["signature"])
    files = {path: Path(local) for path, local in asked["files"].items()}
    rows = loading.trial_rows(files, signature)
    graph, parity = convert(modelfile.load(Path(asked["model"])), signature, rows)
    if graph:
        Path(asked["graph"]).write_bytes(graph)
    sys.stdout.write(json.dumps(asdict(parity)) + "\n")


if __name__ == "__main__":
    main()
