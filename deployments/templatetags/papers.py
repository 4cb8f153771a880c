"""Words of papers in templates; load with ``{% load papers %}``."""

from typing import Any

from django import template

from deployments.proof import papers

register = template.Library()


@register.filter
def papercell(value: Any) -> str:
    """Write a cell for people."""
    return papers.cell(value)


@register.filter
def paperwords(value: Any) -> str:
    """Write the value of a field on one line."""
    return papers.words(value)
