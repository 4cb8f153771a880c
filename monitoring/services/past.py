"""Which alerts stood at a moment that has been, from the lines of their timelines."""

from typing import Any

from django.db.models import OuterRef, Subquery

from mlportal.lib.moments import Span
from monitoring.models import Alert, AlertTransition
from monitoring.models.alerts import OPEN, AlertState
from projects.models import Project
from projects.services.past import Section


def alerts(project: Project, span: Span) -> list[Section]:
    """Alerts that were not over, as their last change before says; two queries."""
    moves = AlertTransition.objects.filter(alert=OuterRef("pk"), kind__in=("state", "level"), at__lte=span.end)
    last = moves.order_by("-seq")
    rows: Any = (
        Alert.objects.in_project(project)
        .annotate(then=Subquery(last.values("after")[:1]), level_then=Subquery(last.values("level")[:1]),
                  since=Subquery(last.values("at")[:1]))
        .filter(then__in=OPEN)
        .select_related("rule")
        .order_by("-since", "-pk")
    )  # fmt: skip
    lines = [
        {
            "alert": row.title, "number": row.pk, "state": AlertState(row.then).label, "level": row.level_then,
            "endpoint": row.endpoint, "version": row.version, "rule": row.rule.name, "since": row.since,
            "href": f"/p/{project.slug}/alerts/{row.pk}/",
        }
        for row in rows
    ]  # fmt: skip
    columns = {
        "alert": "Alert", "state": "State", "level": "Level", "endpoint": "Endpoint", "version": "Version",
        "rule": "Rule", "since": "Since",
    }  # fmt: skip
    return [Section("alerts", "Open alerts", columns, lines, "No alert was open.")]
