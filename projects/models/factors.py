"""Second factors: the sealed key of an authenticator app, and codes for the day it is lost."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.utils import timezone

from projects.models.accounts import User

if TYPE_CHECKING:
    from projects.actor import Actor


class SecondFactorQuerySet(models.QuerySet["SecondFactor"]):
    """Reads of second factors."""

    def visible_to(self, actor: "Actor") -> Self:
        """One's own, in use."""
        return self.filter(user=actor.user, ended_at=None) if actor.user else self.none()


class SecondFactor(models.Model):
    """An authenticator app of a person, from its confirmation to its end."""

    user = models.ForeignKey(User, models.CASCADE, related_name="second_factors")
    sealed = models.TextField(help_text="The key, encrypted.")
    last_step = models.BigIntegerField(default=0, help_text="Newest time step whose code was used; none works twice.")
    began_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects = SecondFactorQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("user", condition=models.Q(ended_at=None), name="one_second_factor_in_use")
        ]

    def __str__(self) -> str:
        return f"second factor {self.pk}"


class RecoveryCode(models.Model):
    """One way in without the app. Only the sha256 is kept."""

    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="recovery_codes")
    sha256 = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint("factor", "sha256", name="recovery_code_once")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"
