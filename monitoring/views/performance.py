"""Pages of one endpoint beside its drift: performance, quality, fairness, and any window of any segment."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.module_loading import import_string

from mlportal.lib import moments
from mlportal.lib.errors import Invalid
from monitoring import charts, history, queries
from monitoring.drift import fairness, measures, performance, shape
from monitoring.models import Backfill, LabelBucket, Monitor
from monitoring.services import marked
from monitoring.views.overview import RANGES, TABS, Asked, usual_range
from projects.access import ProjectView
from projects.permissions import Permission
from projects.services.marks import Hidden

LONGEST = timedelta(days=90)


class _Watched(ProjectView):
    """A page about the endpoint of the address, else the first; without one it says how it begins."""

    reads = Monitor
    permission = Permission.MONITOR_VIEW
    tab: str

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the page."""
        asked = Asked.read(self.rows().in_project(self.project).live(), request.GET)
        if asked is None:
            return render(request, "monitoring/overview.html", {"endpoints": []})
        monitor = self.find(self.rows().in_project(self.project), pk=asked.number)
        now = timezone.now()
        wanted = request.GET.get("range", "")
        key = wanted if wanted in RANGES else usual_range(monitor, now)
        self.span = RANGES[key][0]
        self.since, self.now = now - timedelta(seconds=self.span), now
        context = {
            "endpoints": asked.endpoints, "variants": asked.variants, "monitor": monitor,
            "tab": self.tab, "tabs": TABS, "nav": "monitoring",
            "range_key": key,
            "ranges": [(name, word) for name, (_seconds, word) in RANGES.items()],
            **self.context(request, monitor),
        }  # fmt: skip
        return render(request, f"monitoring/{self.tab.removeprefix('monitor-')}.html", context)

    def context(self, request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
        """Return what the template of this page shows."""
        raise NotImplementedError

    def segment(self, request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
        """Return the segment of the address when there is one, and all there are, as the reader may know them."""
        known = history.segments_of(monitor, self.since)
        self.hidden = marked.hidden_from(self.actor, monitor=monitor)
        self.called = marked.called(known, self.hidden)
        wanted = request.GET.get("segment", "")
        return {"segment": wanted if wanted in self.called else "", "segments": list(self.called)}


class Performance(_Watched):
    """Performance from labels in the predictions' own windows, and what is estimated without them."""

    tab = "monitor-performance"

    def context(self, request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
        """Draw the chosen figure, with its estimate, and the labels it rests on."""
        chosen = self.segment(request, monitor)
        cell = charts.cell_seconds(self.span, monitor.bucket_seconds)
        points = history.points(
            self.project, monitor.endpoint, since=self.since, until=self.now, cell=cell,
            segment=self.called.get(chosen["segment"], ""),
            only=monitor if monitor.variant else None,
        )  # fmt: skip
        known = [name for name in measures.PERFORMANCE if any(_has(point, name) for point in points)]
        figure = request.GET.get("figure", "")
        figure = figure if figure in known else next(iter(known), "")
        whole = history.of_labels(
            performance.merge(cells for point in points for cells in point.cells),
            sum(point.answered for point in points),
        )
        series = _performance_series(points, figure, self.marks(monitor)) if figure else None
        return {
            **chosen, "trial": import_string(settings.RUNNING_TRIAL)(self.project, monitor.endpoint),
            "figures": {name: measures.PERFORMANCE[name] for name in known}, "figure": figure,
            "words": measures.PERFORMANCE.get(figure, ""), "series": series,
            "plot": series.plot(".3f") if series else None, "facts": _label_facts(whole),
            "rows": [
                (measures.PERFORMANCE[name], whole.get(f"performance.{name}"), _latest(points, name)) for name in known
            ],
            "assumption": measures.ASSUMPTION, "estimable": "estimate" in monitor.reference.get(shape.SCORE, {}),
            "coverage": _coverage(points),
        }  # fmt: skip

    def marks(self, monitor: Monitor) -> list[tuple[datetime, str]]:
        """Return when versions went live."""
        found = [monitor] if monitor.variant else history.monitors_between(self.project, monitor.endpoint, self.since)
        return [(one.valid_from, one.version) for one in found if one.valid_from > self.since]


class Quality(_Watched):
    """Missing, unseen and outlying values by feature, repeated rows, and requests of another schema."""

    tab = "monitor-quality"

    def context(self, request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
        """Show the newest window and the range as a whole."""
        latest = queries.latest_window(monitor)
        scores = list(latest.scores.filter(role="feature")) if latest else []
        hidden = marked.hidden_from(self.actor, monitor=monitor)
        for one in scores:
            one.others = {} if one.column in hidden else one.others
        whole = history.measured(monitor, self.since, self.now, shape.QUALITY)
        requests, errors = queries.requests_between(monitor, self.since, self.now)
        return {
            "latest": latest,
            "scores": sorted(scores, key=lambda one: (-_trouble(one), one.column)),
            "facts": _quality_facts(whole, requests, errors),
        }


class Fairness(_Watched):
    """How the groups of the sensitive columns were treated, in the range and over time."""

    tab = "monitor-fairness"

    def context(self, request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
        """Show each group and the gaps between them."""
        labels = LabelBucket.objects.filter(monitor=monitor, hour__gte=self.since, hour__lt=self.now).exclude(
            segment=""
        )
        cells: dict[str, list[performance.Cells]] = {}
        for segment, held in labels.values_list("segment", "cells"):
            cells.setdefault(segment, []).append(held)
        cells_by = {segment: performance.merge(held) for segment, held in cells.items()}
        found = history.fairness_of(monitor, self.since, self.now, cells_by)
        hidden = marked.hidden_from(self.actor, monitor=monitor)
        return {
            "columns": [
                _Column(name, _coded(name, groups, hidden) if name in hidden else groups, fairness.figures(groups))
                for name, groups in found.items()
            ],
            "names": measures.FAIRNESS, "four_fifths": fairness.FOUR_FIFTHS, "small": fairness.SMALL,
        }  # fmt: skip


class AnyWindow(_Watched):
    """Drift and figures between any two moments, of all requests or one segment, from stored counts."""

    tab = "monitor-window"

    def context(self, request: HttpRequest, monitor: Monitor) -> dict[str, Any]:
        """Compare the window of the address with the reference."""
        start, end, fault = _window(request, self.now, monitor)
        chosen = self.segment(request, monitor)
        within = self.called.get(chosen["segment"], "")
        scores = history.scores_between(monitor, start, end, within)
        column = request.GET.get("column", "")
        names = [one.column for one in scores]
        column = column if column in names else next(iter(names), "")
        counts = history.counts_between(monitor, column, start, end, within) if column else None
        bars = charts.bars(monitor.reference[column], counts, called=self.hidden.namer(column)) if counts else None
        return {
            **chosen, "start": start, "end": end, "fault": fault, "column": column, "bars": bars,
            "name": shape.display(column), "plot": bars.plot(shape.display(column)) if bars else None,
            "scores": sorted(scores, key=lambda one: (-(one.value or 0.0), one.column)),
            "backfill": Backfill.objects.filter(monitor=monitor).first(),
        }  # fmt: skip


def _coded(column: str, groups: list[fairness.Group], hidden: Hidden) -> list[fairness.Group]:
    """Groups whose names are hidden, called as everywhere else."""
    return [replace(group, name=hidden.called(column, group.name)) for group in groups]


@dataclass(frozen=True)
class _Column:
    name: str
    groups: list[fairness.Group]
    figures: dict[str, float]

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Gaps by the words for them."""
        return [(measures.FAIRNESS[name], value) for name, value in self.figures.items()]

    @property
    def unfair(self) -> bool:
        """Whether the smallest selection rate is under four fifths of the largest."""
        return self.figures.get("selection_rate_ratio", 1.0) < fairness.FOUR_FIFTHS


def _has(point: history.Point, name: str) -> bool:
    return name in point.estimated or f"performance.{name}" in point.measures


def _performance_series(points: list[history.Point], figure: str, marks: list[tuple[datetime, str]]) -> charts.Series:
    real = [held.value if (held := point.measures.get(f"performance.{figure}")) else None for point in points]
    lines = [charts.Line("From labels", real)]
    if any(figure in point.estimated for point in points):
        lines.append(charts.Line("Estimate", [point.estimated.get(figure) for point in points], 2, 1))
        bands = [point.band.get(figure) for point in points]
        lines.append(charts.Line("Usual, low", [band.low if band else None for band in bands], 3, 2))
        lines.append(charts.Line("Usual, high", [band.high if band else None for band in bands], 3, 2))
    return charts.Series([point.ends_at for point in points], lines, marks=marks)


def _coverage(points: list[history.Point]) -> list[tuple[datetime, int, int]]:
    """End, predictions and labels of the newest stretches with predictions, newest first."""
    held = [(point.ends_at, point.answered, sum(performance.size(cells) for cells in point.cells)) for point in points]
    return [row for row in reversed(held) if row[1] or row[2]][:24]


def _latest(points: list[history.Point], name: str) -> float | None:
    return next((point.estimated[name] for point in reversed(points) if name in point.estimated), None)


def _label_facts(whole: dict[str, measures.Measure]) -> list[dict[str, str]]:
    coverage, lag = whole.get("label.coverage"), whole.get("label.lag")
    shown = f"{coverage.value:.1%}" if coverage and coverage.value is not None else "–"
    wait = f"{lag.value:,.1f} h" if lag and lag.value is not None else "–"
    return [
        {"label": "Label coverage", "value": shown, "small": coverage.detail if coverage else "no predictions yet"},
        {"label": "Label lag", "value": wait, "small": "median from prediction to label"},
    ]


def _quality_facts(whole: dict[str, measures.Measure], requests: int, errors: int) -> list[dict[str, str]]:
    def share(name: str) -> str:
        held = whole.get(name)
        return "–" if held is None or held.value is None else f"{held.value:.1%}"

    told, lost = whole.get("quality.schema"), whole.get("log.dropped")
    rejected = f"{errors / requests:.1%}" if requests else "–"
    missing = f"{lost.value:,.0f}" if lost and lost.value else "0"
    return [
        {"label": "Repeated rows", "value": share("quality.duplicates"), "small": "came before in the range"},
        {"label": "Another schema", "value": share("quality.schema"), "small": told.detail if told else ""},
        {"label": "Rejected requests", "value": rejected, "small": f"{errors:,} of {requests:,}"},
        {"label": "Missing in the log", "value": missing, "small": "predictions"},
    ]


def _trouble(one: Any) -> float:
    return float(one.null_excess + one.unseen_share + one.outside_share)


def _window(request: HttpRequest, now: datetime, monitor: Monitor) -> tuple[datetime, datetime, str]:
    """Return the window of the address; without one, or with a wrong one, the newest of the monitor's length."""
    usual = (now - monitor.window, now)
    given = [request.GET.get(name, "") for name in ("from", "to")]
    if not any(given):
        return *usual, ""
    try:
        start, end = (moments.read(text, field="A moment").start for text in given)
    except Invalid:
        return *usual, "Give both moments as 2026-05-31T08:00, in UTC."
    if not start < end <= start + LONGEST:
        return *usual, "The end comes after the start, at most 90 days later."
    return start, end, ""
