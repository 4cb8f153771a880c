"""Celery tasks of the portal itself."""

from celery import shared_task

from projects.models import Project


@shared_task(name="mlportal.load_example")
def load_example(project_id: int) -> None:
    """Fill the example project whose people exist."""
    import structlog

    from mlportal import demo

    log = structlog.get_logger(__name__)
    demo.fill(Project.objects.get(pk=project_id), lambda step: log.info("example project", step=step))
