"""Evaluate a candidate and the production model on the same held-out rows. Imported by workers only."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deployments.proof import calibration, explain, explaining, fairness, groups, threshold, timing
from deployments.proof.bootstrap import Difference, compare
from deployments.proof.groups import SMALL, Grouping
from deployments.proof.scorers import OF_LABELS, Answers
from mlportal.lib.errors import Invalid

TARGET = "__target__"
RECORDED = (TARGET, "__prediction__", "__score__")
ROUNDS = 1000
# A segment of more rows is drawn fewer times: its interval is then 1.96 standard errors, which a few draws give.
MANY_ROWS = 20_000
FEW_ROUNDS = 200
THREADS = 2
Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What an evaluation is asked to look at.

    Attributes
    ----------
    task
        ``classification`` or ``regression``.
    metrics
        Keys to compare, of :data:`deployments.proof.scorers.SCORERS`, the one judged by first.
    columns, production_columns
        Input columns each model asks for.
    sensitive
        Columns that fairness is judged by.
    segments
        Columns that a policy names; few-valued ones are added.
    secret
        Columns whose values must not be told, in no segment and no curve.
    seed, rounds
        Of the bootstrap.
    """

    task: str
    metrics: list[str]
    columns: list[str]
    seed: int
    production_columns: list[str] = field(default_factory=list)
    sensitive: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    secret: list[str] = field(default_factory=list)
    rounds: int = ROUNDS


@dataclass(frozen=True)
class Result:
    """What an evaluation found; ``missing`` names each part that could not be had, and why."""

    rows: int
    rounds: int
    metrics: tuple[Difference, ...]
    latency_ms: float
    production_latency_ms: float | None
    note: str
    segments: list[Json]
    fairness: list[Json]
    calibration: Json | None
    latency: Json
    explanations: Json | None
    threshold: Json | None
    missing: list[Json]

    def plain(self) -> Json:
        """Return the result as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Said:
    """Truth and both models' answers on the same rows."""

    truth: NDArray[np.generic]
    ours: Answers
    theirs: Answers | None
    classes: list[str]

    def take(self, rows: NDArray[np.int64]) -> "Said":
        """Return some of the rows."""
        return Said(
            self.truth[rows], self.ours.take(rows), self.theirs.take(rows) if self.theirs else None, self.classes
        )


def evaluate(
    frame: pd.DataFrame,
    candidate: Any,
    production: Any | None,
    asked: Asked,
    *,
    clock: Callable[[], float] = time.perf_counter,
    on_phase: Callable[[str, float], None] = lambda phase, share: None,
) -> Result:
    """Score both models on the same held-out rows: over all, by segment, by group, in time.

    Parameters
    ----------
    frame
        Raw feature columns and ``__target__``, one row per held-out record.
    candidate, production
        Fitted scikit-learn pipelines that take the raw columns; production may be None.
    asked
        What to look at.
    clock
        Monotonic clock in seconds, for the latency.
    on_phase
        Told what is done now and the finished share, 0 to 1.

    Returns
    -------
    Result
        With a ``note`` instead of differences when production cannot read these rows.

    Raises
    ------
    Invalid
        When the rows miss a column the candidate needs, or there are none.
    """
    frame = _usable(frame, asked.columns)
    rival_columns = asked.production_columns or asked.columns
    note = _unreadable(frame, production, rival_columns)
    rival = None if note else production
    on_phase("Answer the held-out rows", 0.0)
    said = _said(frame, candidate, rival, asked, rival_columns)
    found = _compare(
        said, asked, asked.rounds, lambda share: on_phase("Compare on the held-out rows", 0.1 + 0.4 * share),
        alone=True,
    )  # fmt: skip
    missing = [_undefined(item.metric, said) for item in found if not np.isfinite(item.candidate)]
    on_phase("Compare by segment", 0.5)
    features = frame.drop(columns=[name for name in (*RECORDED, *asked.secret) if name in frame])
    segments, unseen = _segments(features, said, asked)
    on_phase("Compare groups and probabilities", 0.8)
    fair, unfair = _fairness(features, said, asked)
    calibrated, why = _calibration(said)
    on_phase("Measure the time of an answer", 0.85)
    theirs = (rival, frame[rival_columns]) if rival is not None else None
    latency = timing.compare((candidate, frame[asked.columns]), theirs, clock)
    on_phase("Explain the candidate", 0.95)
    explained = _explained(frame[asked.columns], candidate, said, asked)
    on_phase("Explain the candidate", 1.0)
    return Result(
        rows=len(frame), rounds=asked.rounds if rival is not None else 0,
        metrics=tuple(item for item in found if np.isfinite(item.candidate)),
        latency_ms=latency["candidate"]["p99_ms"],
        production_latency_ms=latency["baseline"]["p99_ms"] if latency["baseline"] else None,
        note=note, segments=segments, fairness=fair, calibration=calibrated, latency=latency, explanations=explained,
        threshold=_threshold(said),
        missing=[*_without_rival(production, note), *missing, *unseen, *unfair, *why],
    )  # fmt: skip


def side_by_side(frame: pd.DataFrame, candidate: Any, production: Any, asked: Asked) -> Json:
    """Compare both models on other rows than the held-out ones: the metrics alone, as `evaluate` gives them.

    Raises
    ------
    Invalid
        When the rows miss a column a model needs, or there are none.
    """
    frame = _usable(frame, [*asked.columns, *asked.production_columns])
    rival_columns = asked.production_columns or asked.columns
    said = _said(frame, candidate, production, asked, rival_columns)
    found = _compare(said, asked, asked.rounds, alone=True)
    return {"rows": len(frame), "metrics": [asdict(item) for item in found if np.isfinite(item.candidate)]}


def _usable(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the rows whose truth is known."""
    if not len(frame) or TARGET not in frame:
        raise Invalid("The held-out rows are missing or have no target.", code="no_reference")
    missing = [name for name in columns if name not in frame]
    if missing:
        raise Invalid(f"The held-out rows have no column {missing[0]}.", code="no_column", got=missing[0])
    known = frame[frame[TARGET].notna()].reset_index(drop=True)
    if not len(known):
        raise Invalid("No held-out row has a target.", code="no_reference")
    return known


def _said(frame: pd.DataFrame, candidate: Any, rival: Any | None, asked: Asked, rival_columns: list[str]) -> Said:
    classes = _classes(frame[TARGET], candidate, rival) if asked.task == "classification" else []
    truth = _places(frame[TARGET], classes) if classes else frame[TARGET].to_numpy(dtype=float)
    ours = _answers(candidate, frame[asked.columns], classes)
    theirs = _answers(rival, frame[rival_columns], classes) if rival is not None else None
    return Said(truth, ours, theirs, classes)


def _compare(
    said: Said,
    asked: Asked,
    rounds: int,
    on_progress: Callable[[float], None] = lambda share: None,
    *,
    alone: bool = False,
) -> list[Difference]:
    return compare(
        said.truth, said.ours, said.theirs, metrics=asked.metrics, classes=len(said.classes), rounds=rounds,
        seed=asked.seed, alone=alone, on_progress=on_progress,
    )  # fmt: skip


def _segments(features: pd.DataFrame, said: Said, asked: Asked) -> tuple[list[Json], list[Json]]:
    """Compare both models within each segment, two at a time: numpy computes outside the interpreter's lock."""
    named = [*asked.segments, *asked.sensitive]
    missing = [
        {"part": f"segments: {name}", "why": "the held-out rows do not hold this column"}
        for name in dict.fromkeys(asked.segments) if name not in features
    ]  # fmt: skip
    found = groups.chosen(features, named)
    if not found:
        return [], [*missing, {"part": "segments", "why": "no column has 2 to 12 values, and none is named"}]
    parts = [(grouping, place, grouping.rows(place)) for grouping in found for place in range(len(grouping.labels))]
    large = [part for part in parts if len(part[2]) >= SMALL]
    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(lambda part: _segment(said, asked, *part), large))
    return rows, [*missing, *_small(found)]


def _segment(said: Said, asked: Asked, grouping: Grouping, place: int, rows: NDArray[np.int64]) -> Json:
    # Ranking costs most, so within segments only the metric judged by is ranked; the rest reads labels or errors.
    cheap = [name for name in asked.metrics if name == asked.metrics[0] or name in OF_LABELS or not said.classes]
    narrowed = Asked(asked.task, cheap, asked.columns, asked.seed)
    rounds = asked.rounds if len(rows) <= MANY_ROWS else min(FEW_ROUNDS, asked.rounds)
    metrics = {
        item.metric: {
            "candidate": item.candidate, "baseline": item.production, "difference": item.difference,
            "low": item.low, "high": item.high,
        }
        for item in _compare(said.take(rows), narrowed, rounds) if np.isfinite(item.candidate)
    }  # fmt: skip
    return {"column": grouping.column, "value": grouping.labels[place], "rows": len(rows), "metrics": metrics}


def _small(found: list[Grouping]) -> list[Json]:
    out = []
    for grouping in found:
        sizes = np.bincount(grouping.codes, minlength=len(grouping.labels))
        names = [f"{label} ({size})" for label, size in zip(grouping.labels, sizes, strict=True) if 0 < size < SMALL]
        if names:
            why = f"segments with fewer than {SMALL} rows are not compared: {', '.join(names[:5])}"
            out.append({"part": f"segments: {grouping.column}", "why": why})
    return out


def _fairness(features: pd.DataFrame, said: Said, asked: Asked) -> tuple[list[Json], list[Json]]:
    if len(said.classes) != 2:
        kind = f"this model has {len(said.classes)} classes" if said.classes else "this model predicts a number"
        return [], [{"part": "fairness", "why": f"rates per group need two classes; {kind}"}]
    if not asked.sensitive:
        return [], [{"part": "fairness", "why": "no column of the dataset is marked personal or sensitive"}]
    out, missing = [], []
    for name in dict.fromkeys(asked.sensitive):
        grouping = groups.by(features[name]) if name in features else None
        if grouping is None:
            why = "all held-out rows are one group" if name in features else "the held-out rows do not hold this column"
            missing.append({"part": f"fairness: {name}", "why": why})
            continue
        column, absent = fairness.by_group(
            grouping, said.truth, said.ours, said.theirs, rounds=asked.rounds, seed=asked.seed
        )
        out += [column] if column else []
        missing += absent
    return out, missing


def _calibration(said: Said) -> tuple[Json | None, list[Json]]:
    if not said.classes:
        return None, [{"part": "calibration", "why": "this model predicts a number, not a probability"}]
    ours = calibration.of(said.truth, said.ours, len(said.classes))
    theirs = calibration.of(said.truth, said.theirs, len(said.classes)) if said.theirs else None
    if ours is None:
        return None, [{"part": "calibration", "why": "the candidate gives no probabilities"}]
    return {"candidate": ours, "baseline": theirs}, []


def _threshold(said: Said) -> Json | None:
    """Count who says positive at each threshold, for two classes with probabilities."""
    if len(said.classes) != 2 or said.ours.probabilities is None:
        return None
    theirs = said.theirs.probabilities if said.theirs else None
    kept = threshold.cells(
        said.truth == 1, said.ours.probabilities[:, 1], None if theirs is None else theirs[:, 1]
    )  # fmt: skip
    return {"positive": said.classes[1], "cells": kept, "compared": theirs is not None}


def _explained(features: pd.DataFrame, candidate: Any, said: Said, asked: Asked) -> Json:
    """Tell what the candidate goes by: importance of columns, curves of the first ones, and a handful of answers."""
    metric = asked.metrics[0] if _ranks(said, asked.metrics[0]) else "accuracy"
    found = explain.importance(
        lambda frame: _answers(candidate, frame, said.classes), features, said.truth, metric, len(said.classes)
    )
    names = [row["feature"] for row in found if row["feature"] not in asked.secret][: explain.DEPENDENCE_COLUMNS]
    curves = explain.dependence(explain.output_of(candidate), features, names)
    told = explaining.examples(candidate, features, asked.secret)
    return {"metric": metric, "importance": found, "partial_dependence": curves, "examples": told}


def _ranks(said: Said, metric: str) -> bool:
    """Whether the metric can be had: one that reads probabilities needs them, and more than one class."""
    labels = not said.classes or metric in OF_LABELS
    return labels or (said.ours.probabilities is not None and len(np.unique(said.truth)) > 1)


def _undefined(metric: str, said: Said) -> Json:
    one = len(np.unique(said.truth)) == 1
    why = "the held-out rows hold one class only" if one and said.classes else "it is not defined on these rows"
    return {"part": f"metric: {metric}", "why": why}


def _without_rival(production: Any | None, note: str) -> list[Json]:
    if production is None:
        return [{"part": "comparison", "why": "no version is in production, so there is nothing to compare with"}]
    return [{"part": "comparison", "why": note}] if note else []


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


def _places(values: Any, classes: list[str]) -> NDArray[np.int64]:
    """Turn classes into their places, -1 for one that is not known; each distinct value is looked up once."""
    place = {name: index for index, name in enumerate(classes)}
    codes, known = pd.factorize(np.asarray(values))
    return np.array([place.get(_label(item), -1) for item in known], dtype=np.int64)[codes]


def _answers(model: Any, rows: pd.DataFrame, classes: list[str]) -> Answers:
    if not classes:
        return Answers(np.asarray(model.predict(rows), dtype=float))
    said = _places(model.predict(rows), classes)
    if not hasattr(model, "predict_proba"):
        return Answers(said)
    spread = np.zeros((len(rows), len(classes)))
    place = {name: index for index, name in enumerate(classes)}
    spread[:, [place[_label(item)] for item in model.classes_]] = model.predict_proba(rows)
    return Answers(said, spread)
