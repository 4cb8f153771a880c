"""Registers the projects app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """The projects app."""

    name = "projects"
