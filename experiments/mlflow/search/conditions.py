"""Clauses as conditions of the ORM, for everything that is not a run."""

from __future__ import annotations

from typing import Any, cast

from django.db import connection
from django.db.models import CharField, Exists, F, Lookup, Model, OuterRef, Q, TextField
from django.db.models.expressions import OrderBy
from django.db.models.functions import Collate

from .grammar import Clause

_COMPARE = {"=": "exact", "!=": "exact", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


class _Like(Lookup):
    """MLflow's LIKE: case matters, % and _ are wild, nothing escapes them."""

    lookup_name = "mlflow_like"
    prepare_rhs = False
    postgresql = "LIKE"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        left, left_params = self.process_lhs(compiler, connection)
        operator, pattern = self.spelled(connection.vendor, str(self.rhs))
        return f"{left} {operator}", (*left_params, pattern)

    def spelled(self, vendor: str, pattern: str) -> tuple[str, str]:
        """Return operator and pattern for one database."""
        if vendor == "postgresql":
            return f"{self.postgresql} %s ESCAPE ''", pattern
        # SQLite's LIKE folds case, its GLOB does not.
        glob = "".join(f"[{c}]" if c in "*?[" else {"%": "*", "_": "?"}.get(c, c) for c in pattern)
        return "GLOB %s", glob


class _ILike(_Like):
    """The same without regard to case."""

    lookup_name = "mlflow_ilike"
    postgresql = "ILIKE"

    def spelled(self, vendor: str, pattern: str) -> tuple[str, str]:
        if vendor == "postgresql":
            return super().spelled(vendor, pattern)
        return "LIKE %s", pattern


for _field in (CharField, TextField):
    _field.register_lookup(_Like)
    _field.register_lookup(_ILike)


def text(field: str, clause: Clause) -> Q:
    """Compare a text field; a missing value is never true, not even for ``!=``.

    Parameters
    ----------
    field : str
        A path of the ORM.
    clause : Clause
        With any operator of texts: = != LIKE ILIKE IN NOT IN.
    """
    operator, value = clause.operator, clause.value
    known = Q(**{f"{field}__isnull": False})
    if operator in ("LIKE", "ILIKE"):
        return Q(**{f"{field}__mlflow_{operator.lower()}": value})
    if operator in ("IN", "NOT IN"):
        listed = Q(**{f"{field}__in": cast("tuple[str, ...]", value)})
        return known & ~listed if operator == "NOT IN" else listed
    same = Q(**{field: value})
    return known & ~same if operator == "!=" else same


def number(field: str, clause: Clause, *, value: object = None) -> Q:
    """Compare a number or a time; ``value`` replaces the clause's, such as a date made of milliseconds."""
    test = Q(**{f"{field}__{_COMPARE[clause.operator]}": clause.value if value is None else value})
    return Q(**{f"{field}__isnull": False}) & ~test if clause.operator == "!=" else test


def tag(rows: type[Model], owner: str, clause: Clause) -> Q:
    """Compare one tag (or parameter) of an object.

    Parameters
    ----------
    rows : model with ``key`` and ``value``
        Such as ``RegisteredModelTag``.
    owner : str
        Its foreign key to the object, such as ``"model"``.
    clause : Clause
        A missing tag is never true, but for IS NULL.
    """
    mine = rows._default_manager.filter(**{owner: OuterRef("pk"), "key": clause.key})
    if clause.operator == "IS NULL":
        return ~Q(Exists(mine))
    return Q(Exists(mine if clause.operator == "IS NOT NULL" else mine.filter(text("value", clause))))


def order_text(field: str, *, descending: bool = False) -> OrderBy:
    """Order by a text in the order of its code points, the same on both databases."""
    expression = Collate(F(field), "C") if connection.vendor == "postgresql" else F(field)
    return OrderBy(expression, descending=descending)
