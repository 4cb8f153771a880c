"""Files of the prediction log: the same bytes for the same rows, and every value as it was."""

import io

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlportal.lib import rowfile

TABLE = pa.table(
    {
        "age": pa.array([41.5, None, float("nan"), -0.0], pa.float64()),
        "a.b": pa.array([1.0, 2.0, 3.0, 4.0]),
        "on": pa.array([True, None, False, True]),
        "city": pa.array(["rome", None, "oslo", ""]),
        "__probability__": pa.array([[0.25, 0.75], None, [], [1.0, 0.0]], pa.list_(pa.float64())),
    }
).replace_schema_metadata({"classes": "no\x1fyes"})


def test_rows_come_back_as_they_were():
    back = parquet.read_table(io.BytesIO(rowfile.packed(TABLE)))
    assert repr(back.to_pylist()) == repr(TABLE.to_pylist())
    assert back.schema.metadata[b"classes"] == b"no\x1fyes"


@pytest.mark.parametrize("table", [TABLE, TABLE.slice(0, 0), TABLE.select(["city"])])
def test_the_same_rows_are_the_same_bytes(table):
    assert rowfile.packed(table) == rowfile.packed(table)


def test_numbers_are_written_byte_by_byte_and_texts_by_dictionary():
    group = parquet.ParquetFile(io.BytesIO(rowfile.packed(TABLE))).metadata.row_group(0)
    by_name = {group.column(place).path_in_schema: group.column(place).encodings for place in range(group.num_columns)}
    assert rowfile.SPLIT in by_name["age"]
    assert any("DICTIONARY" in name for name in by_name["city"])
