"""The engine of batch scorings: chunks, rows without an answer, what is put together."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from deployments.runtime import fit, scoring, sifting
from mlportal.lib import modelfile
from mlportal.lib.errors import Unprocessable
from tests.deployments.runtime import recipes
from tests.factories.batches import people
from tests.serve.harness import write_artifacts


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return {path: str(local) for path, local in write_artifacts(tmp_path_factory.mktemp("model")).items()}


def asked(files, frame, folder, **extra):
    path = folder / "data.parquet"
    frame.to_parquet(path, index=False, row_group_size=13)
    return {
        "files": files, "signature": recipes.DOCUMENT, "path": str(path), "rows": len(frame), "keep": ["key"],
        "chunk_rows": 25, "most_refused": 0, "done": [], **extra,
    }  # fmt: skip


def expected(files, frame):
    model = modelfile.load(files["model/model.skops"])
    return model.predict_proba(frame[list(recipes.SIGNATURE.names)].astype({"member": float}))


def reports(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("chunk-*.json"))]


def test_chunks_come_in_order_and_the_result_has_the_pipelines_own_bits(files, tmp_path):
    frame = people(60)
    answer = scoring.run(asked(files, frame, tmp_path), tmp_path)
    table = pq.read_table(tmp_path / scoring.RESULT)
    assert table.column_names == ["key", "prediction", "probability_no", "probability_yes"]
    assert [(row["number"], row["rows"]) for row in reports(tmp_path)] == [(0, 25), (1, 25), (2, 10)]
    assert table.column("key").to_pylist() == frame["key"].tolist()
    shares = expected(files, frame)
    assert np.array_equal(table.column("probability_yes").to_numpy(), shares[:, 1])
    spread = answer["distribution"]
    assert sum(spread["score"]["counts"]) == 60
    assert spread["score"]["mean"] == pytest.approx(shares[:, 1].mean())
    assert {row["value"]: row["count"] for row in spread["labels"]} == {
        "no": int((shares[:, 1] <= 0.5).sum()), "yes": int((shares[:, 1] > 0.5).sum()),
    }  # fmt: skip


def test_a_second_attempt_scores_only_what_is_missing(files, tmp_path):
    frame = people(60)
    first, again = tmp_path / "first", tmp_path / "again"
    first.mkdir()
    again.mkdir()
    scoring.run(asked(files, frame, first), first)
    done = [{"path": str(first / scoring.chunk_name(number)), "rows": 25, "refused": 0} for number in (0, 1)]
    scoring.run(asked(files, frame, again, done=done), again)
    assert [row["number"] for row in reports(again)] == [2]
    assert (first / scoring.RESULT).read_bytes() == (again / scoring.RESULT).read_bytes()


def test_rows_that_do_not_fit_are_named_and_the_others_answered(files, tmp_path):
    frame = people(60)
    frame["visits"] = frame["visits"].astype("float64")
    frame.loc[30, "visits"] = 2.5
    frame.loc[[3, 50], "visits"] = np.nan
    scoring.run(asked(files, frame, tmp_path, most_refused=3), tmp_path)
    faults = [error for report in reports(tmp_path) for error in report["errors"]]
    assert [(error["row"], error["column"]) for error in faults] == [(4, "visits"), (31, "visits"), (51, "visits")]
    assert faults[0]["message"] == "is missing, and the model needs it"
    table = pq.read_table(tmp_path / scoring.RESULT).to_pandas()
    assert table["prediction"].isna().sum() == 3
    assert table.loc[30, "scoring_error"] == "column visits does not fit"


def test_too_many_rows_without_an_answer_end_it_with_their_places(files, tmp_path):
    frame = people(60)
    frame.loc[[3, 9], "visits"] = np.nan
    with pytest.raises(Unprocessable, match=r"2 of the first 25 rows.*row 4, column visits; row 10, column visits"):
        scoring.run(asked(files, frame, tmp_path, most_refused=1), tmp_path)
    assert [row["number"] for row in reports(tmp_path)] == [0]


def test_a_row_the_model_fails_on_is_found_among_the_others():
    from deployments.runtime.backends import Answer, ModelFailed

    class Fails:
        name, batched = "fails", False

        def predict(self, columns):
            if 13 in columns[0]:
                raise ModelFailed("no", code="answer_not_finite")
            return Answer(list(columns[0]), None, list(columns[0]))

    signature = recipes.signatures.parse(
        {"task": "regression", "target": "y", "inputs": [{"name": "a", "kind": "integer"}], "outputs": []}
    )
    out = sifting.score(Fails(), [list(range(20))], signature, first_row=101)
    assert list(out.faults) == [13]
    assert out.faults[13].plain() == {"row": 114, "column": "", "message": "the model gave no finite number"}
    assert out.labels == [*range(13), None, *range(14, 20)]


@pytest.mark.parametrize(
    ("dtype", "found"),
    [("int64", "numbers"), ("double", "numbers"), ("timestamp[us]", "dates"), ("bool", "true or false"),
     ("large_string", "text"), ("list<item: int64>", "")],
)  # fmt: skip
def test_what_a_stored_type_holds(dtype, found):
    assert fit.holds(dtype) == found


def test_scores_of_one_number_have_a_histogram_too():
    from deployments.runtime.distribution import Distribution

    table = __import__("pyarrow").Table.from_pandas(pd.DataFrame({"prediction": [2.0, 2.0]}))
    spread = Distribution("prediction", bounds=None, count_labels=False)
    spread.look(table)
    spread.count(table)
    found = spread.plain()["score"]
    assert (sum(found["counts"]), found["edges"][0], found["edges"][-1]) == (2, 1.5, 2.5)
