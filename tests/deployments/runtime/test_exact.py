"""The compiled form against scikit-learn itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC, LinearSVR

from deployments.runtime import exact
from deployments.runtime import signature as signatures
from deployments.runtime.backends import PipelineBackend
from deployments.runtime.frames import frame
from deployments.runtime.on_arrays import ArrayBackend
from experiments.training.dates import DateParts
from tests.deployments.runtime import recipes

TRAIN = recipes.rows(600)
TARGET = recipes.labels(TRAIN)
REFERENCE = recipes.columns(recipes.rows(300, seed=7))

CLASSIFIERS = {
    "logistic": (LogisticRegression(max_iter=500), False),
    "forest": (RandomForestClassifier(n_estimators=15, random_state=0), False),
    "extra": (ExtraTreesClassifier(n_estimators=15, random_state=0), False),
    "boosting": (HistGradientBoostingClassifier(max_iter=15, random_state=0), True),
    "neighbours": (KNeighborsClassifier(algorithm="brute"), False),
    "svm": (CalibratedClassifierCV(LinearSVC(dual="auto", random_state=0), cv=3, ensemble=False), False),
    "baseline": (DummyClassifier(strategy="prior"), False),
}


def oracle(model, columns):
    """What scikit-learn answers for the frame of these columns."""
    rows = frame(columns, recipes.SIGNATURE)
    probabilities = model.predict_proba(rows)
    return model.classes_[probabilities.argmax(axis=1)].tolist(), probabilities.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_exact_backend_gives_the_bits_of_the_pipeline(name):
    estimator, ordinal = CLASSIFIERS[name]
    model = recipes.pipeline(estimator, ordinal=ordinal).fit(TRAIN, TARGET)
    choice = exact.choose(model, recipes.SIGNATURE, REFERENCE)
    assert (choice.backend.name, choice.rows_checked) == ("exact", 300)
    fresh = recipes.columns(recipes.rows(500, seed=99))
    for challenge in (fresh, *exact.challenges(fresh, recipes.SIGNATURE)):
        answer = choice.backend.predict(challenge)
        assert (answer.labels, answer.probabilities) == oracle(model, challenge)
        assert answer.scores == [row[-1] for row in answer.probabilities]


@pytest.mark.parametrize("name", ["logistic", "three classes", "dense"])
def test_linear_models_run_bare_and_give_the_same_bits_for_any_number_of_rows(name):
    estimator = LogisticRegression(max_iter=500, fit_intercept=name != "dense")
    target = np.where(TRAIN["visits"] > 6, "often", TARGET) if name == "three classes" else TARGET
    model = recipes.pipeline(estimator, ordinal=name == "dense").fit(TRAIN, target)
    backend = exact.choose(model, recipes.SIGNATURE, REFERENCE).backend
    assert type(backend.estimator).__name__ == "LinearClassifier"
    fresh = recipes.columns(recipes.rows(130, seed=98))
    for count in (1, 2, 63, 64, 65, 130):
        part = [values[:count] for values in fresh]
        answer = backend.predict(part)
        assert (answer.labels, answer.probabilities) == oracle(model, part)


@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(),
        LinearSVR(dual="auto", loss="squared_epsilon_insensitive"),
        RandomForestRegressor(n_estimators=10, random_state=0),
    ],
)
def test_exact_backend_predicts_numbers(estimator):
    target = TRAIN["visits"] * 2.5 + (TARGET == "yes")
    model = recipes.pipeline(estimator).fit(TRAIN, target)
    choice = exact.choose(model, recipes.SIGNATURE, REFERENCE)
    answer = choice.backend.predict(REFERENCE)
    assert choice.backend.name == "exact"
    assert answer.labels == model.predict(frame(REFERENCE, recipes.SIGNATURE)).tolist()
    assert (answer.scores, answer.probabilities) == (answer.labels, None)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_exact_backend_compiles_other_scalers():
    prepare = ColumnTransformer(
        [
            ("low", make_pipeline(MinMaxScaler(clip=True)), ["visits"]),
            ("robust", RobustScaler(), ["visits"]),
            ("as is", "passthrough", ["visits"]),
            ("identity", FunctionTransformer(), ["visits"]),
            ("city", OneHotEncoder(handle_unknown="ignore", sparse_output=False, drop="first"), ["city"]),
            ("gone", "drop", ["age", "member", "plan"]),
        ]
    )
    model = Pipeline([("prepare", prepare), ("model", Ridge())]).fit(TRAIN, TRAIN["visits"])
    choice = exact.choose(model, recipes.SIGNATURE, REFERENCE)
    assert choice.backend.name == "exact"
    assert choice.backend.predict(REFERENCE).labels == model.predict(frame(REFERENCE, recipes.SIGNATURE)).tolist()


DATED = signatures.parse(
    {
        "task": "regression",
        "target": "y",
        "inputs": [
            {"name": "joined", "kind": "datetime", "nullable": True},
            {"name": "seen", "kind": "datetime", "nullable": False},
        ],
        "outputs": [],
    }
)


@pytest.mark.slow
def test_dates_are_compiled_to_the_trainers_parts():
    chance = np.random.default_rng(3)
    seconds = chance.integers(-(10**9), 2 * 10**9, 400)
    texts = [str(np.datetime64(int(second), "s")) + ("Z", "", "+05:30", ".123456Z")[second % 4] for second in seconds]
    columns = [[None if row % 9 == 0 else text for row, text in enumerate(texts[:200])], texts[200:]]
    rows = frame(columns, DATED)
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    prepare = ColumnTransformer([("dates", make_pipeline(DateParts(), numbers), ["joined", "seen"])])
    model = Pipeline([("prepare", prepare), ("model", Ridge())]).fit(rows, rows["seen"].dt.year)
    choice = exact.choose(model, DATED, columns)
    assert choice.backend.name == "exact"
    assert choice.backend.predict(columns).labels == model.predict(rows).tolist()


def test_unknown_step_runs_the_pipeline_itself():
    prepare = ColumnTransformer([("power", PowerTransformer(), ["visits"])])
    model = Pipeline([("prepare", prepare), ("model", Ridge())]).fit(TRAIN, TRAIN["visits"])
    choice = exact.choose(model, recipes.SIGNATURE, REFERENCE)
    assert (choice.backend.name, choice.reason) == ("sklearn", "a preparation step has no compiled form")
    assert choice.backend.predict(REFERENCE).labels == model.predict(frame(REFERENCE, recipes.SIGNATURE)).tolist()


def preparing(*steps, **options):
    """A fitted pipeline with these steps of a column transformer."""
    prepare = ColumnTransformer([(f"step{at}", *step) for at, step in enumerate(steps)], **options)
    return Pipeline([("prepare", prepare), ("model", LogisticRegression())]).fit(TRAIN, TARGET)


POWER = (make_pipeline(SimpleImputer(), PowerTransformer()), ["age", "visits"])  # has no compiled form
WORDS = (OneHotEncoder(handle_unknown="ignore"), ["city", "plan"])


@pytest.mark.parametrize("options", [{}, {"sparse_threshold": 0.0}, {"sparse_threshold": 1.0}], ids=str)
@pytest.mark.filterwarnings("error:.*feature names")
def test_steps_of_the_library_run_on_arrays_with_the_same_bits(options):
    model = preparing(POWER, (StandardScaler(), ["visits"]), WORDS, **options)
    backend = exact.choose(model, recipes.SIGNATURE, REFERENCE).backend
    assert (type(backend), backend.name) == (ArrayBackend, "sklearn")
    assert backend.is_sparse == model.named_steps["prepare"].sparse_output_
    fresh = recipes.columns(recipes.rows(60, seed=5))
    for rows in (fresh, [values[:1] for values in fresh], *exact.challenges(fresh, recipes.SIGNATURE)):
        assert backend.predict(rows).probabilities == oracle(model, rows)[1]
    assert list(model.named_steps["prepare"].transformers_[1][1].feature_names_in_) == ["visits"]  # the copy has none


@pytest.mark.parametrize(
    "model",
    [
        preparing(POWER, (FunctionTransformer(lambda frame: frame[["visits"]] * 2), ["visits"])),
        preparing(
            POWER, (FunctionTransformer(lambda rows: getattr(rows, "columns", rows).size + 0 * rows), ["visits"])
        ),
        preparing(POWER, WORDS, transformer_weights={"step0": 2.0}),
        preparing(POWER, (TfidfVectorizer(), "plan")),
        preparing(POWER, (FunctionTransformer(lambda rows: rows.iloc[:, [0]]), ["visits", "city"])),
        make_pipeline(SimpleImputer(), LogisticRegression()).fit(TRAIN[["age", "visits", "member"]], TARGET),
    ],
    ids=["wants a frame", "tells the two apart", "weights", "a single text", "two kinds", "no column transformer"],
)
def test_what_wants_more_than_an_array_gets_its_frame(model):
    signature = recipes.SIGNATURE
    reference = REFERENCE
    if "prepare" not in model.named_steps:
        signature = signatures.parse({**recipes.DOCUMENT, "inputs": recipes.DOCUMENT["inputs"][:3]})
        reference = REFERENCE[:3]
    assert type(exact.choose(model, signature, reference).backend) is PipelineBackend


def test_compiled_form_that_differs_is_not_used():
    model = recipes.pipeline(LogisticRegression(max_iter=500)).fit(TRAIN, TARGET)
    scaler = model.named_steps["prepare"].named_transformers_["numbers"].steps[-1][1]
    scaler.transform = lambda values: (values - scaler.mean_) / scaler.scale_ + 1e-12
    choice = exact.choose(model, recipes.SIGNATURE, REFERENCE)
    assert choice.backend.name == "sklearn"
    assert choice.reason == "the compiled form differs from the pipeline on reference rows"


def test_slow_backend_is_batched_when_rows_are_nearly_free():
    times = iter([0.0, 0.010] * 6)  # 32 rows take as long as one
    model = recipes.pipeline(LogisticRegression(max_iter=500)).fit(TRAIN, TARGET)
    backend = PipelineBackend(model, recipes.SIGNATURE)
    assert exact.batching_pays(backend, REFERENCE, lambda: next(times)) is True
    dear = iter([0.0, 0.040] * 3 + [0.0, 0.010] * 3)
    assert exact.batching_pays(backend, REFERENCE, lambda: next(dear)) is False


BOUNDED = st.floats(-1e6, 1e6, allow_nan=False)
RECORD = st.tuples(
    st.none() | BOUNDED,
    st.integers(-(10**6), 10**6),
    st.none() | st.booleans(),
    st.none() | st.sampled_from(recipes.CITIES) | st.text(max_size=5),
    st.sampled_from(recipes.PLANS) | st.text(max_size=5),
)
LOGISTIC = recipes.pipeline(LogisticRegression(max_iter=500)).fit(TRAIN, TARGET)
COMPILED = exact.choose(LOGISTIC, recipes.SIGNATURE, REFERENCE).backend


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORD, min_size=1, max_size=8))
def test_any_record_gets_the_pipelines_probabilities(sent):
    columns = [list(values) for values in zip(*sent, strict=True)]
    assert COMPILED.name == "exact"
    assert (COMPILED.predict(columns).labels, COMPILED.predict(columns).probabilities) == oracle(LOGISTIC, columns)


def test_answer_that_is_no_number_is_refused():
    from deployments.runtime.backends import ModelFailed

    model = recipes.pipeline(Ridge()).fit(TRAIN, TRAIN["visits"])
    model.named_steps["model"].coef_ = np.full_like(model.named_steps["model"].coef_, np.nan)
    backend = PipelineBackend(model, recipes.SIGNATURE)
    with pytest.raises(ModelFailed) as caught:
        backend.predict(REFERENCE)
    assert (caught.value.code, caught.value.got) == ("answer_not_finite", 0)
