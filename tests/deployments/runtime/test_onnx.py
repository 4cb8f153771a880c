"""The estimator as ONNX: converted, gated, chosen only where it pays."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from deployments.runtime import conversion, exact
from deployments.runtime.signature import parse
from tests.deployments.runtime import recipes

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the converter warns of its own doings
TRAIN = recipes.rows(400)
LABELS = recipes.labels(TRAIN)
FRESH = recipes.columns(recipes.rows(300, seed=8))
NUMBERS = parse({**recipes.DOCUMENT, "task": "regression", "outputs": [{"name": "prediction", "kind": "numeric"}]})


def fitted(estimator, *, ordinal=False):
    return recipes.pipeline(estimator, ordinal=ordinal).fit(TRAIN, LABELS)


@pytest.mark.parametrize(
    ("estimator", "ordinal"),
    [
        (LogisticRegression(max_iter=300), False),
        (RandomForestClassifier(20, max_depth=6, random_state=0), False),
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), True),
    ],
)
def test_classifiers_pass_on_a_thousand_rows_with_nulls_and_unseen_categories(estimator, ordinal, tmp_path):
    model = fitted(estimator, ordinal=ordinal)
    graph, parity = conversion.convert(model, recipes.SIGNATURE, FRESH)
    assert (parity.passed, parity.labels_changed, parity.rows_mixed) == (True, 0, 700)
    assert parity.rows == 1000 + 2 * exact.CHALLENGES
    assert parity.max_difference < 1e-5
    assert parity.size_bytes == len(graph) > 500
    (tmp_path / "graph.onnx").write_bytes(graph)
    choice = exact.choose(model, recipes.SIGNATURE, FRESH, graph=tmp_path / "graph.onnx")
    assert choice.backend.name == ("exact" if isinstance(estimator, LogisticRegression) else "onnx")


def test_regressor_is_compared_relative_to_its_numbers():
    model = recipes.pipeline(RandomForestRegressor(20, max_depth=6, random_state=0)).fit(TRAIN, TRAIN["visits"])
    _, parity = conversion.convert(model, NUMBERS, FRESH)
    assert (parity.passed, parity.labels_changed) == (True, 0)
    assert parity.max_difference < 1e-5


def test_a_difference_over_the_limit_and_a_changed_label_do_not_pass():
    from deployments.runtime.backends import Answer

    plain = Answer(["no"], [[0.9, 0.1]], [0.1])
    assert conversion._compared([(replace(plain, probabilities=[[0.8, 0.2]]), plain)]) == (pytest.approx(0.1), 0)
    assert conversion._compared([(replace(plain, labels=["yes"]), plain)])[1] == 1
    assert conversion._words(0.1, 0) == "An answer moves by 0.1, more than 0.0001."
    assert conversion._words(0.1, 2) == "2 labels change."


def test_what_has_no_compiled_encoder_is_told():
    graph, parity = conversion.convert(LogisticRegression(), recipes.SIGNATURE, FRESH)
    assert (graph, parity.passed, parity.reason) == (b"", False, "It is not a column transformer and an estimator.")


def test_running_a_graph_tells_nobody(tmp_path):
    """Where onnxruntime would send reports it first keeps an id and a queue in the user's folder."""
    graph, _ = conversion.convert(fitted(LogisticRegression(max_iter=300)), recipes.SIGNATURE, FRESH)
    (tmp_path / "graph.onnx").write_bytes(graph)
    home = tmp_path / "home"
    home.mkdir()
    script = "import sys; from deployments.runtime.onnx import OnnxBackend as Backend; "
    script += "Backend(None, open(sys.argv[1], 'rb').read(), [])"
    # nothing of the environment of this run: onnxruntime is silent by itself where it sees a build server
    bare = {"HOME": str(home), "PYTHONPATH": str(Path(conversion.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "graph.onnx")], env=bare, check=True)
    assert list(home.rglob("*")) == []
