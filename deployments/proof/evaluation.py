"""Evaluate a candidate and the production model on the candidate's held-out rows. Imported by workers only."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deployments.proof.bootstrap import Answers, Difference, compare
from mlportal.lib.errors import Invalid

TARGET = "__target__"
ROUNDS = 1000
TIMED_CALLS = 60


@dataclass(frozen=True)
class Result:
    """What an evaluation found: rows used, differences per metric, and p99 of a one-row call in milliseconds."""

    rows: int
    rounds: int
    metrics: tuple[Difference, ...]
    latency_ms: float
    production_latency_ms: float | None
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self)


def evaluate(
    frame: pd.DataFrame,
    candidate: Any,
    production: Any | None,
    *,
    task: str,
    metrics: list[str],
    seed: int,
    columns: list[str],
    production_columns: list[str] | None = None,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Result:
    """Score both models on the same held-out rows.

    Parameters
    ----------
    frame
        Raw feature columns and ``__target__``, one row per held-out record.
    candidate, production
        Fitted scikit-learn pipelines that take the raw columns; production may be None.
    task
        ``classification`` or ``regression``.
    metrics
        Keys to compare, of :data:`deployments.proof.bootstrap.SCORERS`.
    seed
        Seed of the bootstrap.
    columns, production_columns
        Input columns each model asks for.
    rounds
        Bootstrap samples.
    clock
        Monotonic clock in seconds, for the latency.
    on_progress
        Told the finished share, 0 to 1.

    Returns
    -------
    Result
        With a ``note`` instead of differences when production cannot read these rows.

    Raises
    ------
    Invalid
        When the rows miss a column the candidate needs, or there are none.
    """
    if not len(frame) or TARGET not in frame:
        raise Invalid("The held-out rows are missing or have no target.", code="no_reference")
    missing = [name for name in columns if name not in frame]
    if missing:
        raise Invalid(
            f"The held-out rows have no column {missing[0]}.",
            code="no_column",
            got=missing[0],
        )
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    production_columns = production_columns or columns
    note = _unreadable(frame, production, production_columns)
    rival = None if note else production
    classes = _classes(frame[TARGET], candidate, rival) if task == "classification" else []
    truth = _truth(frame[TARGET], classes) if classes else frame[TARGET].to_numpy(dtype=float)
    ours = _answers(candidate, frame[columns], classes)
    theirs = _answers(rival, frame[production_columns], classes) if rival is not None else None
    on_progress(0.2)
    found = compare(
        truth,
        ours,
        theirs,
        metrics=metrics,
        classes=len(classes),
        rounds=rounds,
        seed=seed,
        on_progress=lambda share: on_progress(0.2 + 0.7 * share),
    )
    latency = _latency(candidate, frame[columns], clock)
    rival_latency = _latency(rival, frame[production_columns], clock) if rival is not None else None
    on_progress(1.0)
    return Result(
        len(frame),
        rounds if rival is not None else 0,
        tuple(found),
        latency,
        rival_latency,
        note,
    )


def _unreadable(frame: pd.DataFrame, production: Any | None, columns: list[str] | None) -> str:
    if production is None:
        return ""
    missing = [name for name in columns or [] if name not in frame]
    if missing:
        return f"production needs the column {missing[0]}, which the candidate's held-out rows do not have"
    try:
        production.predict(frame[columns].head(1))
    except (ValueError, TypeError, KeyError) as error:
        return f"production cannot read the candidate's held-out rows: {str(error).splitlines()[0][:200]}"
    return ""


def _label(value: object) -> str:
    """Write a class as text, so that 1, 1.0 and "1" are one class."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _classes(target: pd.Series, candidate: Any, production: Any | None) -> list[str]:
    """List the classes in the candidate's order, then those only production or the rows know."""
    known = [_label(item) for item in getattr(candidate, "classes_", [])]
    more = [_label(item) for item in getattr(production, "classes_", [])] if production is not None else []
    return list(dict.fromkeys([*known, *more, *(_label(item) for item in target.unique())]))


def _truth(target: pd.Series, classes: list[str]) -> NDArray[np.int64]:
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place[_label(item)] for item in target], dtype=np.int64)


def _answers(model: Any, rows: pd.DataFrame, classes: list[str]) -> Answers:
    if not classes:
        return Answers(np.asarray(model.predict(rows), dtype=float))
    place = {name: index for index, name in enumerate(classes)}
    said = np.array([place.get(_label(item), -1) for item in model.predict(rows)], dtype=np.int64)
    if not hasattr(model, "predict_proba"):
        return Answers(said)
    spread = np.zeros((len(rows), len(classes)))
    spread[:, [place[_label(item)] for item in model.classes_]] = model.predict_proba(rows)
    return Answers(said, spread)


def _latency(model: Any, rows: pd.DataFrame, clock: Callable[[], float]) -> float:
    """Return the p99 of one-row calls in milliseconds, after two calls that do not count."""
    taken = []
    for turn in range(TIMED_CALLS + 2):
        row = rows.iloc[[turn % len(rows)]]
        start = clock()
        model.predict(row)
        taken.append((clock() - start) * 1000)
    return float(np.quantile(taken[2:], 0.99))
