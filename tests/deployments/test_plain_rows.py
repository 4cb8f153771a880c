"""Statements beside the ORM: they read what the ORM reads."""

from django.apps import apps
from django.db.models import CompositePrimaryKey

from mlportal.lib.sql import plain_row
from projects.models import Event
from tests.factories.deployments import make_live


def test_a_plain_row_is_what_the_orm_reads(team):
    make_live(team)
    seen = set()
    for model in apps.get_models():
        if isinstance(model._meta.pk, CompositePrimaryKey) or model.__module__.startswith("tests."):
            continue  # a test's own model has no table here
        names = tuple(field.attname for field in model._meta.concrete_fields)
        for row in model._base_manager.values("pk", *names)[:3]:
            key = row.pop("pk")
            found = plain_row(model, names, key)
            assert found == row
            assert {name: type(value) for name, value in found.items()} == {k: type(v) for k, v in row.items()}
            seen |= {field.get_internal_type() for field in model._meta.concrete_fields}
    assert {"JSONField", "DateTimeField", "BooleanField", "FloatField"} <= seen
    assert plain_row(Event, ("seq",), 2**40) is None
