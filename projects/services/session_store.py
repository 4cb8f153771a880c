"""The session engine: Django's own on a table that also says whose session it is, keyed by a hash."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone

from projects.models import Session

# A browser that has not signed in keeps where it wanted to go, and no longer than a sign-in takes.
STRANGER_SECONDS = 15 * 60
STARTED, AUTHENTICATED = "started", "authenticated"


def kept(key: str) -> str:
    """Return what the table holds of a key: 160 bits of its sha256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def handle(key: str) -> str:
    """Return the public name of a session."""
    return hashlib.sha256(f"handle:{key}".encode("utf-8", "surrogatepass")).hexdigest()[:20]


class SessionStore(DatabaseStore):
    """One session. ``row`` is its row as loaded in this request."""

    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table."""
        return Session

    def exists(self, session_key: str) -> bool:
        """Whether a row has this key."""
        return super().exists(kept(session_key))

    def delete(self, session_key: str | None = None) -> None:
        """Remove the row."""
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(session_key=kept(key)).delete()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Build the row: it ends at the latest a fixed time after the sign-in, however busy it is."""
        now, key = timezone.now(), self._get_or_create_session_key()  # type: ignore[attr-defined]
        started = _moment(data.get(STARTED)) or now
        user = data.get("_auth_user_id")
        seconds = settings.SESSION_COOKIE_AGE if user else STRANGER_SECONDS
        return Session(
            session_key=kept(key), session_data=self.encode(data), handle=handle(key), user_id=user and int(user),
            expire_date=started + timedelta(seconds=seconds), started_at=started, seen_at=now,
            address=data.get("address", ""), agent=data.get("agent", ""), method=data.get("method", ""),
        )  # fmt: skip

    def _get_session_from_db(self) -> Session | None:
        found = Session.objects.filter(session_key=kept(self.session_key or "")).living().first()
        if found is None:
            self._session_key = None
        self.row = found
        return found


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, (int, float)) else None


def authenticated_at(session: Any) -> datetime | None:
    """When the person of this session last proved who they are."""
    return _moment(session.get(AUTHENTICATED))
