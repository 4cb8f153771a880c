"""Answers kept so that a repeated creating call has one effect."""

from typing import ClassVar

from django.db import models


class IdempotencyKey(models.Model):
    """One creating call and its answer, committed with its effect. Kept 24 hours."""

    user = models.ForeignKey("projects.User", models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    method_path = models.CharField(max_length=500)
    body_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_a_key")]

    def __str__(self) -> str:
        return f"{self.method_path} {self.key}"
