"""How long the predictions of each endpoint are kept, and who forgets them."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from deployments.models import Endpoint
from monitoring.models import Monitor
from monitoring.services import retention
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission


def days_of(endpoint: Endpoint | None) -> int:
    """Return for how many days predictions are kept; 0 for ever. Models served elsewhere go by the installation."""
    return (endpoint.log_days if endpoint else 0) or int(settings.PREDICTION_DAYS)


def forget_due() -> int:
    """Forget what is older than it is kept, endpoint by endpoint. Returns how many predictions went."""
    gone = 0
    kept = {(one.project_id, one.name): days_of(one) for one in Endpoint.objects.only("project_id", "name", "log_days")}
    watched = Monitor.objects.order_by().values_list("project", "endpoint").distinct()
    for place in sorted({*kept, *watched}):
        days = kept.get(place, days_of(None))
        if not days:
            continue
        project = Project.objects.get(pk=place[0])
        by = Actor.system("retention", project=project, grants={Permission.MONITOR_EDIT})
        before = timezone.now() - timedelta(days=days)
        gone += retention.forget(by, project=project, endpoint=place[1], before=before).predictions
    return gone
