"""The runs of a filter as a file."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from experiments import charts, metricstore, queries
from experiments.metricstore import FilterError, Question
from experiments.queries import RunFacts
from experiments.views.runs_of import Asked, RunsOf
from mlportal.lib.errors import Invalid

EXPORT_LIMIT = 10_000


class RunExport(RunsOf):
    """The runs of a filter as a file."""

    def get(self, request: HttpRequest, experiment: str, form: str) -> HttpResponseBase:
        """Send at most 10,000 runs in the table's order, as CSV or JSON."""
        found, asked = self.experiment(experiment), Asked.of(request)
        order = self.order(found, asked.order_text, asked.agg)
        try:
            question = queries.question(self.actor, found, asked.text, order, "deleted" if asked.deleted else "active")
            rows = list(_all_rows(question))
        except FilterError as fault:
            raise Invalid(fault.message, code="bad_filter", field="q") from fault
        body = _csv(rows) if form == "csv" else _json(rows)
        kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
        response = StreamingHttpResponse(body, content_type=kind)
        response["Content-Disposition"] = f'attachment; filename="{found.address}-runs.{form}"'
        return response


def _all_rows(question: Question) -> Iterator[RunFacts]:
    cursor, left = "", EXPORT_LIMIT
    while left > 0:
        found = metricstore.search(question, limit=min(1000, left), after=cursor)
        yield from queries.facts_of(found.run_ids)
        cursor, left = found.after, left - len(found.run_ids)
        if not cursor:
            return


def _csv(rows: list[RunFacts]) -> Iterator[str]:
    metrics = sorted({name for r in rows for name in r.metrics})
    params = sorted({name for r in rows for name in r.params})
    head = ["run", "name", "state", "user", "dataset", "started_at", "took_seconds"]
    yield _csv_line([*head, *(f"metrics.{m}" for m in metrics), *(f"params.{p}" for p in params)])
    for row in rows:
        run = row.run
        facts = [
            run.pk, run.name, run.state, run.created_by.username if run.created_by else "",
            queries.dataset_label(run) or "", run.started_at.isoformat() if run.started_at else "", run.took_seconds,
        ]  # fmt: skip
        yield _csv_line([*facts, *(row.value(m) for m in metrics), *(row.params.get(p, "") for p in params)])


def _csv_line(values: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(["" if v is None else _harmless(v) for v in values])
    return out.getvalue()


def _harmless(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a quote in front."""
    if (
        not isinstance(value, str)
        or value[:1] not in ("=", "+", "-", "@", "\t", "\r")
        or charts.number(value) is not None
    ):
        return value
    return f"'{value}"


def _json(rows: list[RunFacts]) -> Iterator[str]:
    yield "["
    for at, row in enumerate(rows):
        metrics = {name: p.value if math.isfinite(p.value) else repr(p.value) for name, p in row.metrics.items()}
        item = {
            "run": row.run.pk, "name": row.run.name, "state": row.run.state, "dataset": queries.dataset_label(row.run),
            "metrics": metrics, "params": row.params, "tags": row.tags,
        }  # fmt: skip
        yield ("," if at else "") + json.dumps(item)
    yield "]"
