"""Ask for stored predictions to be counted again, on a new reference or by new segments."""

from collections.abc import Sequence

from django.db.models import QuerySet

from mlportal.lib import queue
from monitoring.models import Backfill, Monitor, PredictionChunk

TASK = "monitoring.backfill"


def ask(monitor: Monitor, *, columns: Sequence[str], whole: bool = False) -> Backfill | None:
    """Queue a backfill of what was shipped so far, in the transaction that holds the monitor; None when nothing was."""
    newest = chunks_of(monitor).order_by("-pk").values_list("pk", flat=True).first()
    if newest is None or not (columns or whole):
        return None
    made = Backfill.objects.create(monitor=monitor, columns=list(columns), whole=whole, until_chunk=newest)
    queue.enqueue(TASK, made.pk)
    return made


def chunks_of(monitor: Monitor) -> QuerySet[PredictionChunk]:
    """Stored predictions of the version that a monitor watches."""
    return PredictionChunk.objects.filter(
        project_id=monitor.project_id, endpoint=monitor.endpoint, label=monitor.version
    )
