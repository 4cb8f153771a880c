"""A DuckDB connection that can read one table and nothing else, and one foreign SELECT on it.

Three walls, each enough alone for most attacks: the engine's own switches (no file system, no extension, a
locked configuration, bounded memory and threads), the statement must be a single SELECT and is run as a
subquery, and the process around it has kernel limits and no secret (see ``child``).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds

from projects.tabular.words import clip

SHOWN_ROWS, COUNTED_ROWS, SHOWN_COLUMNS = 20, 1_000, 20
TABLE = "data"


class Refused(Exception):
    """The statement is not one that a check may run; the text says why."""


@contextmanager
def opened(path: Path, *, memory_mb: int, spill: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection on which the Parquet file is the table ``data``.

    Parameters
    ----------
    path : pathlib.Path
        The canonical copy; it is read by pyarrow and handed in, the engine itself opens no file.
    memory_mb : int
        Memory of the engine.
    spill : pathlib.Path
        Folder to spill to, ``None`` for no writing at all; only for our own queries.
    """
    connection = duckdb.connect(":memory:")
    try:
        connection.register(TABLE, ds.dataset(path, format="parquet"))
        for name, value in _configuration(memory_mb, spill).items():
            connection.execute(f"SET {name} = {value}")
        yield connection
    finally:
        connection.close()


def _configuration(memory_mb: int, spill: Path | None) -> dict[str, str]:
    common = {
        "memory_limit": f"'{memory_mb}MB'",
        "threads": "1",
        "temp_directory": "'" + str(spill or "").replace("'", "''") + "'",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "python_enable_replacements": "false",
    }
    walls = {"enable_external_access": "false", "lock_configuration": "true"}
    if spill is None:
        common |= {"max_temp_directory_size": "'0KB'", "disabled_filesystems": "'LocalFileSystem'"}
    return common | walls


def select(connection: duckdb.DuckDBPyConnection, query: str, *, seconds: float) -> dict[str, Any]:
    """Run one foreign SELECT for a while and give its first rows.

    Returns
    -------
    dict
        ``count`` (rows, counted up to 1,000), ``more`` (there are others), ``columns`` and ``rows`` (up to 20).

    Raises
    ------
    Refused
        When it is no single SELECT, fails, needs too much memory, or takes too long.
    """
    text = _single_select(connection, query)
    watch = threading.Timer(seconds, connection.interrupt)
    watch.start()
    try:
        # the line break ends a comment at the end of the text; a subquery can change nothing
        cursor = connection.execute(f"SELECT * FROM (\n{text}\n) LIMIT {COUNTED_ROWS + 1}")  # noqa: S608
        rows = cursor.fetchall()
    except duckdb.InterruptException:
        raise Refused(f"The query took longer than {seconds:g} seconds, which is the limit.") from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise Refused("The query needs more memory than a check may use.") from None
    except duckdb.Error as error:
        raise Refused(_reason(error)) from None
    finally:
        watch.cancel()
    return shown([column[0] for column in cursor.description or ()], rows)


def _single_select(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise Refused(_reason(error)) from None
    if len(statements) != 1:
        raise Refused(f"A check runs one SELECT; this text holds {len(statements)} statements.")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise Refused(f"A check runs one SELECT; this is {kind}.")
    return _without_end(str(statements[0].query))


def _without_end(text: str) -> str:
    """A single statement without its semicolon, which may not stand in a subquery, and what follows it."""
    content = text.encode()
    for at, kind in duckdb.tokenize(text):
        if kind == duckdb.token_type.operator and content[at : at + 1] == b";":
            return content[:at].decode()
    return text


def _reason(error: Exception) -> str:
    return clip(" ".join(str(error).split()), 500)


def shown(columns: list[str], rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Rows as JSON values, cut to what a page shows."""
    return {
        "count": min(len(rows), COUNTED_ROWS),
        "more": len(rows) > COUNTED_ROWS,
        "columns": [clip(str(name), 100) for name in columns[:SHOWN_COLUMNS]],
        "rows": [[cell(value) for value in row[:SHOWN_COLUMNS]] for row in rows[:SHOWN_ROWS]],
    }


def cell(value: Any) -> Any:
    """One value as JSON: what is no small number, boolean or nothing becomes a short text."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    if isinstance(value, float) and abs(value) < 1e300:
        return value
    return clip(str(value).encode("utf-8", "replace").decode())
