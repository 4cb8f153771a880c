"""Values that change their type, overflow or mislead: rows B20 and B29 to B34 of the reliability paper."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlportal.lib.errors import TooLarge
from projects.tabular.limits import Limits
from tests.projects.tabular.reading import column, kinds, parquet, profile, refusal, remarks

# ---------------------------------------------------------------- B20 types that change


@pytest.mark.parametrize("block_bytes", [16, 1000, 4_194_304])
def test_b20_a_late_word_makes_text_and_names_the_row(tmp_path, block_bytes):
    lines = [b"%d,x" % number for number in range(3000)]
    lines[2_500] = b"n.a.,x"
    report = profile(tmp_path, b"value,filler\n" + b"\n".join(lines), block_bytes=block_bytes)
    assert kinds(report)["value"] == "id"
    assert [words for code, words in remarks(report) if code == "mixed_values"] == [
        "The values are whole numbers up to row 2,500; row 2,501 holds 'n.a.', so the column is kept as text."
    ]


# ---------------------------------------------------------------- B29, B30, B31 values


@pytest.mark.parametrize("cell", ["9223372036854775808", "-9223372036854775809", "9" * 400, "1e400"])
def test_b29_numbers_beyond_64_bits_stay_text(tmp_path, cell):
    report, found = column(tmp_path, "1", cell)
    assert found == ["1", cell]
    (code, words), *_ = [each for each in remarks(report) if each[0] == "number_too_large"]
    assert code == "number_too_large"
    assert words.startswith("Row 2 holds '")
    assert words.endswith("which does not fit a 64-bit number, so the column is kept as text.")


def test_b29_the_largest_integers_are_exact(tmp_path):
    _, found = column(tmp_path, "9223372036854775807", "-9223372036854775808", "+5")
    assert found == [2**63 - 1, -(2**63), 5]


@pytest.mark.parametrize("cells", [("0x10", "1"), ("１２", "1"), ("007", "8"), ("1_000", "2"), ("1 000", "2")])
def test_b29_odd_numbers_stay_text(tmp_path, cells):
    assert column(tmp_path, *cells)[1] == list(cells)


@pytest.mark.parametrize(
    "cells",
    [("31/02/2024", "01/01/2024"), ("2024-02-30",), ("0000-01-01",), ("10000-01-01",), ("2024-01-01 25:00",),
     ("2024-01-01", "01/13/2024"), ("2024-01-01T00:00:00", "2024-01-01T00:00:00Z")],
)  # fmt: skip
def test_b30_impossible_or_mixed_dates_stay_text(tmp_path, cells):
    assert column(tmp_path, *cells)[1] == list(cells)


def test_b30_ambiguous_dates_stay_text_and_say_so(tmp_path):
    report, found = column(tmp_path, "01/02/2024", "03/04/2024")
    assert found == ["01/02/2024", "03/04/2024"]
    assert remarks(report)[0][1].startswith("Dates could be day/month or month/day")


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (("2024-03-01", "2024-02-29"), "2024-03-01T00:00:00"),
        (("31/01/2024", "01/02/2024"), "2024-01-31T00:00:00"),
        (("01/31/2024", "01/02/2024"), "2024-01-31T00:00:00"),
        (("2024/03/01 10:30",), "2024-03-01T10:30:00"),
        (("0001-01-01", "9999-12-31"), "0001-01-01T00:00:00"),
        (("2024-03-01T10:00:00.250000",), "2024-03-01T10:00:00.250000"),
        (("2024-03-01T10:00:00+02:00", "2024-03-01T10:00:00Z"), "2024-03-01T08:00:00+00:00"),
    ],
)
def test_b30_dates_are_read(tmp_path, cells, first):
    report, found = column(tmp_path, *cells)
    assert (kinds(report)["value"], found[0].isoformat()) == ("datetime", first)


def test_b31_true_and_false_in_any_case_are_booleans(tmp_path):
    assert column(tmp_path, "TRUE", "false", "True", "")[1] == [True, False, True, None]


def test_b31_yes_and_no_stay_as_they_are(tmp_path):
    report, found = column(tmp_path, "yes", "no", "Y", "1", "TRUE")
    assert found == ["yes", "no", "Y", "1", "TRUE"]
    assert kinds(report)["value"] == "categorical"


def test_missing_words_are_read_as_missing_and_counted(tmp_path):
    report, found = column(tmp_path, "1.5", "NA", " ", "", "NULL", "NA", "2")
    assert found == [1.5, None, None, None, None, None, 2.0]
    assert [words for code, words in remarks(report) if code == "missing_words"] == [
        "Read as missing: 'NA' 2 times, spaces only 1 times, 'NULL' 1 times."
    ]


def test_infinite_numbers_are_read_as_missing_and_counted(tmp_path):
    report, found = column(tmp_path, "1.5", "inf", "-Infinity")
    assert found == [1.5, None, None]
    assert ("infinite", "2 infinite or not-a-number values were read as missing.") in remarks(report)


def test_b32_repeated_rows_are_counted(tmp_path):
    report = profile(tmp_path, b"a,b\n" + b"1,x\n" * 60)
    assert remarks(report)[0][1].startswith("59 rows (98.3%) repeat an earlier row.")
    assert report.facts["duplicate_rows"] == 59


def test_b33_one_row_is_taken_with_a_remark(tmp_path):
    report = profile(tmp_path, b"a,b\n1,2\n")
    assert report.warnings[0]["message"] == "The table has 1 row; results will vary by chance."


def test_b34_rows_over_the_limit(tmp_path):
    error = refusal(tmp_path, b"a,b\n" + b"1,2\n" * 11, limits=Limits(rows=10))
    assert (type(error), error.message) == (TooLarge, "The file has more than 10 rows, which is the limit.")
    table = parquet(pa.table({"a": np.arange(11)}))
    assert refusal(tmp_path, table, limits=Limits(rows=10)).message == ("The file has 11 rows; at most 10 are allowed.")


def test_refused_files_leave_no_working_copy(tmp_path):
    refusal(tmp_path, b"a,b\n1,2\n3\n")
    assert [path.name for path in tmp_path.glob("*.stage")] == []


def test_row_group_statistics_are_not_trusted(tmp_path):
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"a": [3, 1, 2]}), path, write_statistics=False)
    report = profile(tmp_path, path.read_bytes())
    assert (report.columns["a"]["min"], report.columns["a"]["max"]) == (1, 3)
