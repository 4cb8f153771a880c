"""Numbers of a profile: from Fisher's and Anscombe's published tables, and against pandas and numpy."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from projects.tabular import export, preview, records, samples
from projects.tabular.limits import Limits
from projects.tabular.moments import BINS, bin_edges
from projects.tabular.profile import Stopped, profile_file
from tests.projects.tabular.reading import copy_of, kinds, parquet, profile

SHARES = {"0.01": 0.01, "0.25": 0.25, "0.5": 0.5, "0.75": 0.75, "0.99": 0.99}


def test_anscombe_quartet_has_the_published_moments(tmp_path):
    # Anscombe, "Graphs in Statistical Analysis" (1973), datasets I and IV
    x4 = [8] * 7 + [19] + [8] * 3
    y4 = [6.58, 5.76, 7.71, 8.84, 8.47, 7.04, 5.25, 12.50, 5.56, 7.91, 6.89]
    y1 = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    rows = [f"{a},{b},{c}" for a, b, c in zip(x4, y4, y1, strict=True)]
    report = profile(tmp_path, "\n".join(["x4,y4,y1", *rows]).encode())
    found = report.columns
    assert (found["x4"]["mean"], round(found["x4"]["std"] ** 2, 3)) == (9.0, 11.0)
    assert [round(found[name]["mean"], 2) for name in ("y1", "y4")] == [7.5, 7.5]
    assert [round(found[name]["std"] ** 2, 2) for name in ("y1", "y4")] == [4.13, 4.12]
    assert (found["x4"]["distinct"], found["x4"]["min"], found["x4"]["max"]) == (2, 8, 19)


def test_iris_has_the_published_means(tmp_path):
    # scikit-learn's description of the data: mean and standard deviation of each measurement
    target = tmp_path / "iris.csv"
    samples.build("iris", target)
    report = profile(tmp_path, target.read_bytes())
    found = [(round(report.columns[name]["mean"], 2), round(report.columns[name]["std"], 2)) for name in report.columns
             if name != "species"]  # fmt: skip
    assert found == [(5.84, 0.83), (3.06, 0.44), (3.76, 1.77), (1.2, 0.76)]
    assert report.columns["species"]["top"] == [
        {"value": "setosa", "count": 50}, {"value": "versicolor", "count": 50}, {"value": "virginica", "count": 50},
    ]  # fmt: skip


@pytest.mark.slow
def test_profile_agrees_with_pandas(tmp_path):
    chance = np.random.default_rng(11)
    rows = 70_000
    frame = pd.DataFrame(
        {
            "skewed": chance.lognormal(3, 1, rows),
            "far": chance.normal(1e9, 1e-3, rows),
            "whole": chance.integers(-50, 50, rows),
            "word": chance.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
        }
    )
    frame.loc[chance.random(rows) < 0.1, "skewed"] = np.nan
    report = profile(tmp_path, frame.to_csv(index=False).encode())
    for name in ("skewed", "far", "whole"):
        found, column = report.columns[name], frame[name]
        assert found["nulls"] == column.isna().sum()
        assert found["distinct"] == column.nunique()
        assert found["mean"] == pytest.approx(column.mean(), rel=1e-12)
        assert found["std"] == pytest.approx(column.std(), rel=1e-6)
        assert (found["min"], found["max"]) == (column.min(), column.max())
        for label, share in SHARES.items():
            assert found["quantiles"][label] == pytest.approx(column.quantile(share), rel=1e-12)
        counts, edges = np.histogram(column.dropna(), bins=BINS)
        assert found["histogram"]["edges"] == pytest.approx(edges.tolist(), rel=1e-15)
        assert found["histogram"]["counts"] == counts.tolist()
    top = [(entry["value"], entry["count"]) for entry in report.columns["word"]["top"]]
    assert top == list(frame["word"].value_counts().items())


def test_typed_copy_agrees_with_pandas(tmp_path):
    frame = pd.DataFrame({"n": [1, 2, 3], "x": [0.1, -2.5e-7, 3e200], "s": ['a,"b"', "line\nend", "é"]})
    profile(tmp_path, frame.to_csv(index=False).encode())
    pd.testing.assert_frame_equal(copy_of(tmp_path).to_pandas(), frame, check_dtype=False)


def test_estimates_are_near_and_told(tmp_path):
    values = pa.table({"n": np.arange(100_000) % 5_000})
    report = profile(tmp_path, parquet(values), limits=Limits(exact_rows=10))
    assert report.facts["exact"] is False
    assert report.facts["duplicate_rows"] is None
    assert report.columns["n"]["distinct"] == pytest.approx(5_000, rel=0.1)
    assert report.columns["n"]["quantiles"]["0.5"] == pytest.approx(2_500, rel=0.05)


def test_kinds_of_columns(tmp_path):
    rows = 60
    lines = [
        f"{n},user-{n:04},{n % 3},{'ab'[n % 2]},some longer remark number {n * 7},{n * n},2024-01-{n % 28 + 1:02}"
        for n in range(rows)
    ]
    report = profile(tmp_path, "\n".join(["row,user,grade,letter,remark,square,day", *lines]).encode())
    assert kinds(report) == {
        "row": "id", "user": "id", "grade": "integer", "letter": "categorical", "remark": "text",
        "square": "integer", "day": "datetime",
    }  # fmt: skip
    found = {(remark["code"], remark["column"]) for remark in report.warnings}
    assert found == {("id_like", "row"), ("id_like", "user")}


def test_numbers_kept_as_text_are_told_with_their_share(tmp_path):
    every = [f"{n % 1000}.5" for n in range(2000)]
    most = ["none", *every[1:]]
    report = profile(tmp_path, parquet(pa.table({"every": every, "most": most})))
    assert {
        remark["column"]: remark["message"] for remark in report.warnings if remark["code"] == "mostly_numbers"
    } == {
        "every": "Every value is a number, but the column is text: cast it where it comes from.",
        "most": "99.9% of the values are numbers, the others are text.",
    }


def test_empty_and_constant_columns_are_told(tmp_path):
    report = profile(tmp_path, b"none,same,some\n" + b",1,\n" * 59 + b",1,x\n")
    assert {(remark["code"], remark["column"]) for remark in report.warnings} == {
        ("duplicate_rows", ""), ("all_missing", "none"), ("constant", "same"), ("constant", "some"),
        ("many_missing", "some"),
    }  # fmt: skip


def test_columns_with_a_dot_are_kept_apart(tmp_path):
    report = profile(tmp_path, b"a,a.b\n1,10\n2,20\n")
    assert (report.columns["a"]["max"], report.columns["a.b"]["max"]) == (2, 20)


def test_values_at_the_edge_of_floats_have_no_deviation(tmp_path):
    report = profile(tmp_path, b"x,y\n-1.7e308,1\n1.7e308,2\n")
    assert (report.columns["x"]["std"], report.columns["x"]["histogram"]) == (None, None)


def test_stop_ends_the_work(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 1000)
    with pytest.raises(Stopped):
        profile_file(path, tmp_path / "c.parquet", should_stop=lambda: True)


def test_progress_never_goes_back_and_ends_at_one(tmp_path):
    path, said = tmp_path / "x.csv", []
    path.write_bytes(b"a,b\n" + b"1,2\n" * 20_000)
    profile_file(path, tmp_path / "c.parquet", on_progress=lambda share, _phase: said.append(share), block_bytes=4096)
    assert said == sorted(said)
    assert (said[-1], len(said) > 20) == (1.0, True)


# ---------------------------------------------------------------- properties

cells = st.text(st.sampled_from('ab1,;"\n\r 2.-'), max_size=6)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1))


def written(rows: list[list[str]], end: str = "\n") -> bytes:
    target = io.StringIO(newline="")
    csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
    return target.getvalue().encode()


@settings(deadline=None, max_examples=60)
@given(tables, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
def test_records_agree_with_the_csv_module(rows, end, size):
    content = written(rows, end)
    found, carry, at = [], b"", 0
    while at < len(content) or carry:
        carry += content[at : at + size]
        at += size
        cut = records.cut(carry, b",", at_end=at >= len(content))
        found += [carry[start:stop] for start, stop in zip(cut.starts, cut.ends, strict=True)]
        assert set(cut.fields.tolist()) <= {len(rows[0])}
        carry = carry[cut.consumed :]
    assert [next(csv.reader(io.StringIO(each.decode(), newline=""))) for each in found] == rows


@settings(deadline=None, max_examples=40)
@given(
    st.binary(max_size=200).map(lambda noise: noise.translate(bytes(b'ab,"\n\r1 '[byte % 8] for byte in range(256))))
)
@example(b'a,b\n5" x,1\n"q",2\n')
def test_both_scanners_agree(buffer):
    data = np.frombuffer(buffer, np.uint8)
    ends = records._terminators(buffer, data, at_end=True)
    quotes = np.flatnonzero(data == 34)
    if not len(data) or not records._at_edges(data, quotes, 44):
        return
    fast = records._fast_marks(data, quotes, ends, 44)
    exact = records._exact_marks(buffer, ends, 44, 1)
    assert fast.open_quote == exact.open_quote
    cutoff = fast.open_quote if fast.open_quote >= 0 else len(buffer)
    assert fast.terminators[fast.terminators < cutoff].tolist() == exact.terminators.tolist()
    assert fast.delimiters[fast.delimiters < cutoff].tolist() == exact.delimiters.tolist()


values = st.sampled_from(["1", "2.5", "x", "", "NA", "true", "2024-01-31", "31/01/2024", "1,5", "9" * 20, "-3"])


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=30), st.integers(1, 50))
def test_verdict_does_not_depend_on_the_chunk_size(rows, block_bytes):
    content = written([["a", "b"], *map(list, rows)])
    with tempfile.TemporaryDirectory() as folder:
        whole = profile(Path(folder), content)
        parts = profile(Path(folder), content, block_bytes=block_bytes)
    assert parts == whole


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.floats(0, 1e6))
def test_bins_hold_their_whole_range(least, width):
    edges = bin_edges(least, least + width, integer=False)
    assert edges[0] <= least
    assert edges[-1] >= least + width
    assert (np.diff(edges) > 0).all()


# ---------------------------------------------------------------- preview, export


def test_preview_reads_across_row_groups(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"n": list(range(100)), "s": ["x" * 500] * 100}), path, row_group_size=7)
    page = preview.page(path, offset=5, limit=10, columns=["s", "n"])
    assert [row[1] for row in page.rows] == list(range(5, 15))
    assert (len(page.rows[0][0]), page.total) == (200, 100)
    assert preview.page(path, offset=1000, limit=10).rows == []


def test_export_escapes_what_a_spreadsheet_would_run(tmp_path):
    path = tmp_path / "e.parquet"
    pq.write_table(
        pa.table({"=name": ["=1+1", "@x", "-y", "+z", "\tq", "plain", None], "n": [-1, 2, 3, 4, 5, 6, 7]}), path
    )
    text = b"".join(export.csv_parts(path)).decode()
    assert text == "'=name,n\n'=1+1,-1\n'@x,2\n'-y,3\n'+z,4\n'\tq,5\nplain,6\n,7\n"
