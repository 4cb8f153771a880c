"""Who is signed in where: the rows behind the session cookies."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.db import models
from django.utils import timezone
from django.utils.module_loading import import_string

from projects.models.accounts import User

if TYPE_CHECKING:
    from projects.actor import Actor


class SessionQuerySet(models.QuerySet["Session"]):
    """Reads of sessions."""

    def living(self) -> Self:
        """Those that a cookie can still open."""
        return self.filter(expire_date__gt=timezone.now())

    def visible_to(self, actor: "Actor") -> Self:
        """One's own; an administrator ends others' without reading them."""
        return self.living().filter(user=actor.user) if actor.user else self.none()


class Session(AbstractBaseSession):
    """One browser. ``session_key`` holds a hash of the key in the cookie, so a copy of the table opens nothing."""

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="sessions")
    handle = models.CharField(max_length=20, db_index=True, help_text="Names the session in addresses; opens nothing.")
    address = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=300, blank=True)
    method = models.CharField(max_length=20, blank=True, help_text="How the person signed in.")
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar = BaseSessionManager.from_queryset(SessionQuerySet)()

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        verbose_name = "session"

    def __str__(self) -> str:
        return f"session {self.handle}"

    @classmethod
    def get_session_store_class(cls) -> Any:
        """Where its data is read and written."""
        return import_string(f"{settings.SESSION_ENGINE}.SessionStore")
