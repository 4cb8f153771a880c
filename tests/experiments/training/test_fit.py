"""Training: right numbers, the same numbers for the same seed, and it can be watched and stopped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.training import catalogue, output
from experiments.training.fit import Trained, fit, growth
from experiments.training.hooks import Hooks, Stopped
from experiments.training.spec import TrainingSpec
from mlportal.lib import modelfile
from tests.experiments.training.conftest import schema_of

Make = Callable[..., TrainingSpec]
PAIRS = [(entry.name, task) for task in catalogue.TASKS for entry in catalogue.algorithms(task)]
SMALL = {"n_estimators": 20, "max_iter": 20, "n_neighbors": 3}


def train(spec: TrainingSpec, frame: pd.DataFrame, **hooks: Any) -> Trained:
    return fit(spec, frame, schema_of(frame), hooks=Hooks(**hooks))


def small(algorithm: str, task: str) -> dict[str, int]:
    known = catalogue.parameters(algorithm, task)
    slow = algorithm in ("random_forest", "extra_trees", "hist_gradient_boosting", "k_neighbors")
    return {name: value for name, value in SMALL.items() if slow and name in known}


@pytest.mark.slow
def test_ridge_equals_scikit_learn(spec_for: Make, diabetes: pd.DataFrame) -> None:
    spec = spec_for(diabetes, task="regression", target="progress", algorithm="ridge", seed=3)
    trained = train(spec, diabetes)
    x, y = diabetes.drop(columns="progress"), diabetes["progress"].to_numpy()
    x_in, x_out, y_in, y_out = train_test_split(x, y, test_size=0.2, random_state=3)
    oracle = make_pipeline(StandardScaler(), Ridge(random_state=3)).fit(x_in, y_in)
    expected = oracle.predict(x_out)
    assert trained.predicted == pytest.approx(expected, rel=1e-9)
    assert trained.metrics["rmse"] == pytest.approx(np.sqrt(np.mean((y_out - expected) ** 2)))
    assert trained.metrics["r2"] == pytest.approx(oracle.score(x_out, y_out))


@pytest.mark.slow
def test_iris_has_the_known_accuracy(spec_for: Make, iris: pd.DataFrame) -> None:
    spec = spec_for(iris, task="classification", target="species", algorithm="logistic_regression", seed=1)
    assert train(spec, iris).metrics["accuracy"] == pytest.approx(29 / 30)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random_forest", "hist_gradient_boosting"])
def test_growing_in_steps_equals_one_fit(spec_for: Make, cancer: pd.DataFrame, kind: str) -> None:
    grown_by = catalogue.ALGORITHMS[kind].grown_by
    spec = spec_for(
        cancer, task="classification", target="benign", algorithm=kind, seed=5, hyper_parameters={grown_by: 30}
    )
    trained = train(spec, cancer)
    makers: dict[str, Any] = {
        "random_forest": RandomForestClassifier(n_estimators=30, random_state=5),
        "hist_gradient_boosting": HistGradientBoostingClassifier(max_iter=30, random_state=5, early_stopping=False),
    }
    rows = trained.features.iloc[trained.parts.train]
    oracle = makers[kind].fit(rows.to_numpy(), trained.target[trained.parts.train])
    expected = oracle.predict_proba(trained.held_out.to_numpy())
    assert trained.probability == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_folds_equal_scikit_learn(spec_for: Make, iris: pd.DataFrame) -> None:
    spec = spec_for(
        iris, task="classification", target="species", algorithm="k_neighbors", folds=4, seed=2, test_share=0.2
    )
    seen: list[tuple[str, float, int]] = []
    trained = train(spec, iris, on_metric=lambda *row: seen.append(row))
    rows, target = trained.features.iloc[trained.parts.train], trained.target[trained.parts.train]
    from sklearn.neighbors import KNeighborsClassifier

    expected = cross_val_score(
        make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="brute")),
        rows,
        target,
        cv=StratifiedKFold(4, shuffle=True, random_state=2),
        scoring="accuracy",
    )
    assert trained.folds["accuracy"] == pytest.approx(expected)
    by_fold = [(value, step) for key, value, step in seen if key == "cv/accuracy"]
    assert by_fold == [(value, number + 1) for number, value in enumerate(trained.folds["accuracy"])]
    means = [value for key, value, _ in seen if key == "cv_mean/accuracy"]
    assert means == [pytest.approx(expected.mean())]


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "task"), PAIRS)
def test_each_algorithm_learns_every_kind_of_column(
    spec_for: Make, mixed: pd.DataFrame, algorithm: str, task: str, tmp_path: Path
) -> None:
    target = "left" if task == "classification" else "count"
    spec = spec_for(mixed, task=task, target=target, algorithm=algorithm, hyper_parameters=small(algorithm, task))
    trained = train(spec, mixed)
    output.write(trained, schema_of(mixed), tmp_path)
    again = modelfile.load(tmp_path / "model" / "model.skops")
    strangers = pd.DataFrame([dict.fromkeys(trained.columns.all)] * 2)
    strangers.loc[1] = [1.5 if name in ("amount", "count") else None for name in trained.columns.all]
    assert len(again.predict(strangers.assign(plan="never seen"))) == 2
    assert set(trained.metrics) == set(catalogue.TASK_METRICS[task])


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "task"), PAIRS)
def test_same_seed_same_answers(spec_for: Make, mixed: pd.DataFrame, algorithm: str, task: str) -> None:
    target = "left" if task == "classification" else "count"
    spec = spec_for(
        mixed, task=task, target=target, algorithm=algorithm, seed=11, hyper_parameters=small(algorithm, task)
    )
    first, second = train(spec, mixed), train(spec, mixed)
    assert np.array_equal(first.predicted, second.predicted)
    assert first.metrics == second.metrics
    assert first.reports == second.reports


@pytest.mark.slow
def test_other_seed_other_split(spec_for: Make, iris: pd.DataFrame) -> None:
    base = {"task": "classification", "target": "species", "algorithm": "dummy"}
    one, two = (train(spec_for(iris, **base, seed=seed), iris) for seed in (1, 2))
    assert not np.array_equal(one.parts.test, two.parts.test)


@pytest.mark.slow
def test_stratified_split_keeps_the_shares(spec_for: Make, iris: pd.DataFrame) -> None:
    spec = spec_for(iris, task="classification", target="species", algorithm="dummy", test_share=0.3)
    trained = train(spec, iris)
    _, counts = np.unique(trained.target[trained.parts.test], return_counts=True)
    assert counts.tolist() == [15, 15, 15]


@pytest.mark.slow
def test_progress_goes_through_the_phases(spec_for: Make, cancer: pd.DataFrame) -> None:
    spec = spec_for(
        cancer,
        task="classification",
        target="benign",
        algorithm="random_forest",
        folds=2,
        hyper_parameters={"n_estimators": 20},
    )
    seen: list[tuple[str, float]] = []
    train(spec, cancer, on_progress=lambda phase, share: seen.append((phase, share)))
    assert list(dict.fromkeys(phase for phase, _ in seen)) == ["prepare", "cross_validate", "train", "evaluate"]
    for phase in ("cross_validate", "train", "evaluate"):
        shares = [share for name, share in seen if name == phase]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


@pytest.mark.slow
def test_curve_has_a_point_each_step(spec_for: Make, cancer: pd.DataFrame) -> None:
    spec = spec_for(
        cancer,
        task="classification",
        target="benign",
        algorithm="hist_gradient_boosting",
        hyper_parameters={"max_iter": 40},
    )
    steps = []
    train(spec, cancer, on_metric=lambda key, value, step: steps.append(step) if key == "train/log_loss" else None)
    assert steps == list(range(2, 41, 2))


@pytest.mark.parametrize(("total", "sizes"), [(1, [1]), (3, [1, 2, 3]), (40, list(range(2, 41, 2)))])
def test_growth_ends_with_the_total(total: int, sizes: list[int]) -> None:
    assert growth(total) == sizes


@pytest.mark.slow
def test_early_stopping_ends_before_the_limit(spec_for: Make, cancer: pd.DataFrame) -> None:
    spec = spec_for(
        cancer,
        task="classification",
        target="benign",
        algorithm="hist_gradient_boosting",
        hyper_parameters={"max_iter": 500, "early_stopping": True},
    )
    assert train(spec, cancer).model[-1].n_iter_ < 500


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_stop_is_heard(spec_for: Make, cancer: pd.DataFrame, after: int) -> None:
    spec = spec_for(cancer, task="classification", target="benign", algorithm="random_forest", folds=2)
    asked = iter([False] * after)
    with pytest.raises(Stopped):
        train(spec, cancer, should_stop=lambda: next(asked, True))


@pytest.mark.slow
def test_labels_keep_their_type(spec_for: Make, cancer: pd.DataFrame) -> None:
    flags = cancer.assign(benign=cancer["benign"].astype(bool))
    spec = spec_for(flags, task="classification", target="benign", algorithm="dummy")
    trained = train(spec, flags)
    assert trained.model.classes_.tolist() == [False, True]
    assert output.signature(trained, schema_of(flags))["outputs"] == [
        {"name": "prediction", "kind": "boolean"},
        {"name": "probability", "classes": [False, True]},
    ]


@pytest.mark.slow
def test_files_of_a_classification(spec_for: Make, mixed: pd.DataFrame, tmp_path: Path) -> None:
    spec = spec_for(mixed, task="classification", target="left", algorithm="logistic_regression", folds=2)
    trained = train(spec, mixed)
    files = output.write(trained, schema_of(mixed), tmp_path)
    assert sorted(file.path for file in files) == [
        "calibration.json",
        "confusion_matrix.json",
        "importance.json",
        "metrics.json",
        "model/environment.json",
        "model/example.json",
        "model/model.skops",
        "model/reference.parquet",
        "model/signature.json",
        "precision_recall.json",
        "roc.json",
    ]
    said = json.loads((tmp_path / "model/signature.json").read_text())
    assert [(column["name"], column["kind"]) for column in said["inputs"]] == [
        ("amount", "numeric"),
        ("count", "integer"),
        ("vip", "boolean"),
        ("plan", "categorical"),
        ("since", "datetime"),
    ]
    assert said["inputs"][3]["categories"] == ["basic", "plus", "pro"]
    assert said["outputs"][1] == {"name": "probability", "classes": ["no", "yes"]}
    reference = pd.read_parquet(tmp_path / "model/reference.parquet")
    assert list(reference) == ["amount", "count", "vip", "plan", "since", "__target__", "__prediction__", "__score__"]
    assert len(reference) == 24
    assert reference["__score__"].to_numpy() == pytest.approx(trained.probability[:, 1])
    assert len(json.loads((tmp_path / "model/example.json").read_text())) == 3
    assert json.loads((tmp_path / "metrics.json").read_text())["rows"] == {"train": 96, "test": 24}


@pytest.mark.slow
def test_example_records_predict(spec_for: Make, mixed: pd.DataFrame, tmp_path: Path) -> None:
    spec = spec_for(mixed, task="classification", target="left", algorithm="logistic_regression")
    trained = train(spec, mixed)
    output.write(trained, schema_of(mixed), tmp_path)
    records = json.loads((tmp_path / "model/example.json").read_text())
    model = modelfile.load(tmp_path / "model/model.skops")
    assert model.predict(pd.DataFrame(records)).tolist() == trained.predicted[:3].tolist()


@pytest.mark.slow
def test_files_of_a_regression(spec_for: Make, diabetes: pd.DataFrame, tmp_path: Path) -> None:
    spec = spec_for(diabetes, task="regression", target="progress", algorithm="ridge")
    files = output.write(train(spec, diabetes), schema_of(diabetes), tmp_path)
    reports = sorted(file.path for file in files if file.kind == "report")
    assert reports == ["importance.json", "metrics.json", "residuals.json"]
