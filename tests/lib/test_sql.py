"""Hand-written statements on Django's connection."""

import pytest
from django.db import connection

from mlportal.lib.sql import Among, Statement

KEPT = "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE %s"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (Statement("SELECT slug FROM projects_project WHERE id = %s AND name <> 'one'"), [1]),
        (Among("SELECT slug FROM projects_project WHERE id IN (%s) AND name <> 'many'"), None),
    ],
)
def test_a_statement_is_prepared_once_a_connection(statement, values):
    for _ in range(3):
        assert (statement.rows(values) if values else statement.of([1, 2])) == []
    if connection.vendor == "sqlite":
        return  # Python's own module keeps the plans of the last 128 statements
    assert connection.connection.prepare_threshold is None, "psycopg would keep the texts of the ORM, values and all"
    with connection.cursor() as cursor:
        cursor.execute(KEPT, [statement._postgres.replace("%s", "$1")])
        assert cursor.fetchall() == [(3,)]


@pytest.mark.django_db
def test_postgresql_tries_few_orders_of_joins():
    if connection.vendor == "sqlite":
        return  # it looks at the nearest neighbours only
    with connection.cursor() as cursor:
        cursor.execute("SHOW join_collapse_limit")
        assert cursor.fetchone() == ("4",)
