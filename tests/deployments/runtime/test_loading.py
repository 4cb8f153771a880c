"""A version's files: checked, loaded, tried, or refused with the reason."""

import json

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from deployments.runtime import loading
from mlportal.lib import modelfile
from mlportal.lib.errors import DomainError
from tests.deployments.runtime import recipes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Artifacts as the trainer writes them."""
    folder = tmp_path_factory.mktemp("version")
    train = recipes.rows(400)
    model = recipes.pipeline(LogisticRegression(max_iter=500)).fit(train, recipes.labels(train))
    modelfile.dump(model, folder / "model.skops")
    held_out = recipes.rows(200, seed=5)
    probability = model.predict_proba(held_out)
    best = model.classes_[probability.argmax(axis=1)]
    noted = held_out.assign(__target__=best, __prediction__=best, __score__=probability[:, -1])
    noted.to_parquet(folder / "reference.parquet", index=False)
    (folder / "example.json").write_text(json.dumps(recipes.records(held_out.head(3))))
    return {f"model/{path.name}": path for path in folder.iterdir()}


def manifest(files):
    return [
        {"path": name, "sha256": loading.digest(path), "size_bytes": path.stat().st_size}
        for name, path in files.items()
    ]


def refused(files, document=recipes.DOCUMENT):
    with pytest.raises(DomainError) as caught:
        loading.load(files, document, modelfile.load)
    return caught.value.code


def changed(files, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return {**files, f"model/{name}": path}


def test_version_loads_and_answers_its_examples(files):
    runtime = loading.load(files, recipes.DOCUMENT, modelfile.load)
    example = json.loads(files["model/example.json"].read_text())
    assert (runtime.backend.name, runtime.rows_checked, runtime.inline) == ("exact", 200, True)
    assert (
        runtime.predict(example).labels
        == pd.read_parquet(files["model/reference.parquet"])["__prediction__"].tolist()[:3]
    )
    assert runtime.size_bytes == (4 << 20) + 2 * files["model/model.skops"].stat().st_size


def test_manifest_is_checked_file_by_file(files, tmp_path):
    entries = manifest(files)
    loading.verify(files, entries)
    broken = changed(files, tmp_path, "model.skops", files["model/model.skops"].read_bytes()[:-1] + b"x")
    for wrong, code in [
        (broken, "artifact_changed"),
        ({**files, "model/model.skops": tmp_path / "none"}, "artifact_missing"),
    ]:
        with pytest.raises(loading.VersionRefused) as caught:
            loading.verify(wrong, entries)
        assert caught.value.code == code
    with pytest.raises(loading.VersionRefused) as caught:
        loading.verify(files, [])
    assert caught.value.code == "manifest_missing"


def test_bad_artifacts_are_refused(files, tmp_path):
    assert refused(changed(files, tmp_path, "model.skops", b"PK not a model")) == "model_refused"
    assert refused(changed(files, tmp_path, "reference.parquet", b"PAR1")) == "model_unusable"
    assert refused(changed(files, tmp_path, "example.json", b"{")) == "model_unusable"
    assert refused(changed(files, tmp_path, "example.json", b'[{"age": 1}]')) == "column_missing"
    assert refused({"model/model.skops": files["model/model.skops"]}) == "no_examples"
    assert refused({"model/example.json": files["model/example.json"]}) == "artifact_missing"
    assert refused(files, {"task": "classification"}) == "signature_invalid"


def test_model_that_answers_otherwise_than_in_training_is_refused(files, tmp_path):
    noted = pd.read_parquet(files["model/reference.parquet"])
    noted.loc[:20, "__prediction__"] = "neither"
    noted.to_parquet(tmp_path / "reference.parquet", index=False)
    assert refused({**files, "model/reference.parquet": tmp_path / "reference.parquet"}) == "reference_mismatch"


def test_signature_that_does_not_fit_the_model_is_refused(files):
    inputs = [{**entry, "name": "years"} if entry["name"] == "age" else entry for entry in recipes.DOCUMENT["inputs"]]
    assert refused(files, {**recipes.DOCUMENT, "inputs": inputs}) == "column_missing"
    without = {name: path for name, path in files.items() if not name.endswith("example.json")}
    assert refused(without, {**recipes.DOCUMENT, "inputs": inputs}) == "model_unusable"
