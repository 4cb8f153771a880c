"""Bad text files and the sentence each gets: rows B01 to B13 of the reliability paper."""

import time

import pyarrow as pa
import pytest

from mlportal.lib.errors import Invalid, TooLarge
from projects.tabular.guard import UploadGuard
from projects.tabular.limits import Limits
from tests.projects.tabular.reading import column, copy_of, feed, kinds, parquet, profile, refusal, remarks

# ---------------------------------------------------------------- B01 nothing in it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty: it has no data rows."),
        (b"\n\r\n\n", "The file is empty: it has no data rows."),
        (b"\xef\xbb\xbf \n", "The file is empty: it has no data rows."),
        (b"a,b", "The file has only a header: it has no data rows."),
        (b"a,b\n\n\n", "The file has only a header: it has no data rows."),
    ],
)
def test_b01_file_without_rows(tmp_path, content, message):
    error = refusal(tmp_path, content)
    assert (type(error), error.code, error.message) == (Invalid, "no_data_rows", message)


def test_b01_parquet_without_rows(tmp_path):
    error = refusal(tmp_path, parquet(pa.table({"a": pa.array([], pa.int64())})))
    assert error.message == "The file has only a schema: it has no data rows."


# ---------------------------------------------------------------- B02, B03 names


def test_b02_duplicate_names(tmp_path):
    error = refusal(tmp_path, b"a,b,a,b,a\n1,2,3,4,5\n")
    assert error.message == "Column names must differ: 'a' in columns 1, 3, 5; 'b' in columns 2, 4."
    assert error.code == "duplicate_columns"


def test_b02_names_that_differ_in_case_are_kept_apart(tmp_path):
    report = profile(tmp_path, b"a,A\n1,x\n2,y\n")
    assert kinds(report) == {"a": "integer", "A": "categorical"}
    assert report.columns["a"]["max"] == 2


def test_b03_blank_and_long_names(tmp_path):
    error = refusal(tmp_path, b"a,,  ," + b"n" * 300 + b",x\x07y,__target__\n1,2,3,4,5,6\n")
    assert error.message == (
        "Column names are not usable: column 2 has no name; column 3 has no name; "
        "column 4 has a name of 300 characters; at most 200 are allowed; "
        "column 5 has a control character in its name; column 6 is called __target__, which is reserved."
    )


def test_b03_spaces_around_names_are_removed_and_told(tmp_path):
    report = profile(tmp_path, b"a, b\n1,2\n")
    assert list(report.columns) == ["a", "b"]
    assert remarks(report)[0] == ("trimmed_names", "Spaces around column names were removed: 'b'.")


# ---------------------------------------------------------------- B04, B05 size


def test_b04_a_million_columns_stop_early(tmp_path):
    content = b",".join(b"c%d" % at for at in range(1_000_000)) + b"\n" + b"1," * 999_999 + b"1\n"
    guard, start = UploadGuard(), time.monotonic()
    parts = (content[at : at + 65_536] for at in range(0, len(content), 65_536))
    with pytest.raises(Invalid) as caught:
        feed(guard, parts)
    assert caught.value.message == "The header has more than 5,000 columns, which is the limit."
    assert len(list(parts)) >= len(content) // 65_536 - 2
    assert time.monotonic() - start < 2
    assert refusal(tmp_path, content).message == caught.value.message


def test_b04_quoted_header_is_counted_by_the_reader(tmp_path):
    content = b",".join(b'"c%d,x"' % at for at in range(5_001)) + b"\n" + b"1," * 5_000 + b"1\n"
    assert refusal(tmp_path, content).code == "too_many_columns"


@pytest.mark.slow
def test_b04_as_many_columns_as_the_limit_are_taken(tmp_path):
    content = b",".join(b"c%d" % at for at in range(400)) + b"\n" + b"1," * 399 + b"1\n"
    assert profile(tmp_path, content, limits=Limits(columns=400)).column_count == 400
    assert refusal(tmp_path, content, limits=Limits(columns=399)).code == "too_many_columns"


def test_b05_endless_line(tmp_path):
    guard = UploadGuard()
    with pytest.raises(TooLarge) as caught:
        feed(guard, (b"x" * 2**20 for _ in range(500)))
    assert caught.value.message == "A line is longer than 10 MB. Is the line ending missing?"
    error = refusal(tmp_path, b"a,b\n1,2\n" + b"x" * (10 * 2**20 + 1))
    assert error.message == "Line 3 is longer than 10 MB. Is the line ending missing?"


# ---------------------------------------------------------------- B06, B07 shape


def test_b06_ragged_rows_are_listed_and_counted(tmp_path):
    rows = [b"1,2"] * 5 + [b"1,2,3"] * 7 + [b"1"] * 7
    error = refusal(tmp_path, b"a,b\n" + b"\n".join(rows) + b"\n")
    assert error.message == (
        "14 rows do not have the 2 fields of the header. Lines (fields found): "
        "7 (3), 8 (3), 9 (3), 10 (3), 11 (3), 12 (3), 13 (3), 14 (1), 15 (1), 16 (1) and 4 more."
    )
    assert error.got == {"lines": [7, 8, 9, 10, 11, 12, 13, 14, 15, 16], "count": 14}


def test_b06_line_numbers_count_lines_not_rows(tmp_path):
    error = refusal(tmp_path, b'a,b\r\n"one\r\ntwo\nthree",2\r\n\r\nonly\r\n')
    assert error.got == {"lines": [6], "count": 1}


def test_b07_quote_that_never_closes(tmp_path):
    error = refusal(tmp_path, b'a,b\n1,"x\ny"\n2,"open\n3,4\n')
    assert error.message == "The quote that opens on line 4 is not closed to the end of the file."


def test_b07_quote_that_does_not_close_within_the_line_limit(tmp_path):
    content = b'a,b\n1,2\n3,"' + b"text\n" * 4_000_000
    error = refusal(tmp_path, content)
    assert error.message == "The quote that opens on line 3 is not closed within 10 MB."


def test_b07_text_after_a_closing_quote(tmp_path):
    error = refusal(tmp_path, b'a,b\n1,2\n"x"y,3\n')
    assert error.message == ('Line 3 has text after a closing quote. Write a quote inside a quoted field as "".')


def test_a_quote_inside_an_unquoted_field_is_data(tmp_path):
    profile(tmp_path, b'size,n\n5" disk,1\n"say ""hi""",2\n')
    assert copy_of(tmp_path).column("size").to_pylist() == ['5" disk', 'say "hi"']


# ---------------------------------------------------------------- B08, B09, B10 text


@pytest.mark.parametrize("block_bytes", [7, 64, 4_194_304])
def test_b08_latin_1_tail(tmp_path, block_bytes):
    head = "name,n\n" + "ä,1\n" * 3
    content = head.encode() + b"caf\xe9,2\n"
    error = refusal(tmp_path, content, block_bytes=block_bytes)
    assert error.message == (
        f"The file is not UTF-8 text: byte 0xE9 at offset {len(head.encode()) + 3}, line 5. "
        "Save it as UTF-8, or upload it again and choose its encoding."
    )
    assert error.got == {"offset": 25, "line": 5}


def test_b08_chosen_encoding_is_used(tmp_path):
    report = profile(tmp_path, b"name,n\ncaf\xe9,2\n", encoding="latin-1")
    assert copy_of(tmp_path).column("name").to_pylist() == ["café"]
    assert report.facts["encoding"] == "latin-1"


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("block_bytes", [3, 4_194_304])
def test_b09_byte_order_marks_are_understood(tmp_path, codec, block_bytes):
    profile(tmp_path, "näme,n\nü,1\n".encode(codec), block_bytes=block_bytes)
    assert copy_of(tmp_path).to_pydict() == {"näme": ["ü"], "n": [1]}


@pytest.mark.parametrize(
    ("content", "guess"),
    [
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 (little endian) without a byte order mark"),
        ("a,b\n1,2\n".encode("utf-16-be"), "UTF-16 (big endian) without a byte order mark"),
        ("a,b\n1,2\n".encode("utf-32"), "UTF-32"),
        (b"+/v8-a,b\n1,2\n", "UTF-7"),
    ],
)
def test_b09_without_a_mark_the_encoding_is_asked_for(tmp_path, content, guess):
    error = refusal(tmp_path, content)
    assert error.message == (
        f"The file looks like {guess}. Save it as UTF-8, or upload it again and choose its encoding."
    )


def test_b09_chosen_utf_16_is_used(tmp_path):
    profile(tmp_path, "a,b\n1,ü\n".encode("utf-16-be"), encoding="utf-16-be")
    assert copy_of(tmp_path).to_pydict() == {"a": [1], "b": ["ü"]}


@pytest.mark.parametrize("block_bytes", [5, 4_194_304])
def test_b10_nul_byte(tmp_path, block_bytes):
    error = refusal(tmp_path, b"a,b\r\n1,2\r\n3,\x004\r\n", block_bytes=block_bytes)
    assert error.message.startswith("Line 3 holds a NUL byte; a CSV file is text.")


# ---------------------------------------------------------------- B11, B12, B13 forms of CSV


@pytest.mark.parametrize("block_bytes", [1, 2, 5, 4_194_304])
@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n3,z",
        b"a,b\r\n1,x\r\n2,y\r\n3,z\r\n",
        b"a,b\r1,x\r2,y\r3,z\r",
        b"a,b\r1,x\n2,y\r\n3,z",
    ],
)
def test_b11_line_ends(tmp_path, content, block_bytes):
    report = profile(tmp_path, content, block_bytes=block_bytes)
    assert report.row_count == 3
    assert copy_of(tmp_path).to_pydict() == {"a": [1, 2, 3], "b": ["x", "y", "z"]}


@pytest.mark.parametrize("block_bytes", [1, 3, 4_194_304])
def test_b11_quoted_line_ends_are_data(tmp_path, block_bytes):
    profile(tmp_path, b'a,b\r\n1,"x\r\ny"\r\n2,"p\nq"\r\n3,"m\rn"\r\n', block_bytes=block_bytes)
    assert copy_of(tmp_path).column("b").to_pylist() == ["x\r\ny", "p\nq", "m\rn"]


def test_blank_lines_are_left_out_and_counted(tmp_path):
    report = profile(tmp_path, b"a,b\n\n1,2\n\n\n3,4\n")
    assert report.row_count == 2
    assert ("blank_lines", "3 blank lines were left out.") in remarks(report)


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_b12_delimiters_are_detected_and_told(tmp_path, mark, word):
    report = profile(tmp_path, f"a{mark}b\n1{mark}x\n2{mark}y\n".encode())
    assert kinds(report) == {"a": "integer", "b": "categorical"}
    assert remarks(report)[0] == ("delimiter", f"Fields are separated by a {word}.")


def test_b12_decimal_commas_are_read_and_told(tmp_path):
    report = profile(tmp_path, b"price;n\n1,5;1\n-2,25;2\n7;3\n")
    assert copy_of(tmp_path).column("price").to_pylist() == [1.5, -2.25, 7.0]
    assert ("decimal_comma", "The comma in 2 cells was read as a decimal point.") in remarks(report)


def test_b12_thousands_or_decimals_stay_text(tmp_path):
    report = profile(tmp_path, b"price;n\n1,500;1\n2,250;2\n")
    assert copy_of(tmp_path).column("price").to_pylist() == ["1,500", "2,250"]
    assert ("ambiguous_commas", "Commas could mark thousands or decimals, so the column is kept as text.") in remarks(
        report
    )


def test_b12_one_column_is_pointed_out(tmp_path):
    report = profile(tmp_path, b"a\n1\n2\n")
    assert remarks(report)[0][0] == "single_column"


def test_b12_chosen_delimiter_wins(tmp_path):
    report = profile(tmp_path, b"a;b,c\n1;2,3\n", delimiter=",")
    assert list(report.columns) == ["a;b", "c"]


def test_b13_formulas_are_data(tmp_path):
    cells = ["=cmd|' /C calc'!A0", "@sum", "+x", "-y", "\tz"]
    _, found = column(tmp_path, *cells)
    assert found == cells
