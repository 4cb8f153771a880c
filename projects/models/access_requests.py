"""Requests of people who want a role in a project."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models.projects import Project
from projects.permissions import Role

if TYPE_CHECKING:
    from projects.actor import Actor


class AccessRequestQuerySet(models.QuerySet["AccessRequest"]):
    """Reads of requests for access."""

    def visible_to(self, actor: "Actor") -> Self:
        """Requests to projects the actor may see, and the person's own."""
        if actor.user is None:
            return self.none()
        return self.filter(Q(project__in=Project.objects.visible_to(actor)) | Q(user=actor.user))

    def waiting(self) -> Self:
        """Requests that nobody has answered."""
        return self.filter(state=AccessRequest.State.WAITING)


class AccessRequest(models.Model):
    """A person asks for a role. ``project`` is empty when no project has the address that was typed."""

    class State(models.TextChoices):
        WAITING = "waiting"
        GRANTED = "granted"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    # Kept for addresses of no project too, so that limits and answers never tell which addresses exist.
    asked_for = models.CharField(max_length=50)
    project = models.ForeignKey(Project, models.CASCADE, related_name="access_requests", null=True)
    user = models.ForeignKey("projects.User", models.PROTECT, related_name="access_requests")
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    reason = models.TextField()
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    answer = models.TextField(blank=True)
    granted_role = models.CharField(max_length=10, blank=True)
    granted_until = models.DateTimeField(null=True)
    # When the person saw the answer: until then it stands in their inbox.
    seen_at = models.DateTimeField(null=True)

    objects = AccessRequestQuerySet.as_manager()

    class Meta:
        verbose_name = "request for access"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "asked_for"], condition=Q(state="waiting"), name="one_waiting_request_a_project"
            )
        ]
        indexes: ClassVar = [
            # serves the inbox of admins and the count beside its name
            models.Index(fields=["project"], condition=Q(state="waiting"), name="access_request_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.user} asks for {self.role} in {self.asked_for}"
