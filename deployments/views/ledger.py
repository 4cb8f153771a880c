"""The page of a model's retrainings: what each cost and brought, and what its versions showed live."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments.models import RegisteredModel, RetrainTrigger, VersionGap
from deployments.proof.rules import signed
from deployments.services import ledger, promised
from experiments.training.catalogue import METRICS
from projects.access import ProjectView
from projects.permissions import Permission

PAGE_ROWS = 25
MOST_GAPS = 50


@dataclass(frozen=True)
class Line:
    """One retraining as the table shows it."""

    row: RetrainTrigger
    before: str
    after: str
    drift: str
    hours: float | None


class ModelLedger(ProjectView):
    """What retraining a model cost and brought."""

    reads = RegisteredModel
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the newest retrainings, older ones by cursor, and the gap of each version."""
        model: RegisteredModel = self.find(self.rows().in_project(self.project).select_related("project"), name=name)
        rows = ledger.of_model(model).order_by("-pk")
        before = request.GET.get("before", "")
        if before.isascii() and before.isdigit():
            rows = rows.filter(pk__lt=int(before[:18]))
        found = list(rows[: PAGE_ROWS + 1])
        newest = model.versions.select_related("run").order_by("-number").first()
        context = {
            "model": model,
            "lines": [line(row) for row in found[:PAGE_ROWS]],
            "before": found[PAGE_ROWS - 1].pk if len(found) > PAGE_ROWS else "",
            "balance": ledger.balance(model),
            "gaps": gap_lines(VersionGap.objects.filter(version__model=model).order_by("-version__number")[:MOST_GAPS]),
            "bias": ledger.bias(self.project, promised.metric_of(newest)) if newest else None,
        }
        return render(request, "deployments/model_ledger.html", context)


def line(row: RetrainTrigger) -> Line:
    """Return what the table shows of one retraining."""
    hours = (row.live_at - row.created_at).total_seconds() / 3600 if row.live_at else None
    return Line(row, _figure(row.before), _figure(row.after), _drift(row), hours)


def _figure(held: dict[str, Any]) -> str:
    """Write a figure with its interval; an estimate says so."""
    if held.get("value") is not None:
        between = f" ({held['low']:.3f} to {held['high']:.3f})" if held.get("low") is not None else ""
        return f"{held['value']:.3f}{between}, {held['labelled']:,} labels"
    if held.get("estimated") is not None:
        return f"about {held['estimated']:.3f}, estimated"
    return ""


def _drift(row: RetrainTrigger) -> str:
    shares = [(held.get("drift") or {}).get("share") for held in (row.before, row.after)]
    told = [f"{share:.0%}" for share in shares if share is not None]
    return " → ".join(told)


@dataclass(frozen=True)
class GapLine:
    """One version at one endpoint, in words."""

    row: VersionGap
    metric: str
    promised: str
    live: str
    gain: str


def gap_lines(rows: Any) -> list[GapLine]:
    """Return what the table shows of gaps."""
    return [_gap_line(row) for row in rows.select_related("version__model")]


def _gap_line(row: VersionGap) -> GapLine:
    told = {"value": row.value, "low": row.low, "high": row.high, "labelled": row.labelled, "estimated": row.estimated}
    between = f" ({row.promised_low:.3f} to {row.promised_high:.3f})" if row.promised_low is not None else ""
    gain = "" if row.gain is None else signed(round(row.gain, 3))
    if row.gain_low is not None and row.gain_high is not None:
        gain += f" ({signed(round(row.gain_low, 3))} to {signed(round(row.gain_high, 3))})"
    name = METRICS[row.metric]["label"] if row.metric in METRICS else row.metric
    return GapLine(row, name, "" if row.promised is None else f"{row.promised:.3f}{between}", _figure(told), gain)
