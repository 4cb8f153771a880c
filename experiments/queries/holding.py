"""What may not be removed, because something still needs it."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils.module_loading import import_string

from projects.models import Project


def runs_held(project: Project, run_ids: Sequence[int] | None = None) -> dict[int, str]:
    """Return the runs, of those given or of all, that something needs, each with the reason.

    The answers come from the apps above, which are named in ``settings.RUN_HOLDERS``.
    """
    found: dict[int, str] = {}
    for path in settings.RUN_HOLDERS if run_ids is None or run_ids else ():
        found |= import_string(path)(project, run_ids)
    return found
