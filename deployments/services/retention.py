"""How long the predictions of each endpoint and the statistics of each project are kept, and who forgets them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from deployments.models import Endpoint
from monitoring.models import Monitor, Prediction
from monitoring.services import retention, statistics
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission
from projects.services import legal_holds


def days_of(endpoint: Endpoint | None) -> int:
    """Return for how many days predictions are kept; 0 for ever. Models served elsewhere go by the installation."""
    return (endpoint.log_days if endpoint else 0) or int(settings.PREDICTION_DAYS)


@dataclass(frozen=True)
class Due:
    """What is over its days: predictions of one endpoint, or the statistics of a project.

    Parameters
    ----------
    kept : str
        Why nothing of it goes; empty when it goes.
    """

    project: str
    what: str
    days: int
    rows: int
    kept: str = ""


def due() -> list[Due]:
    """Tell what the next rounds would forget; nothing is changed."""
    found = []
    for project, endpoint, days in _places():
        rows = Prediction.objects.filter(project=project, endpoint=endpoint, id__lt=retention.first_id(_before(days)))
        found.append(_due(project, f"predictions of {endpoint}", days, rows.count()))
    for project in _watched() if settings.STATISTICS_DAYS else ():
        rows_of = statistics.tally(project, before=_before(settings.STATISTICS_DAYS))
        found.append(_due(project, "statistics", settings.STATISTICS_DAYS, sum(rows_of.values())))
    return [each for each in found if each.rows]


def forget_due() -> int:
    """Forget predictions that are older than they are kept, endpoint by endpoint. Returns how many went."""
    gone = 0
    for project, endpoint, days in _places():
        by = _system(project)
        gone += retention.forget(by, project=project, endpoint=endpoint, before=_before(days)).predictions
    return gone


def forget_statistics_due() -> int:
    """Forget statistics that are older than the installation keeps them. Returns how many rows went."""
    if not settings.STATISTICS_DAYS:
        return 0
    before = _before(settings.STATISTICS_DAYS)
    return sum(
        sum(statistics.forget(_system(project), project=project, before=before).values()) for project in _watched()
    )


def _places() -> Iterator[tuple[Project, str, int]]:
    """Endpoints whose predictions have days, also those of models served elsewhere."""
    kept = {(one.project_id, one.name): days_of(one) for one in Endpoint.objects.only("project_id", "name", "log_days")}
    watched = Monitor.objects.order_by().values_list("project", "endpoint").distinct()
    for number, endpoint in sorted({*kept, *watched}):
        if days := kept.get((number, endpoint), days_of(None)):
            yield Project.objects.get(pk=number), endpoint, days


def _watched() -> list[Project]:
    return list(Project.objects.filter(pk__in=Monitor.objects.values("project")).order_by("pk"))


def _before(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def _due(project: Project, what: str, days: int, rows: int) -> Due:
    held = legal_holds.WORDS if rows and legal_holds.stands(project) else ""
    return Due(project.slug, what, days, rows, held)


def _system(project: Project) -> Actor:
    return Actor.system("retention", project=project, grants={Permission.MONITOR_EDIT})
