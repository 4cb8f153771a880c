"""What people put on things: stars, comments, and who a comment calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models.projects import Project
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.actor import Actor


class MarkQuerySet(ProjectScoped):
    """Reads of what lies in a project."""

    def on(self, target_type: str, target_id: int) -> Self:
        """Keep those of one thing."""
        return self.filter(target_type=target_type, target_id=target_id)


class StarQuerySet(MarkQuerySet):
    """Reads of stars."""

    def visible_to(self, actor: Actor) -> Self:
        """Keep the actor's own: a star is nobody else's business."""
        return super().visible_to(actor).filter(user=actor.user) if actor.user else self.none()


class Star(models.Model):
    """Something that a person wants to find again."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="stars")
    user = models.ForeignKey("projects.User", models.CASCADE, related_name="stars")
    target_type = models.CharField(max_length=40)
    target_id = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = StarQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "target_type", "target_id"], name="one_star_a_thing")
        ]

    def __str__(self) -> str:
        return f"{self.target_type} {self.target_id}"


class Comment(models.Model):
    """What somebody said about a thing; a deleted one keeps its place and loses its words."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="comments")
    target_type = models.CharField(max_length=40)
    target_id = models.BigIntegerField()
    author = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    objects = MarkQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["target_type", "target_id", "id"], name="comment_by_target")  # the list on a page
        ]

    def __str__(self) -> str:
        return f"comment {self.pk} on {self.target_type} {self.target_id}"


class Mention(models.Model):
    """A person whom a comment calls, until they have looked."""

    comment = models.ForeignKey(Comment, models.CASCADE, related_name="mentions")
    user = models.ForeignKey("projects.User", models.CASCADE, related_name="mentions")
    seen_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["comment", "user"], name="one_mention_a_person")]
        indexes: ClassVar = [
            models.Index(fields=["user"], condition=Q(seen_at=None), name="mention_waiting")  # inbox
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.comment_id}"
