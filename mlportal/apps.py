"""App of the project itself: loads Celery and the system checks with Django."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Registers what belongs to no single app."""

    name = "mlportal"
    verbose_name = "mlportal"

    def ready(self) -> None:
        """Make our Celery app the current one in every process that may enqueue."""
        from mlportal import celery  # noqa: F401
