"""Serializers are components of the OpenAPI document by their class names: two with one name are one component there.

drf-spectacular only warns of it, and then describes one of the two with the fields of the other.
"""

from collections import defaultdict

from django.urls import get_resolver
from rest_framework.serializers import BaseSerializer

APPS = ("projects", "experiments", "monitoring", "deployments", "mlportal")


def below(kind: type) -> set[type]:
    return {kind}.union(*(below(each) for each in kind.__subclasses__()))


def test_no_two_serializers_have_one_component_name():
    assert get_resolver().url_patterns  # every route, and with it every serializer, is loaded
    named: dict[str, set[str]] = defaultdict(set)
    for each in below(BaseSerializer):
        if each.__module__.split(".")[0] in APPS:
            named[each.__name__.removesuffix("Serializer")].add(f"{each.__module__}.{each.__qualname__}")
    assert len(named) > 100
    assert {name: sorted(found) for name, found in named.items() if len(found) > 1} == {}
