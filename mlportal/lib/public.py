"""Marks the few routes that need no sign-in; each stands in the access matrix as open."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required


def public(view: Callable[..., Any]) -> Callable[..., Any]:
    """Open a view to everyone."""
    return login_not_required(view)
