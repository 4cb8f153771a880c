"""Points of the compare page's charts, as JSON: one address a group of charts."""

from __future__ import annotations

import math

from django.http import HttpRequest, JsonResponse

from experiments.queries import panels
from experiments.views.compare import Compared
from mlportal.lib.errors import Invalid


class CompareSeries(Compared):
    """Curves of the metrics that are drawn, or of a range of one that a reader zooms into."""

    def get(self, request: HttpRequest, experiment: str = "") -> JsonResponse:
        """Answer at most 500 points a curve; ``from`` and ``to`` bound the x axis."""
        low, high = bound(request, "from"), bound(request, "to")
        made = self.comparison(request, experiment, around=False)
        return JsonResponse(panels.series(made, panels.curve_names(made), low=low, high=high))


class CompareFacts(Compared):
    """Parallel coordinates, scatter, contour and boxes."""

    def get(self, request: HttpRequest, experiment: str = "") -> JsonResponse:
        """Answer what all charts of single values draw."""
        return JsonResponse(panels.facts(self.comparison(request, experiment)))


def bound(request: HttpRequest, name: str) -> float | None:
    """Read one end of a range.

    Raises
    ------
    Invalid
        If it is no finite number.
    """
    text = request.GET.get(name, "")
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Invalid(f"{name} must be a number.", field=name, got=text[:80])
    return found
