"""The audit log, which is also the outbox: append-only, hash-chained, one row an acknowledged change."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from projects.actor import Actor


class ChainHead(models.Model):
    """The one row that is locked while an event is appended, so that the chain never forks."""

    seq = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"event {self.seq}"


class EventQuerySet(models.QuerySet["Event"]):
    """Reads of the audit log."""

    def visible_to(self, actor: "Actor") -> Self:
        """Events of the actor's projects; those without a project for a site administrator only."""
        from projects.models.projects import Project

        inside = Q(project__in=Project.objects.visible_to(actor))
        if actor.user is not None and actor.user.is_site_admin:
            inside |= Q(project=None)
        return self.filter(inside)


class Event(models.Model):
    """One acknowledged change. Never updated, never deleted: triggers in the database refuse both."""

    seq = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField()
    verb = models.CharField(max_length=60)
    project = models.ForeignKey("projects.Project", models.DO_NOTHING, null=True, related_name="events")
    actor_kind = models.CharField(max_length=10)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=220)
    token_id = models.BigIntegerField(null=True)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.BigIntegerField(null=True)
    target_label = models.CharField(max_length=200, blank=True)
    data = models.JSONField(default=dict)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-seq"], name="event_by_project"),  # activity, audit page
            models.Index(fields=["target_type", "target_id", "-seq"], name="event_by_target"),  # timelines
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.actor_name} {self.verb} {self.target_label}"


class EventDelivery(models.Model):
    """Work that one consumer owes one event; written with the event, done exactly once."""

    event = models.ForeignKey(Event, models.DO_NOTHING, related_name="deliveries")
    task = models.CharField(max_length=100)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    failure = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["event", "task"], name="one_delivery_a_consumer")]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=Q(done_at=None), name="delivery_open")  # republish_events
        ]

    def __str__(self) -> str:
        return f"{self.task} of event {self.event_id}"
