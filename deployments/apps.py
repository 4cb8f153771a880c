"""Registers the deployments app."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """The deployments app."""

    name = "deployments"
