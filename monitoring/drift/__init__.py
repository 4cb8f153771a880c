"""Engine: grids, distances, verdicts and the life of an alert. No Django.

All of it is plain Python and may be imported anywhere, but ``grid`` and ``estimate``: these read rows, need numpy and
scikit-learn and are imported by pipelines (workers) only.
"""

from importlib import import_module
from typing import Any

_HOMES = {"reference": "grid", "fill": "grid"}


def __getattr__(name: str) -> Any:
    """Import ``reference`` and ``fill`` on first use, so that the web process never loads numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
