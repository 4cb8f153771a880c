"""The monitoring overview: one endpoint, its drift map, distributions, traffic."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone

from monitoring import charts, queries, shadows
from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, Monitor, Window
from monitoring.models.windows import DAY, HOUR, MonitorQuerySet
from monitoring.services import marked
from projects.access import ProjectView
from projects.actor import Actor
from projects.permissions import Permission

TABS = {
    "monitor-overview": "Drift",
    "monitor-performance": "Performance",
    "monitor-quality": "Quality",
    "monitor-fairness": "Fairness",
    "monitor-window": "Any window",
}
RANGES = {
    "1h": (HOUR, "1 h"),
    "24h": (DAY, "24 h"),
    "7d": (7 * DAY, "7 d"),
    "30d": (30 * DAY, "30 d"),
    "90d": (90 * DAY, "90 d"),
}
SORTS = {"drift": "latest drift", "weight": "importance", "name": "name"}
WARN, ALERT = 0.10, 0.25


def usual_range(monitor: Monitor, now: datetime) -> str:
    """Return the range a page begins with: an hour for steps of minutes, else 30 days or less that hold all windows."""
    if monitor.step_seconds <= 300:
        return "1h"
    first = queries.first_end(monitor) or now
    return next((key for key in ("24h", "7d") if (now - first).total_seconds() <= RANGES[key][0]), "30d")


@dataclass(frozen=True)
class Choice:
    """What the address asks for, with defaults for what it does not say or says wrong."""

    range_key: str
    sort: str
    measure: str
    column: str
    at: int | None

    @classmethod
    def read(cls, query: QueryDict, monitor: Monitor, now: datetime) -> "Choice":
        """Read the address."""
        at = query.get("at", "")
        return cls(
            range_key=query["range"] if query.get("range") in RANGES else usual_range(monitor, now),
            sort=query["sort"] if query.get("sort") in SORTS else "drift",
            measure=query["measure"] if query.get("measure") in queries.MEASURES else "psi",
            column=query.get("column", "")[:500],
            at=int(at) if at.isdecimal() and len(at) < 19 else None,
        )


@dataclass(frozen=True)
class Asked:
    """Which monitor an address is about: of an endpoint, else the first, what is live there or one variant."""

    number: int
    endpoints: list[str]
    variants: list[tuple[str, str]]

    @classmethod
    def read(cls, live: MonitorQuerySet, query: QueryDict) -> "Asked | None":
        """Read the address against the live monitors of a project; nothing when there are none. One query."""
        rows = list(live.order_by("endpoint", "variant").values_list("endpoint", "variant", "version", "pk"))
        endpoints = [endpoint for endpoint, variant, _version, _pk in rows if not variant]
        if not endpoints:
            return None
        wanted = query.get("endpoint", "")
        endpoint = wanted if wanted in endpoints else endpoints[0]
        held = {variant: (version, pk) for name, variant, version, pk in rows if name == endpoint}
        variant = query.get("variant", "")
        shown = [(name, version) for name, (version, _pk) in held.items()] if len(held) > 1 else []
        return cls(held[variant if variant in held else ""][1], endpoints, shown)


class Overview(ProjectView):
    """Drift, traffic and latency of one endpoint."""

    reads = Monitor
    permission = Permission.MONITOR_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the endpoint of the address, else the first."""
        asked = Asked.read(self.rows().in_project(self.project).live(), request.GET)
        if asked is None:
            return render(request, "monitoring/overview.html", {"endpoints": []})
        monitor = self.find(self.rows().in_project(self.project), pk=asked.number)
        now = timezone.now()
        page = _Page(self.actor, monitor, Choice.read(request.GET, monitor, now), now)
        context = {"endpoints": asked.endpoints, "variants": asked.variants, "tabs": TABS, **page.context()}
        return render(request, "monitoring/overview.html", context)


class _Page:
    """Collects what the template shows for one monitor."""

    def __init__(self, by: Actor, monitor: Monitor, choice: Choice, now: datetime) -> None:
        self.by, self.monitor, self.choice, self.now = by, monitor, choice, now
        self.span = RANGES[choice.range_key][0]
        self.cell = charts.cell_seconds(self.span, monitor.step_seconds)
        since = now - timedelta(seconds=self.span)
        self.windows = queries.windows_of(monitor, since=since)
        self.cells = queries.cells(
            [(window.pk, window.ends_at) for window in self.windows if window.rows],
            until=now,
            span=self.span,
            cell=self.cell,
        )
        self.features, self.outputs = queries.drift_rows(self.cells, choice.measure)
        self.latest = queries.latest_window(monitor)
        self.shown = self._shown_window()

    def context(self) -> dict[str, Any]:
        rules = AlertRule.objects.in_project(self.monitor.project).filter(enabled=True)
        open_alerts = Alert.objects.in_project(self.monitor.project).shown().filter(endpoint=self.monitor.endpoint)
        open_alerts = open_alerts.filter(monitor=self.monitor) if self.monitor.variant else open_alerts
        return {
            "monitor": self.monitor,
            "choice": self.choice,
            "ranges": [(key, label) for key, (_span, label) in RANGES.items()],
            "sorts": SORTS,
            "measures": queries.MEASURES,
            "measure_name": queries.MEASURES[self.choice.measure],
            "latest": self.latest,
            "rules_count": rules.count(),
            "alert": open_alerts.worst_first().first(),
            "facts": self._facts(),
            "cells": self.cells,
            "heat_rows": self._heat_rows(),
            "column": self._picture(self._column()),
            "output": self._picture(self._output()),
            "shown": self.shown,
            "beside": self._beside(),
            **self._series(),
        }

    def _beside(self) -> shadows.Beside | None:
        """The version that listens to the requests of what is live."""
        if self.monitor.variant:
            return None
        return shadows.beside(self.monitor, self.now - timedelta(seconds=self.span), self.now)

    def _shown_window(self) -> Window | None:
        held = {window.pk: window for window in self.windows if window.rows and window.monitor_id == self.monitor.pk}
        if self.choice.at in held:
            return held[self.choice.at]
        return max(held.values(), key=lambda window: window.ends_at, default=None)

    # --- facts

    def _facts(self) -> list[dict[str, str]]:
        judged = [row for row in self.features if row.latest is not None and row.latest.value is not None]
        drifted = [row for row in judged if row.latest is not None and row.latest.state == "alert"]
        day = timedelta(days=1)
        requests, errors = queries.requests_between(self.monitor, self.now - day, self.now)
        before, _errors = queries.requests_between(self.monitor, self.now - 2 * day, self.now - day)
        worst = max(self.features, key=lambda row: row.latest.null_share if row.latest else 0.0, default=None)
        gap = worst.latest if worst else None
        share = errors / requests if requests else 0.0
        return [
            _fact("Data drift", "bad" if drifted else "ok", f"{len(drifted)} of {len(judged)}", "features above 0.25"),
            self._prediction_fact(),
            _fact("Missing values", "warn" if gap and gap.null_excess else "ok",
                  f"{gap.null_share if gap else 0:.1%}", f"most in {gap.column}" if gap and gap.null_share else ""),
            _fact("Requests, 24 h", "ok" if requests else "", f"{requests:,}", _change(requests, before)),
            _fact("Failed requests", _failed_state(share), f"{share:.1%}", "in 24 h"),
        ]  # fmt: skip

    def _prediction_fact(self) -> dict[str, str]:
        worst = max((row for row in self.outputs if row.now is not None), key=lambda row: row.now or 0.0, default=None)
        if worst is None or worst.latest is None:
            return _fact("Prediction drift", "", "–", "not measured yet")
        state = {"alert": "bad", "warn": "warn", "ok": "ok"}.get(worst.latest.state, "")
        return _fact("Prediction drift", state, f"{worst.latest.value or 0:.2f}", "PSI of the score")

    # --- the map

    def _heat_rows(self) -> list[dict[str, Any]]:
        order = {
            "drift": lambda row: (-(row.now or 0.0), row.column),
            "weight": lambda row: (-row.weight, row.column),
            "name": lambda row: row.column,
        }[self.choice.sort]
        most = max((row.weight for row in self.features), default=0.0) or 1.0
        return [
            {
                "column": row.column,
                "weight": row.weight,
                "share": row.weight / most,
                "now": row.now,
                "tone": "poor" if (row.now or 0) >= ALERT else "soso" if (row.now or 0) >= WARN else "",
                "cells": [self._cell(row, index) for index in range(len(self.cells))],
            }
            for row in sorted(self.features, key=order)
        ]

    def _cell(self, row: queries.Row, index: int) -> dict[str, Any]:
        value, cell = row.values[index], self.cells[index]
        on = self.shown is not None and cell.window_id == self.shown.pk and row.column == self._column()
        printed = f"{value:.2f}".removeprefix("0") if value is not None and value >= ALERT else ""
        words = "no data" if value is None else f"{value:.2f}"
        return {
            "class": charts.heat(value) + (" on" if on else ""), "printed": printed, "window": cell.window_id,
            "words": words, "name": cell.name,
        }  # fmt: skip

    # --- distributions

    def _column(self) -> str:
        names = [row.column for row in self.features]
        if self.choice.column in names:
            return self.choice.column
        worst = max(self.features, key=lambda row: row.now or 0.0, default=None)
        return worst.column if worst else ""

    def _output(self) -> str:
        names = [row.column for row in self.outputs]
        return next((name for name in shape.OUTPUTS if name in names), "")

    def _picture(self, column: str) -> dict[str, Any] | None:
        if not column or self.shown is None:
            return None
        row = next(row for row in [*self.features, *self.outputs] if row.column == column)
        counts = queries.counts_of(self.monitor, [column], self.shown.starts_at, self.shown.ends_at).get(column)
        called = marked.hidden_from(self.by, monitor=self.monitor).namer(column)
        made = charts.bars(self.monitor.reference[column], counts, called=called) if counts else None
        name = shape.display(column)
        score = self.shown.scores.filter(column=column).first()
        return {"name": name, "bars": made, "plot": made.plot(name) if made else None, "score": score, "row": row}

    # --- traffic

    def _series(self) -> dict[str, Any]:
        times = [window.ends_at for window in self.windows]
        asked = [float(window.requests) for window in self.windows]
        failed = [float(window.errors) for window in self.windows]
        p50 = [_ms(window.latency_p50_us) for window in self.windows]
        p99 = [_ms(window.latency_p99_us) for window in self.windows]
        traffic = charts.Series(times, [charts.Line("Requests", asked), charts.Line("Failed", failed, 4)])
        latency = charts.Series(times, [charts.Line("p50", p50), charts.Line("p99", p99, 2, 1)], unit="ms")
        made: dict[str, Any] = {"has_traffic": any(asked)}
        for name, series, fmt in (("traffic", traffic, ",.0f"), ("latency", latency, ",.1f")):
            made |= {name: series, f"{name}_plot": series.plot(fmt)}
        return made


def _fact(label: str, state: str, value: str, small: str) -> dict[str, str]:
    icon = {"ok": "circle-check", "warn": "alert-triangle", "bad": "circle-x"}.get(state, "circle-dashed")
    return {"label": label, "state": state, "icon": icon, "value": value, "small": small}


def _failed_state(share: float) -> str:
    return "bad" if share >= 0.05 else "warn" if share >= 0.01 else "ok"


def _change(now: int, before: int) -> str:
    if not before:
        return ""
    return f"{(now - before) / before:+.0%}".replace("-", "−")


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value / 1000, 3)
