"""One read-only connection that notices changes and runs the few queries of serving."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

SQLITE_POLL_SECONDS = 0.05
POSTGRES_POLL_SECONDS = 5.0
CHANNEL = "mlportal_endpoints"


class Lost(Exception):
    """The database cannot be read now; connecting again may help."""


class Source(Protocol):
    """A connection used by one thread."""

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT with ``%s`` placeholders."""

    def changed(self) -> bool:
        """Whether something may have been written since the last call."""

    def close(self) -> None:
        """Give the connection back."""


def connect(database: dict[str, Any]) -> Source:
    """Open a connection for a Django database entry.

    Raises
    ------
    Lost
        When the database is not there yet.
    """
    if database["ENGINE"].endswith("sqlite3"):
        return SqliteSource(str(database["NAME"]))
    return PostgresSource(database)


class SqliteSource:
    """SQLite: ``PRAGMA data_version`` changes with every commit of another connection (2.6 us a look)."""

    def __init__(self, path: str) -> None:
        try:
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5, isolation_level=None)
        except sqlite3.Error as error:
            raise Lost(str(error)) from error
        self._seen = -1

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT with ``%s`` placeholders."""
        try:
            return self._connection.execute(sql.replace("%s", "?"), tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise Lost(str(error)) from error

    def changed(self) -> bool:
        """Whether another connection committed since the last call."""
        version = self.query("PRAGMA data_version")[0][0]
        changed = version != self._seen
        self._seen = version
        return changed

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresSource:
    """PostgreSQL: a trigger notifies of changed endpoints; a look every 5 s in case a notice was lost."""

    def __init__(self, database: dict[str, Any]) -> None:
        import psycopg

        self._errors = psycopg.Error
        try:
            self._connection = psycopg.connect(
                dbname=database["NAME"],
                user=database.get("USER") or None,
                password=database.get("PASSWORD") or None,
                host=database.get("HOST") or None,
                port=database.get("PORT") or None,
                autocommit=True,
                connect_timeout=5,
                options="-c default_transaction_read_only=on -c statement_timeout=5000",
                application_name="mlportal-serve",
            )
            self._connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error as error:
            raise Lost(str(error)) from error
        self._looked = -POSTGRES_POLL_SECONDS

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT with ``%s`` placeholders."""
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except self._errors as error:
            raise Lost(str(error)) from error

    def changed(self) -> bool:
        """Whether a notice came, or 5 s have passed."""
        try:
            noticed = bool(list(self._connection.notifies(timeout=0)))
        except self._errors as error:
            raise Lost(str(error)) from error
        due = time.monotonic() - self._looked >= POSTGRES_POLL_SECONDS
        if noticed or due:
            self._looked = time.monotonic()
        return noticed or due

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def from_json(value: Any) -> Any:
    """Value of a JSON column: SQLite gives its text."""
    return json.loads(value) if isinstance(value, str) else value


def from_time(value: Any) -> float:
    """Seconds since 1970 of a time column: SQLite gives its text in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
