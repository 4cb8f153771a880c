"""Bad files and the sentence each gets: rows B01 to B20 and B29 to B33 of the reliability paper."""

import pickle
import random
import struct
import time
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlportal.lib.errors import DomainError, Invalid, TooLarge, Unprocessable, UnsupportedType
from projects.tabular.guard import UploadGuard
from projects.tabular.limits import Limits
from tests.projects.tabular.reading import column, copy_of, kinds, packed, parquet, profile, remarks


def refusal(folder, content: bytes, **options) -> DomainError:
    with pytest.raises(DomainError) as caught:
        profile(folder, content, **options)
    return caught.value


def feed(guard: UploadGuard, parts) -> None:
    for part in parts:
        guard.feed(part)


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


# ---------------------------------------------------------------- B14 to B17 wrong kinds of file


def test_b14_gzip_bomb_stops_at_the_limit(tmp_path):
    bomb = packed(b"a,b\n" + b"1,2\n" * 500_000)
    error = refusal(tmp_path, bomb, limits=Limits(unpacked_bytes=2**20))
    assert (type(error), error.code) == (TooLarge, "unpacked_too_large")
    assert error.message == "The gzip file unpacks to more than 1 MB, which is the limit."


def test_b14_gzip_inside_gzip(tmp_path):
    error = refusal(tmp_path, packed(packed(b"a,b\n1,2\n")))
    assert error.message.startswith("The gzip file does not hold CSV text.")


def test_b14_cut_gzip(tmp_path):
    noise = random.Random(1).randbytes(200_000).hex().encode()
    content = packed(b"a,b\n" + b"\n".join(noise[at : at + 20] + b",1" for at in range(0, 400_000, 20)))
    error = refusal(tmp_path, content[: len(content) // 2], block_bytes=1000)
    assert error.code == "gzip_damaged"
    assert error.message.startswith("The gzip file is damaged or cut:")


def test_gzip_is_read(tmp_path):
    profile(tmp_path, packed(b"a,b\n1,2\n"))
    assert copy_of(tmp_path).to_pydict() == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"PK\x03\x04rest of an archive", "a ZIP archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 xls", "an old or encrypted Office document"),
        (b"\x89PNG\r\n\x1a\n...", "a PNG image"),
        (b"\x7fELF\x02\x01", "an ELF program"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\n <!DOCTYPE html><html>", "an HTML page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "an XML document"),
        (b'[{"a": 1}]', "a JSON document"),
        (b"MZ\x90\x00", "a Windows program"),
        (pickle.dumps({"a": list(range(300))}, 4), "a Python pickle"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
    ],
)
def test_b15_b16_b17_other_files_are_named(tmp_path, content, name):
    error = refusal(tmp_path, content)
    assert (type(error), error.got) == (UnsupportedType, name)
    assert error.message == (
        f"The file is {name}, whatever its name says. A dataset is a CSV file (also gzip-compressed) or a Parquet file."
    )


# ---------------------------------------------------------------- B18, B19 Parquet


def small() -> bytes:
    return parquet(pa.table({"a": list(range(1000)), "b": [f"word {n}" for n in range(1000)]}))


def with_footer_length(length: int) -> bytes:
    content = small()
    return content[:-8] + struct.pack("<I", length) + b"PAR1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (small()[:-20], "its end is missing; the upload or the writer was cut off"),
        (b"PAR1PAR1", "it is shorter than an empty one"),
        (with_footer_length(10**9), "its footer is longer than the file"),
        (b"PAR1" + bytes(200) + struct.pack("<I", 100) + b"PAR1", None),
        (with_footer_length(40), None),
    ],
)
def test_b18_damaged_parquet(tmp_path, content, reason):
    start = time.monotonic()
    error = refusal(tmp_path, content)
    assert (type(error), error.code) == (Unprocessable, "parquet_damaged")
    assert error.message.startswith("Not a valid Parquet file: ")
    if reason:
        assert error.message == f"Not a valid Parquet file: {reason}."
    assert time.monotonic() - start < 5


@pytest.mark.slow
def test_b18_flipped_bytes_are_an_error_or_other_values_but_never_a_crash(tmp_path):
    whole, chance = small(), random.Random(7)
    for _ in range(20):
        content = bytearray(whole)
        for _ in range(4):
            content[chance.randrange(4, len(content) - 8)] ^= 1 << chance.randrange(8)
        with suppress(DomainError):
            profile(tmp_path, bytes(content))


def test_b18_encrypted_parquet_is_told(tmp_path):
    error = refusal(tmp_path, small()[:-4] + b"PARE")
    assert error.message == "The Parquet file is encrypted. Upload it unencrypted."


def test_b18_many_row_groups_are_refused(tmp_path):
    content = parquet(pa.table({"a": list(range(50))}), row_group_size=1)
    error = refusal(tmp_path, content, limits=Limits(row_groups=10))
    assert error.message == "The Parquet file has 50 row groups; at most 10 are allowed."


def test_b19_pickled_extension_type_is_not_loaded(tmp_path):
    marker = tmp_path / "marker"

    class Attack:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    field = pa.field(
        "a",
        pa.int64(),
        metadata={
            b"ARROW:extension:name": b"arrow.py_extension_type",
            b"ARROW:extension:metadata": pickle.dumps(Attack()),
        },
    )
    table = pa.Table.from_arrays([pa.array([1, 2])], schema=pa.schema([field], metadata={b"evil": b"x" * 100}))
    profile(tmp_path, parquet(table))
    assert not marker.exists()
    schema = copy_of(tmp_path).schema
    assert (schema.metadata, schema.field("a").metadata) == (None, None)


def test_b19_large_metadata_is_dropped(tmp_path):
    table = pa.table({"a": [1]}).replace_schema_metadata({"note": "x" * (10 * 2**20)})
    profile(tmp_path, parquet(table))
    assert copy_of(tmp_path).schema.metadata is None
    assert (tmp_path / "copy.parquet").stat().st_size < 10_000


def test_b19_footer_over_the_limit_is_refused(tmp_path):
    table = pa.table({"a": [1]}).replace_schema_metadata({"note": "x" * (33 * 2**20)})
    error = refusal(tmp_path, parquet(table))
    assert (type(error), error.limit) == (TooLarge, 32 * 2**20)


def test_b19_nested_columns_are_named(tmp_path):
    error = refusal(tmp_path, parquet(pa.table({"ok": [1], "deep": [[{"x": [1]}]]})))
    assert error.message.startswith("Column 'deep' is nested (list<")


def test_b19_types_without_a_place_are_named(tmp_path):
    error = refusal(tmp_path, parquet(pa.table({"raw": [b"\x00\x01"]})))
    assert error.message == (
        "Column 'raw' is of a type that is not taken (binary). Allowed are numbers, booleans, text and dates; "
        "flatten or drop it."
    )


def test_parquet_types_become_canonical(tmp_path):
    when = datetime(2024, 5, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "single": pa.array([0.5, float("nan")], pa.float32()),
            "words": pa.array(["a", "b"]).dictionary_encode(),
            "when": pa.array([when, None], pa.timestamp("ns", "Europe/Berlin")),
            "flag": [True, False],
            "money": pa.array([1, 2], pa.int64()).cast(pa.decimal128(21, 2)),
        }
    )
    report = profile(tmp_path, parquet(table))
    copy = copy_of(tmp_path)
    assert [str(field.type) for field in copy.schema] == [
        "int64", "double", "string", "timestamp[us, tz=UTC]", "bool", "double",
    ]  # fmt: skip
    assert copy.column("when").to_pylist() == [when, None]
    assert copy.column("single").to_pylist() == [0.5, None]
    assert remarks(report)[0] == ("infinite", "1 infinite or not-a-number values were read as missing.")


def test_parquet_integers_over_int64_are_refused(tmp_path):
    error = refusal(tmp_path, parquet(pa.table({"big": pa.array([2**63], pa.uint64())})))
    assert error.message.startswith("Column 'big' holds 9223372036854775808, which is over")


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
