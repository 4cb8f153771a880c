"""Columns that the databases would order differently."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class BytewiseCharField(models.CharField):
    """Text compared by its bytes on every database, so that a range of it is a prefix.

    SQLite always does; PostgreSQL follows the language of the database unless the column says otherwise.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the collation where the database needs one."""
        found = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            found["collation"] = "C"
        return found
