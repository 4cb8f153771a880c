"""Registers the projects app."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class ProjectsConfig(AppConfig):
    """The projects app."""

    name = "projects"

    def ready(self) -> None:
        """Note the beginning of every session, whoever begins it."""
        from projects.services import sessions

        user_logged_in.connect(sessions.on_sign_in, dispatch_uid="sessions.on_sign_in")
