"""Rows of a PostgreSQL query as a Parquet file: read-only, streamed by a cursor of the server, within limits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from mlportal.lib.errors import Invalid, TooLarge, Unprocessable

FETCH_ROWS = 5_000
CONNECT_SECONDS = 10
_INTEGERS, _NUMBERS, _TIMES, _DATES = {20, 21, 23, 26}, {700, 701, 1700}, {1114, 1184}, {1082}


@dataclass(frozen=True)
class Reach:
    """How to reach the database.

    Parameters
    ----------
    address : str
        Checked address that is connected to; ``host`` is the name for TLS.
    sslmode : str
        As libpq names it.
    """

    host: str
    address: str
    port: int
    database: str
    user: str
    password: str
    sslmode: str = "prefer"

    def __repr__(self) -> str:
        return f"Reach({self.user}@{self.host}:{self.port}/{self.database})"


@dataclass(frozen=True)
class Bounds:
    """Most rows and bytes in memory form, and seconds of the statement."""

    rows: int
    size_bytes: int
    seconds: float


def connect(reach: Reach) -> "psycopg.Connection[tuple[Any, ...]]":
    """Open a connection that can only read.

    Raises
    ------
    Unprocessable
        When the database refuses or does not answer; the sentence holds no secret.
    """
    try:
        opened = psycopg.connect(
            host=reach.host,
            hostaddr=reach.address,
            port=reach.port,
            dbname=reach.database,
            user=reach.user,
            password=reach.password,
            sslmode=reach.sslmode,
            connect_timeout=CONNECT_SECONDS,
            application_name="mlportal",
            options="-c default_transaction_read_only=on",
        )
    except psycopg.Error as error:
        said = str(error).replace(reach.password, "…") if reach.password else str(error)
        raise Unprocessable(f"The database did not take the connection: {_first(said)}", field="connection") from None
    opened.read_only = True
    return opened


def copy(
    opened: "psycopg.Connection[tuple[Any, ...]]",
    query: str,
    target: Path,
    *,
    bounds: Bounds,
    on_rows: Callable[[int, int], None],
) -> int:
    """Write the rows of a query to a Parquet file. Returns how many.

    Parameters
    ----------
    on_rows : callable
        Gets the rows and bytes so far after each part; may raise to stop.

    Raises
    ------
    Unprocessable
        When the database refuses the query, or it gives no rows.
    TooLarge
        Over the rows or bytes of ``bounds``.
    """
    try:
        with opened.transaction():
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                opened.execute("SELECT set_config(%s, %s, true)", (name, f"{int(bounds.seconds * 1000)}ms"))
            # A cursor is declared over the extended protocol, which takes one statement only: no second one
            # can end the read-only transaction.
            with opened.cursor(name="mlportal") as cursor:
                cursor.itersize = FETCH_ROWS
                cursor.execute(query)
                return _write(cursor, target, bounds, on_rows)
    except psycopg.Error as error:
        raise Unprocessable(
            f"The database refused the query: {_first(str(error))}", code="query_failed", field="query"
        ) from None


def _write(cursor: Any, target: Path, bounds: Bounds, on_rows: Callable[[int, int], None]) -> int:
    columns = _columns(cursor.description or ())
    schema = pa.schema([pa.field(name, kind) for name, kind in columns])
    rows = size = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for part in _parts(cursor):
            table = _table(part, schema)
            rows, size = rows + len(part), size + table.nbytes
            if rows > bounds.rows:
                raise TooLarge(f"The query gives more than {bounds.rows:,} rows.", field="query", limit=bounds.rows)
            if size > bounds.size_bytes:
                words = f"The query gives more than {bounds.size_bytes:,} bytes."
                raise TooLarge(words, field="query", limit=bounds.size_bytes)
            writer.write_table(table)
            on_rows(rows, size)
    if not rows:
        raise Unprocessable("The query gives no rows.", code="no_data_rows", field="query")
    return rows


def _parts(cursor: Any) -> Iterator[list[tuple[Any, ...]]]:
    while part := cursor.fetchmany(FETCH_ROWS):
        yield part


def _columns(description: Sequence[Any]) -> list[tuple[str, pa.DataType]]:
    names = [column.name for column in description]
    if not names:
        raise Invalid("The query gives no columns.", field="query")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"The query gives two columns named {twice[0]!r}; name one with AS.", field="query")
    return [(column.name, _type(column.type_code)) for column in description]


def _type(oid: int) -> pa.DataType:
    if oid in _INTEGERS:
        return pa.int64()
    if oid in _NUMBERS:
        return pa.float64()
    if oid == 16:
        return pa.bool_()
    return pa.timestamp("us") if oid in _TIMES | _DATES else pa.string()


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array([_cell(value, field.type) for value in values], type=field.type)
        for values, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _cell(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else str(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return datetime(value.year, value.month, value.day) if isinstance(value, date) else value  # noqa: DTZ001


def _first(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0][:300]
