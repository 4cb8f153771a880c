"""Sessions of people: what is noted at sign-in, the list, ending them, and the end of idle ones."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from mlportal.lib.errors import Missing
from mlportal.lib.peer import address_of
from projects.actor import Actor
from projects.models import Session, User
from projects.permissions import Permission, require
from projects.services import events
from projects.services.session_store import AUTHENTICATED, STARTED, handle

NOTED_SECONDS = 60
# What an open page asks by itself is no sign that somebody sits before it.
BY_ITSELF = ("/live/", "/shell/", "/progress/")


def on_sign_in(sender: object, request: HttpRequest, **_: Any) -> None:
    """Note in a fresh session when and where the person signed in."""
    del sender
    now = timezone.now().timestamp()
    request.session.update(
        {
            STARTED: now, AUTHENTICATED: now, "address": address_of(request),
            "agent": request.META.get("HTTP_USER_AGENT", "")[:300],
        }
    )  # fmt: skip


def note_proof(request: HttpRequest, at: datetime | None) -> None:
    """Note when an identity provider last asked the person; unknown counts as never."""
    request.session[AUTHENTICATED] = at.timestamp() if at else 0


def proved(request: HttpRequest) -> None:
    """Note that the person of this session has just proved who they are; the key changes with the privilege."""
    request.session[AUTHENTICATED] = timezone.now().timestamp()
    request.session.cycle_key()


def name_of(session: Any) -> str:
    """Return the public name of a session, empty for one that is not kept."""
    return handle(session.session_key) if session.session_key else ""


def idle_seconds(user: User) -> int:
    """How long a session of this person may rest; 0: as long as it lives."""
    minutes = settings.SESSION_IDLE_MINUTES
    if user.is_site_admin and settings.SESSION_IDLE_MINUTES_ADMIN:
        minutes = min(minutes or settings.SESSION_IDLE_MINUTES_ADMIN, settings.SESSION_IDLE_MINUTES_ADMIN)
    return int(minutes * 60)


def rested_too_long(row: Session | None, user: User) -> bool:
    """Whether nobody used the session for longer than this person's sessions may rest."""
    limit = idle_seconds(user)
    return bool(limit and row and timezone.now() - row.seen_at > timedelta(seconds=limit))


def seen(row: Session | None, path: str) -> None:
    """Note that the session is in use, at most once a minute."""
    now = timezone.now()
    if row is None or path.endswith(BY_ITSELF) or now - row.seen_at < timedelta(seconds=NOTED_SECONDS):
        return
    Session.objects.filter(pk=row.pk).update(seen_at=now)


def note_idle(by: Actor) -> None:
    """Record that a session ended because nobody used it."""
    require(by, Permission.ACCOUNT_EDIT, None)
    with transaction.atomic():
        Session.objects.filter(handle=by.session, user=by.user).delete()
        events.record(by, "session.idle", project=None, target=by.user, data={"session": by.session})


def end(by: Actor, *, handle: str) -> None:
    """End one of one's own sessions.

    Raises
    ------
    Missing
        When it is none of one's own, or has ended.
    """
    require(by, Permission.SESSION_END, None)
    with transaction.atomic():
        gone, _ = Session.objects.visible_to(by).filter(handle=handle).delete()
        if not gone:
            raise Missing("You have no such session; it may have ended.")
        events.record(by, "session.ended", project=None, target=by.user, data={"session": handle})


def end_others(by: Actor) -> int:
    """End every session of one's own but the one that asks. Returns how many ended."""
    require(by, Permission.SESSION_END, None)
    with transaction.atomic():
        gone = drop(by.user, spare=by.session)
        events.record(by, "session.others_ended", project=None, target=by.user, data={"sessions": gone})
    return gone


def end_all_of(by: Actor, *, user: User) -> int:
    """End every session of somebody, as an administrator. Returns how many ended."""
    require(by, Permission.SITE_ADMIN, None)
    with transaction.atomic():
        gone = drop(user, spare=by.session)
        events.record(by, "session.all_ended", project=None, target=user, data={"sessions": gone})
    return gone


def drop(user: User | None, *, spare: str = "") -> int:
    """Remove a person's sessions inside the caller's change, but the one named. Returns how many there were."""
    if user is None:
        return 0
    return int(Session.objects.filter(user_id=user.pk).exclude(handle=spare or "-").delete()[0])


def forget_ended() -> int:
    """Remove rows that no cookie opens any more. Returns how many."""
    return int(Session.objects.filter(expire_date__lte=timezone.now()).delete()[0])
