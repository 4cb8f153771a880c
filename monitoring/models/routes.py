"""Which channel is told of which alerts, and what a group of alerts was told."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from projects.models.scoped import ProjectScoped


class RouteQuerySet(ProjectScoped["AlertRoute"]):
    """Reads of routes."""

    def in_force(self) -> "RouteQuerySet":
        """Routes that are applied, in their order."""
        return self.filter(removed_at=None, enabled=True).order_by("position", "pk")


class AlertRoute(models.Model):
    """One line of the ordered list: alerts whose labels match go to its channel; the first that matches takes them."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="alert_routes")
    position = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=100)
    matchers = models.CharField(max_length=500, blank=True, help_text="Empty: every alert.")
    channel = models.ForeignKey("projects.Channel", models.PROTECT, related_name="+")
    enabled = models.BooleanField(default=True)
    group_by = models.JSONField(default=list, help_text="Labels that alerts of one message share.")
    group_wait = models.PositiveIntegerField(default=30)
    group_interval = models.PositiveIntegerField(default=300)
    repeat = models.PositiveIntegerField(default=4 * 3600)
    repeat_critical = models.PositiveIntegerField(default=3600)
    escalate_after = models.PositiveIntegerField(default=1800, help_text="0: never.")
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    objects = RouteQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class AlertGroup(models.Model):
    """Alerts of one route that share the labels it groups by: what was told of them, and when to look again."""

    route = models.ForeignKey(AlertRoute, models.CASCADE, related_name="groups")
    key = models.CharField(max_length=64)
    labels = models.JSONField(default=dict)
    told = models.JSONField(default=dict, help_text="Number of each alert that was told as firing, and its level.")
    due_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    sent = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["route", "key"], name="one_group_a_key")]
        indexes: ClassVar = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="alert_group_due")]

    def __str__(self) -> str:
        return f"{self.route_id} {self.key[:12]}"
