"""Train a model: choose columns, split, cross-validate, fit, evaluate."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from experiments.training import columns as choosing
from experiments.training import evaluate, recipe, split
from experiments.training.catalogue import ALGORITHMS, PRIMARY_METRIC, TASK_METRICS
from experiments.training.columns import Columns
from experiments.training.hooks import Hooks
from experiments.training.spec import TrainingSpec, listed

GROWTH_STEPS: Final = 20
FEW_STEPS: Final = 5  # each step reads all rows again, which costs seconds on large data
MANY_ROWS: Final = 200_000
GROWTH_METRIC: Final = {"classification": "log_loss", "regression": "rmse"}
CURVE_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted model and what is known about it.

    Attributes
    ----------
    spec : TrainingSpec
        What was asked for.
    model : sklearn.pipeline.Pipeline
        Takes a frame of the raw feature columns.
    columns : Columns
        Feature columns by encoding.
    features, target : pandas.DataFrame and numpy.ndarray
        All usable rows, typed.
    parts : split.Parts
        Row positions of the training and the held-out part.
    metrics : dict of str to float
        Metrics on the held-out part.
    folds : dict of str to list of float
        Metrics of each fold; empty without cross-validation.
    predicted, probability : numpy.ndarray
        Answers for the held-out rows; probability is None for regression.
    reports : dict of str to object
        JSON values of the evaluation files, by file name.
    warnings : tuple of str
        What a person should know before trusting the model.
    """

    spec: TrainingSpec
    model: Pipeline
    columns: Columns
    features: pd.DataFrame
    target: np.ndarray
    parts: split.Parts
    metrics: dict[str, float]
    folds: dict[str, list[float]]
    predicted: np.ndarray
    probability: np.ndarray | None
    reports: dict[str, Any]
    warnings: tuple[str, ...] = field(default=())

    @property
    def held_out(self) -> pd.DataFrame:
        """Feature columns of the held-out rows."""
        return self.features.iloc[self.parts.test]


@dataclass(frozen=True, slots=True)
class _Material:
    """Checked input of a training."""

    columns: Columns
    features: pd.DataFrame
    target: np.ndarray
    parts: split.Parts
    warnings: tuple[str, ...]


def fit(
    spec: TrainingSpec,
    frame: pd.DataFrame,
    schema: Sequence[Mapping[str, Any]],
    *,
    hooks: Hooks,
    threads: int = 1,
    saved_split: Path | None = None,
) -> Trained:
    """Train and evaluate one model.

    Parameters
    ----------
    spec : TrainingSpec
        Checked specification.
    frame : pandas.DataFrame
        The typed data, all columns.
    schema : sequence of mapping
        Columns as ``{"name", "kind", ...}``.
    hooks : Hooks
        Where metrics, progress and log lines go.
    threads : int
        Threads an estimator may use.
    saved_split : pathlib.Path, optional
        Row numbers of the parts, where the specification names a saved split.

    Returns
    -------
    Trained
        Equal for equal input and seed.

    Raises
    ------
    Unprocessable
        When the data cannot teach this, with the reason.
    Stopped
        When ``hooks.should_stop`` said so.
    """
    material = _prepare(spec, frame, schema, hooks, saved_split)
    with _heard(hooks):
        scores = _cross_validate(spec, material, hooks, threads)
        model = recipe.pipeline(spec, material.columns, threads=threads)
        hooks.progress("train", 0.0)
        _train(spec, model, material, hooks)
        return _judge(spec, model, material, scores, hooks)


@contextmanager
def _heard(hooks: Hooks) -> Iterator[None]:
    """Write warnings of the libraries, such as no convergence, to the log once each."""
    said: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        text = str(message).split("\n", 1)[0]
        if text not in said:
            said.add(text)
            hooks.warn(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # True of data that changes between the steps; ours never does.
        warnings.filterwarnings("ignore", message="class_weight presets")
        warnings.showwarning = show
        yield


def _prepare(
    spec: TrainingSpec,
    frame: pd.DataFrame,
    schema: Sequence[Mapping[str, Any]],
    hooks: Hooks,
    saved_split: Path | None,
) -> _Material:
    hooks.progress("prepare", 0.0)
    rows, target, dropped = split.target_values(spec, frame)
    columns = choosing.choose(spec, rows, schema)
    features = choosing.typed(rows, columns)
    if saved_split is None:
        parts = split.split(spec, target)
    else:
        parts = split.saved(spec, saved_split, frame[spec.target].notna().to_numpy(), target)
    notes = [*_id_target(spec, schema), *columns.warnings]
    if dropped:
        notes.append(f"{dropped:,} rows without a target are left out.")
    if repeated := split.overlap(features.assign(__target__=target), parts):
        notes.append(
            f"{repeated:,} of {len(parts.test):,} held-out rows also occur in the training part, "
            "so the metrics may be too good."
        )
    for text in notes:
        hooks.warn(text)
    hooks.info(
        f"{len(parts.train):,} rows to learn from, {len(parts.test):,} held out, "
        f"{len(columns.all)} features: {listed(columns.all)}"
    )
    return _Material(columns, features, target, parts, tuple(notes))


def _id_target(spec: TrainingSpec, schema: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if {column["name"]: column["kind"] for column in schema}[spec.target] == "id":
        yield f'Target "{spec.target}" looks like an identifier.'


def _cross_validate(spec: TrainingSpec, material: _Material, hooks: Hooks, threads: int) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {}
    if not spec.folds:
        return out
    features = material.features.iloc[material.parts.train]
    target = material.target[material.parts.train]
    for number, part in enumerate(split.folds(spec, target)):
        hooks.progress("cross_validate", number / spec.folds)
        model = recipe.pipeline(spec, material.columns, threads=threads)
        model.fit(features.iloc[part.train], target[part.train])
        scores = _metrics(spec, model, features.iloc[part.test], target[part.test])
        for key, value in scores.items():
            out.setdefault(key, []).append(value)
            hooks.on_metric(f"cv/{key}", value, number + 1)
        hooks.info(f"fold {number + 1} of {spec.folds}: {_words(spec, scores)}")
    for key, values in out.items():
        hooks.on_metric(f"cv_mean/{key}", float(np.mean(values)), 0)
        hooks.on_metric(f"cv_std/{key}", float(np.std(values)), 0)
    hooks.progress("cross_validate", 1.0)
    return out


def _metrics(spec: TrainingSpec, model: Pipeline, features: pd.DataFrame, target: np.ndarray) -> dict[str, float]:
    if spec.task == "regression":
        return evaluate.regression(target, model.predict(features))
    probability = model.predict_proba(features)
    return evaluate.classification(target, _best(model, probability), probability, np.asarray(model.classes_))


def _best(model: Pipeline, probability: np.ndarray) -> np.ndarray:
    """Return the most likely label: the same answer as ``predict`` without computing twice."""
    return np.asarray(model.classes_)[probability.argmax(axis=1)]


def _words(spec: TrainingSpec, scores: Mapping[str, float]) -> str:
    keys = [key for key in TASK_METRICS[spec.task] if key in scores]
    keys.sort(key=lambda key: key != PRIMARY_METRIC[spec.task])
    return ", ".join(f"{key} {scores[key]:.4f}" for key in keys[:3])


def _train(spec: TrainingSpec, model: Pipeline, material: _Material, hooks: Hooks) -> None:
    features = material.features.iloc[material.parts.train]
    target = material.target[material.parts.train]
    grown_by = ALGORITHMS[spec.algorithm].grown_by
    if grown_by:
        _grow(spec, model, grown_by, material, hooks)
    else:
        model.fit(features, target)
    hooks.progress("train", 1.0)


def _grow(spec: TrainingSpec, model: Pipeline, grown_by: str, material: _Material, hooks: Hooks) -> None:
    """Fit in steps, so that curves appear and a stop is heard; the result is that of one fit."""
    train, test = material.parts.train, material.parts.test
    prepare, estimator = model.steps[0][1], model.steps[1][1]
    inside = prepare.fit_transform(material.features.iloc[train])
    outside = prepare.transform(material.features.iloc[test[:CURVE_ROWS]])
    total = spec.hyper_parameters[grown_by]
    assert isinstance(total, int)  # every parameter that grows is declared as a whole number
    estimator.set_params(warm_start=True)
    for size in growth(total, steps=GROWTH_STEPS if len(train) < MANY_ROWS else FEW_STEPS):
        estimator.set_params(**{grown_by: size})
        estimator.fit(inside, material.target[train])
        _curve(spec, estimator, (inside, outside), material, size=size, hooks=hooks)
        hooks.progress("train", size / total)
        if getattr(estimator, "n_iter_", size) < size:
            hooks.info(f"stopped early after {estimator.n_iter_} rounds")
            break
    estimator.set_params(warm_start=False)


def growth(total: int, *, steps: int = GROWTH_STEPS) -> list[int]:
    """Return up to `steps` sizes that end with `total`, evenly spread."""
    return sorted({max(1, round(total * (n + 1) / steps)) for n in range(steps)})


def _curve(
    spec: TrainingSpec,
    estimator: Any,
    data: tuple[Any, Any],
    material: _Material,
    *,
    size: int,
    hooks: Hooks,
) -> None:
    key = GROWTH_METRIC[spec.task]
    rows = (material.parts.train[:CURVE_ROWS], material.parts.test[:CURVE_ROWS])
    words = []
    for name, part, places in zip(("train", "test"), data, rows, strict=True):
        value = _loss(spec, estimator, part[:CURVE_ROWS], material.target[places])
        hooks.on_metric(f"{name}/{key}", value, size)
        words.append(f"{name} {key} {value:.5f}")
    hooks.info(f"round {size}: {', '.join(words)}")


def _loss(spec: TrainingSpec, estimator: Any, data: Any, target: np.ndarray) -> float:
    if spec.task == "regression":
        return evaluate.regression(target, estimator.predict(data))["rmse"]
    probability = estimator.predict_proba(data)
    classes = np.asarray(estimator.classes_)
    return evaluate.log_loss(target, probability, classes)


def _judge(
    spec: TrainingSpec,
    model: Pipeline,
    material: _Material,
    folds: dict[str, list[float]],
    hooks: Hooks,
) -> Trained:
    hooks.progress("evaluate", 0.0)
    features = material.features.iloc[material.parts.test]
    target = material.target[material.parts.test]
    probability = model.predict_proba(features) if spec.task == "classification" else None
    predicted = model.predict(features) if probability is None else _best(model, probability)
    classes = np.asarray(getattr(model, "classes_", ()))
    scores = _scores(target, predicted, probability, classes)
    for key, value in scores.items():
        hooks.on_metric(key, value, 0)
    hooks.info(f"held-out rows: {_words(spec, scores)}")
    _validate(spec, model, material, hooks)
    reports = _reports(spec, target, predicted, probability, classes)
    reports["importance"] = _importance(spec, model, features, target, hooks)
    hooks.progress("evaluate", 1.0)
    return Trained(
        spec=spec,
        model=model,
        columns=material.columns,
        features=material.features,
        target=material.target,
        parts=material.parts,
        metrics=scores,
        folds=folds,
        predicted=predicted,
        probability=probability,
        reports=reports,
        warnings=material.warnings,
    )


def _validate(spec: TrainingSpec, model: Pipeline, material: _Material, hooks: Hooks) -> None:
    """Report the metrics on the validation part of a saved split, which neither teaches nor judges."""
    rows = material.parts.validation
    if len(rows):
        for key, value in _metrics(spec, model, material.features.iloc[rows], material.target[rows]).items():
            hooks.on_metric(f"validation/{key}", value, 0)


def _scores(
    target: np.ndarray,
    predicted: np.ndarray,
    probability: np.ndarray | None,
    classes: np.ndarray,
) -> dict[str, float]:
    if probability is None:
        return evaluate.regression(target, predicted)
    return evaluate.classification(target, predicted, probability, classes)


def _reports(
    spec: TrainingSpec,
    target: np.ndarray,
    predicted: np.ndarray,
    probability: np.ndarray | None,
    classes: np.ndarray,
) -> dict[str, Any]:
    if probability is None:
        return {"residuals": evaluate.residuals(target, predicted, seed=spec.seed)}
    return {
        "confusion_matrix": evaluate.confusion_matrix(target, predicted, classes),
        "roc": evaluate.roc(target, probability, classes),
        "precision_recall": evaluate.precision_recall(target, probability, classes),
        "calibration": evaluate.calibration(target, probability, classes),
    }


def _importance(
    spec: TrainingSpec, model: Pipeline, features: pd.DataFrame, target: np.ndarray, hooks: Hooks
) -> list[dict[str, Any]]:
    rows = features.iloc[: evaluate.IMPORTANCE_ROWS]
    expected = target[: evaluate.IMPORTANCE_ROWS]
    count = len(features.columns)
    return evaluate.importance(
        lambda frame: float(model.score(frame, expected)),
        rows,
        seed=spec.seed,
        on_column=lambda done: hooks.progress("evaluate", done / count),
    )
