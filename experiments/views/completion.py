"""What can stand next in the filter of the runs table."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from experiments.metricstore.language import MAX_CHARS
from experiments.queries.suggest import suggest
from experiments.views.runs_of import RunsOf


class FilterCompletion(RunsOf):
    """Suggestions for a text and a place in it, as options of a list."""

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """``text`` is what stands in the field, ``at`` the place of the cursor."""
        found, text = self.place(experiment), request.GET.get("text", "")[:MAX_CHARS].replace("\0", "")
        at = request.GET.get("at", "")
        place = min(int(at), len(text)) if at.isascii() and at.isdigit() and len(at) < 6 else len(text)
        values = {"suggestions": suggest(found, text, place)}
        return render(request, "experiments/_run_completion.html", values)
