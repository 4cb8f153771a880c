"""The runs of a filter, or the chosen ones, as a file: first how many, then the file while it is read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render

from experiments import queries
from experiments.metricstore import FilterError
from experiments.models import Experiment
from experiments.queries import Place, exports, tokens
from experiments.queries.exports import Wanted
from experiments.services.exports import FORMS, begin
from experiments.views.run_columns import AGGREGATES
from experiments.views.runs_of import Addresses, Asked, RunsOf, asked_agg, numbers
from experiments.views.selection import ALL, picked
from mlportal.lib.errors import Invalid


class _Export(RunsOf):
    abstract = True

    def wanted(self, request: HttpRequest, found: Place) -> Wanted:
        """Read the address: a filter in the table's order, or the chosen runs.

        Raises
        ------
        Invalid
            If the filter, the order or the aggregate cannot be had: a file says nowhere what it holds instead.
        """
        asked, agg = Asked.of(request), asked_agg(request)
        order = self.order(found, asked.order_text, agg)
        if self.order_fault:
            raise Invalid(self.order_fault, field="sort", got=asked.order_text[:100])
        try:
            question = queries.question(self.actor, found, asked.text, order, "deleted" if asked.deleted else "active")
        except FilterError as fault:
            raise Invalid(fault.message, code="bad_filter", field="q") from fault
        chosen = picked(self, found, request.GET)
        named = numbers(request.GET.get("runs", "")) or chosen.run_ids
        return Wanted(question, None if chosen.mode == ALL or not named else named, agg)


class RunExport(_Export):
    """The file."""

    def get(self, request: HttpRequest, form: str, experiment: str = "") -> HttpResponseBase:
        """Send all of it, read and written some hundred runs at a time."""
        found = self.place(experiment)
        try:
            body = begin(self.actor, place=found, wanted=self.wanted(request, found), form=form)
        except FilterError as fault:
            raise Invalid(fault.message, code="bad_filter", field="q") from fault
        response = StreamingHttpResponse(body, content_type=FORMS[form])
        response["Content-Disposition"] = f'attachment; filename="{_file_name(found)}.{form}"'
        return response


class RunExportAsk(_Export):
    """What would be exported."""

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Say how many runs, and offer the forms."""
        found = self.place(experiment)
        wanted, query = self.wanted(request, found), request.GET.copy()
        for own in ("agg", "step"):
            query.pop(own, None)
        try:
            count = exports.count(wanted)
        except FilterError as fault:
            raise Invalid(fault.message, code="bad_filter", field="q") from fault
        context = {
            "place": found, "at": Addresses.of(found), "count": count, "wanted": wanted,
            "text": request.GET.get("q", ""), "forms": list(FORMS), "aggregates": AGGREGATES,
            "agg_kind": wanted.agg.partition(":")[0], "agg_step": tokens.step_of(wanted.agg),
            "query": list(query.items()),
        }  # fmt: skip
        return render(request, "experiments/run_export.html", context)


def _file_name(place: Place) -> str:
    return f"{place.address if isinstance(place, Experiment) else place.project.slug}-runs"
