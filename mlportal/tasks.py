"""Celery tasks of the portal itself."""

from celery import shared_task

from mlportal import collection
from mlportal.lib import leftovers
from mlportal.lib.errors import DomainError
from projects.models import Project


@shared_task(name="mlportal.sweep_uploads", ignore_result=True)
def sweep_uploads() -> int:
    """Remove parts of uploads whose process was killed."""
    return leftovers.sweep_parts()


@shared_task(name="mlportal.collect_files", ignore_result=True)
def collect_files() -> None:
    """Remove files that no row has named for a day."""
    collection.collect()


@shared_task(name="mlportal.load_example")
def load_example(project_id: int) -> None:
    """Fill the example project whose people exist."""
    import structlog

    from mlportal import demo, example

    log = structlog.get_logger(__name__)

    def say(step: str) -> None:
        log.info("example project", step=step)
        example.tell(step)

    try:
        demo.fill(Project.objects.get(pk=project_id), say)
    except (demo.DemoFailed, DomainError) as problem:
        example.tell("The example stopped half way", failure=str(problem))
        raise
    example.tell("The example is ready", done=True)
