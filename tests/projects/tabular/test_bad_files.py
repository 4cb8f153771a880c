"""Wrong, packed and damaged files: rows B14 to B19 of the reliability paper."""

import pickle
import random
import struct
import time
from contextlib import suppress
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from mlportal.lib.errors import DomainError, TooLarge, Unprocessable, UnsupportedType
from projects.tabular.limits import Limits
from tests.projects.tabular.reading import copy_of, packed, parquet, profile, refusal, remarks

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
