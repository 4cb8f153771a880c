"""Choose the fastest backend that gives the pipeline's own bits on reference rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.runtime.backends import Answer, Backend, ExactBackend, PipelineBackend
from deployments.runtime.encoder import compile_encoder
from deployments.runtime.linear import compile_linear
from deployments.runtime.on_arrays import ArrayBackend, on_arrays
from deployments.runtime.onnx import OnnxBackend, classes_of
from deployments.runtime.signature import Columns, Signature
from mlportal.lib.errors import DomainError

SINGLE_ROWS = 16
CHALLENGES = 64
UNSEEN = "\u2021 never seen \u2021"
PROBE_ROWS = 32
BATCHING_PAYS = 4.0
# Equal bits are worth more than a little time.
ONNX_PAYS = 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend and why it was taken."""

    backend: Backend
    reason: str
    rows_checked: int


def choose(
    model: Any,
    signature: Signature,
    reference: Columns,
    *,
    graph: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Pick a backend for a loaded pipeline.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
    signature : Signature
    reference : list of list, shape (columns, rows)
        Rows the candidates are compared on, bit for bit; at least one.
    graph : Path or None
        The estimator as ONNX, when its conversion passed the parity gate.
    clock : callable
        Seconds, for the probes.

    Returns
    -------
    Choice
        ``onnx`` when it is there and takes less than half of the time of the others; ``exact`` when it agrees on all
        rows, on rows with nulls and unseen categories, and on single rows; else ``sklearn``, on arrays where that
        agrees as well, with batching when 32 rows cost less than four single calls.
    """
    choice = _of_library(model, signature, reference, clock)
    if graph is None:
        return choice
    encoder = compile_encoder(model.steps[0][1], signature.names)
    if encoder is None:
        return choice
    fast = OnnxBackend(encoder, graph, classes_of(model.steps[1][1]))
    single = _rows(reference, [0])
    if _fastest(fast, single, clock) * ONNX_PAYS > _fastest(choice.backend, single, clock):
        return choice
    return Choice(fast, "passed the parity gate and is the fastest", choice.rows_checked)


def _of_library(model: Any, signature: Signature, reference: Columns, clock: Callable[[], float]) -> Choice:
    plain = PipelineBackend(model, signature)
    rows = len(reference[0])
    candidates, reason = _candidates(model, signature)
    for candidate in candidates:
        if _agrees(candidate, plain, signature, reference):
            return Choice(candidate, "equal bits to the pipeline", rows)
        reason = "the compiled form differs from the pipeline on reference rows"
    usual = _on_arrays(model, plain, signature, reference) or plain
    usual.batched = batching_pays(usual, reference, clock)
    return Choice(usual, reason, rows)


def _on_arrays(model: Any, plain: PipelineBackend, signature: Signature, reference: Columns) -> ArrayBackend | None:
    """The pipeline's own steps on arrays, where they take them and give the same bits."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*feature names")  # each call would write a line
        try:
            found = on_arrays(model, signature)
            return found if found is not None and _agrees(found, plain, signature, reference) else None
        except Exception:  # noqa: BLE001 - a step that wants a frame fails on an array in its own way
            return None


def _candidates(model: Any, signature: Signature) -> tuple[list[ExactBackend], str]:
    steps = [step for _, step in getattr(model, "steps", [])]
    if len(steps) != 2 or type(steps[0]).__name__ != "ColumnTransformer":
        return [], "not a column transformer and an estimator"
    encoder = compile_encoder(steps[0], signature.names)
    if encoder is None:
        return [], "a preparation step has no compiled form"
    sparse = bool(getattr(steps[0], "sparse_output_", False))
    bare = compile_linear(steps[1], sparse=sparse)
    found = [ExactBackend(encoder, bare, sparse=False)] if bare else []
    found += [ExactBackend(encoder, steps[1], sparse=choice) for choice in ([False, True] if sparse else [False])]
    return found, ""


def _agrees(candidate: Backend, plain: Backend, signature: Signature, reference: Columns) -> bool:
    rows = len(reference[0])
    challenged = challenges(reference, signature)
    singles = [_rows(reference, [index]) for index in _spread(rows, SINGLE_ROWS)]
    odd = [_rows(some, [index]) for some in challenged for index in _spread(len(some[0]), SINGLE_ROWS // 2)]
    sets = [reference, *singles, *challenged, *odd]  # single rows have a way of their own
    return all(_outcome(candidate, columns) == _outcome(plain, columns) for columns in sets)


def _outcome(backend: Backend, columns: Columns) -> Answer | str:
    try:
        return backend.predict(columns)
    except DomainError as error:
        return error.code


def _spread(rows: int, count: int) -> list[int]:
    return sorted({index * rows // count for index in range(count)})


def _rows(columns: Columns, rows: Sequence[int]) -> Columns:
    return [[values[row] for row in rows] for values in columns]


def challenges(reference: Columns, signature: Signature) -> list[Columns]:
    """Reference rows with nulls and unseen categories put in, where the signature allows them."""
    rows = _spread(len(reference[0]), CHALLENGES)
    base = _rows(reference, rows)
    with_nulls = [list(values) for values in base]
    with_unseen = [list(values) for values in base]
    for index, column in enumerate(signature.columns):
        for row in range(len(rows)):
            if column.nullable and (row + index) % 3 == 0:
                with_nulls[index][row] = None
            textual = column.kind == "categorical" and type(base[index][row]) is str
            if textual and not column.refuses_unknown and (row + index) % 3 == 0:
                with_unseen[index][row] = UNSEEN
    return [with_nulls, with_unseen]


def batching_pays(backend: Backend, reference: Columns, clock: Callable[[], float]) -> bool:
    """Whether many rows in one call cost less than ``BATCHING_PAYS`` single calls."""
    rows = len(reference[0])
    many = _rows(reference, [index % rows for index in range(PROBE_ROWS)])
    single = _rows(reference, [0])
    return _fastest(backend, many, clock) < BATCHING_PAYS * _fastest(backend, single, clock)


def _fastest(backend: Backend, columns: Columns, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(3):
        start = clock()
        backend.predict(columns)
        times.append(clock() - start)
    return min(times)
