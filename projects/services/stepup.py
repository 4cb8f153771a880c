"""Asking again who somebody is before a change that counts: a session left open must not sign anything."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mlportal.lib import throttle
from mlportal.lib.errors import Forbidden, Invalid
from projects.actor import Actor
from projects.models import User
from projects.permissions import Permission, require
from projects.services import events, factors

CODE = "step_up_required"
WINDOW_SECONDS = 15 * 60
TRIES = 10


def due(actor: Actor) -> bool:
    """Whether a person has to prove again who they are.

    A token is exempt: minting one that may sign needed the proof. A part of the portal has nobody to ask.
    """
    if actor.kind != "user" or settings.STEP_UP_MINUTES <= 0:
        return False
    if actor.authenticated_at is None:
        return True
    return timezone.now() - actor.authenticated_at > timedelta(minutes=settings.STEP_UP_MINUTES)


def asks(actor: Actor) -> bool:
    """Whether a form may ask in place: a proof is due, and the person has a password or a code to type."""
    user = actor.user
    return due(actor) and user is not None and has_proof(user)


def has_proof(user: User) -> bool:
    """Whether the person can type a proof; who cannot signs in afresh at the provider."""
    return user.second_factor_at is not None or (settings.LOCAL_PASSWORDS and user.has_usable_password())


def require_recent(actor: Actor) -> None:
    """Refuse unless the person proved who they are within the last minutes; services of weight call this.

    Raises
    ------
    Forbidden
        With the code ``step_up_required``; a page asks in place and goes on with what was typed.
    """
    if due(actor):
        raise Forbidden(
            f"Confirm that it is you: this needs a sign-in of the last {settings.STEP_UP_MINUTES} min.",
            code=CODE, limit=settings.STEP_UP_MINUTES,
        )  # fmt: skip


def confirm(by: Actor, *, proof: str) -> None:
    """Check a password or a code of the second factor given again; the caller then notes the moment in the session.

    Raises
    ------
    Invalid
        When it is wrong.
    TooMany
        After too many tries.
    """
    require(by, Permission.ACCOUNT_EDIT, None)
    user = by.user
    assert user is not None
    key = f"step-up:{user.pk}"
    throttle.hit(key, limit=TRIES, seconds=WINDOW_SECONDS)
    right = bool(proof) and _fits(user, proof)
    with transaction.atomic():
        verb = "user.confirmed" if right else "user.confirmation_failed"
        events.record(by, verb, project=None, target=user, result="done" if right else "failed")
    if not right:
        words = "neither your password nor a fresh code" if user.second_factor_at else "not your password"
        raise Invalid(f"That is {words}.", field="step_up_proof")
    throttle.forget(key, seconds=WINDOW_SECONDS)


def _fits(user: User, proof: str) -> bool:
    if user.second_factor_at is not None and factors.is_code(proof) and factors.check(user, proof):
        return True
    return settings.LOCAL_PASSWORDS and user.check_password(proof[:1000])
