"""Registers the experiments app."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """The experiments app."""

    name = "experiments"
