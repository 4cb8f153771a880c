"""Strict reader of Parquet: flat columns of known types, metadata never trusted."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlportal.lib.errors import Invalid, TooLarge, Unprocessable

from . import guard
from .delimited import check_names
from .kinds import without_infinite
from .limits import DEFAULT, Limits

_MAGIC = b"PAR1"


class ColumnarReader:
    """Read a Parquet file once, in bounded memory, into the types of a canonical copy.

    Parameters
    ----------
    path : Path
        The stored file.
    limits : Limits
        Bounds to hold.

    Attributes
    ----------
    names : list of str
        Column names.
    kinds : list of str
        Kind of each column; text may become ``categorical`` or ``id`` later.
    infinite : dict
        Column position to the count of infinite or not-a-number values that became missing.
    """

    def __init__(self, path: Path, *, limits: Limits = DEFAULT) -> None:
        self._path, self._limits = path, limits
        check_frame(path, limits)
        self._file = _open(path)
        schema = self._file.schema_arrow
        self._check_schema(schema)
        self.names = [name.strip() for name in schema.names]
        self.row_count = self._file.metadata.num_rows
        self._check_size()
        self._targets = [target(field.name, field.type) for field in schema]
        self.kinds = [kind_of(found) for found in self._targets]
        self.infinite = dict.fromkeys(range(len(self.names)), 0)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the canonical copy, without any metadata."""
        pairs = zip(self.names, self._targets, strict=True)
        return pa.schema([pa.field(name, found) for name, found in pairs])

    def _check_schema(self, schema: pa.Schema) -> None:
        if len(schema) > self._limits.columns:
            raise Invalid(
                guard.too_many_columns(self._limits),
                code="too_many_columns",
                field="file",
                limit=self._limits.columns,
            )
        if not len(schema):
            raise Invalid("The Parquet file has no columns.", code="no_data_rows", field="file")
        check_names(schema.names, self._limits)

    def _check_size(self) -> None:
        groups = self._file.metadata.num_row_groups
        if groups > self._limits.row_groups:
            raise TooLarge(
                f"The Parquet file has {groups:,} row groups; at most {self._limits.row_groups:,} are allowed.",
                field="file",
                limit=self._limits.row_groups,
                got=groups,
            )
        if self.row_count > self._limits.rows:
            raise TooLarge(
                f"The file has {self.row_count:,} rows; at most {self._limits.rows:,} are allowed.",
                code="too_many_rows",
                field="file",
                limit=self._limits.rows,
                got=self.row_count,
            )
        if not self.row_count:
            raise Invalid(
                "The file has only a schema: it has no data rows.",
                code="no_data_rows",
                field="file",
            )

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Typed batches of at most ``rows`` rows.

        Raises
        ------
        Unprocessable
            When a page cannot be read, or a value does not fit its column's type.
        """
        done = 0
        try:
            for batch in self._file.iter_batches(batch_size=rows):
                done += batch.num_rows
                columns = [self._typed(at, column) for at, column in enumerate(batch.columns)]
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(error) from None
        if done != self.row_count:
            raise _damaged(f"its footer promises {self.row_count:,} rows, its pages hold {done:,}")

    def _typed(self, at: int, column: pa.Array) -> pa.Array:
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if pa.types.is_uint64(column.type):
            self._refuse_large(at, column)
        typed = pc.cast(column, self._targets[at], safe=False)
        if pa.types.is_float64(typed.type):
            kept = without_infinite(typed)
            self.infinite[at] += kept.null_count - typed.null_count
            return kept
        return typed

    def _refuse_large(self, at: int, column: pa.Array) -> None:
        largest = pc.max(column).as_py()
        if largest is not None and largest >= 2**63:
            raise Unprocessable(
                f"Column '{self.names[at]}' holds {largest}, which is over the largest 64-bit integer "
                f"{2**63 - 1}. Store it as text or as a decimal number.",
                code="integer_too_large",
                field="file",
            )


def check_frame(path: Path, limits: Limits = DEFAULT) -> None:
    """Check the magic bytes and the footer's length before any library parses the file.

    Raises
    ------
    Unprocessable
        When the file is cut or is no Parquet file.
    TooLarge
        When the footer is over the limit.
    """
    size = path.stat().st_size
    if size < 12:
        raise _damaged("it is shorter than an empty one")
    with path.open("rb") as stored:
        start = stored.read(4)
        stored.seek(-8, 2)
        end = stored.read(8)
    if start != _MAGIC:
        raise _damaged("it does not begin with PAR1")
    if end[4:] == b"PARE":
        raise Unprocessable("The Parquet file is encrypted. Upload it unencrypted.", field="file")
    if end[4:] != _MAGIC:
        raise _damaged("its end is missing; the upload or the writer was cut off")
    footer = int.from_bytes(end[:4], "little")
    if footer + 12 > size:
        raise _damaged("its footer is longer than the file")
    if footer > limits.footer_bytes:
        raise TooLarge(
            f"The Parquet footer has {footer:,} bytes; at most {limits.footer_bytes:,} are allowed.",
            field="file",
            limit=limits.footer_bytes,
            got=footer,
        )


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            path,
            memory_map=False,
            pre_buffer=False,
            thrift_string_size_limit=DEFAULT.footer_bytes,
            thrift_container_size_limit=2_000_000,
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(error) from None


def _damaged(reason: object) -> Unprocessable:
    words = str(reason).split("\n", 1)[0].strip().rstrip(".")[:200]
    return Unprocessable(f"Not a valid Parquet file: {words}.", code="parquet_damaged", field="file")


def target(name: str, found: pa.DataType) -> pa.DataType:
    """Canonical type of a Parquet column.

    Raises
    ------
    Unprocessable
        For nested columns and types without a place in a table of features.
    """
    storage = found.storage_type if isinstance(found, pa.BaseExtensionType) else found
    value = storage.value_type if pa.types.is_dictionary(storage) else storage
    for test, canonical in _TARGETS:
        if test(value):
            return canonical
    if pa.types.is_timestamp(value):
        return pa.timestamp("us", "UTC" if value.tz else None)
    what = "nested" if pa.types.is_nested(value) else "of a type that is not taken"
    raise Unprocessable(
        f"Column '{name[:100]}' is {what} ({str(value)[:60]}). Allowed are numbers, booleans, text and "
        "dates; flatten or drop it.",
        code="column_type",
        field="file",
    )


def _is_text(found: pa.DataType) -> bool:
    return (
        pa.types.is_string(found)
        or pa.types.is_large_string(found)
        or pa.types.is_string_view(found)
        or pa.types.is_null(found)
    )


_TARGETS = (
    (pa.types.is_boolean, pa.bool_()),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_decimal, pa.float64()),
    (_is_text, pa.string()),
    (pa.types.is_date, pa.timestamp("us")),
)


def kind_of(canonical: pa.DataType) -> str:
    """Kind of a canonical type."""
    if pa.types.is_boolean(canonical):
        return "boolean"
    if pa.types.is_integer(canonical):
        return "integer"
    if pa.types.is_floating(canonical):
        return "numeric"
    return "datetime" if pa.types.is_timestamp(canonical) else "text"
