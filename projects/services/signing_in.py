"""Signing in and out: names and passwords, the second step, who is counted as trying too often."""

import hashlib

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import transaction
from django.utils import timezone

from mlportal.lib import names, throttle
from mlportal.lib.errors import Forbidden, Invalid
from mlportal.lib.lease import scrub
from projects.actor import Actor
from projects.models import User
from projects.permissions import Permission, require
from projects.services import events, factors, known_browsers

WINDOW_SECONDS = 15 * 60
TRIES_PER_ACCOUNT = 10
TRIES_PER_ADDRESS = 50
WRONG = "The name or the password is wrong, or the account is not active."


def sign_in(username: str, password: str, *, address: str, request_id: str = "", browser: str = "") -> User:
    """Check a name and password; both outcomes are events. The caller starts the session.

    Of a person with a second factor the caller asks for it first, with `second_step`.

    The same sentence answers an unknown name, a wrong password and an inactive account, after the same work.

    Raises
    ------
    TooMany
        After too many tries for this account or from this address; the right password is refused too.
    Forbidden
        When they do not match an active account.
    """
    user = verify(username, password, address=address, request_id=request_id, browser=browser)
    if user.second_factor_at is None:
        admit(user, address=address, request_id=request_id, method="password")
    return user


def admit(user: User, *, address: str, request_id: str, method: str) -> None:
    """Note that a person is in, after all that was asked of them."""
    by = Actor.for_user(user, address=address, request_id=request_id)
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(last_login=timezone.now())
        events.record(by, "user.signed_in", project=None, target=user, data={"method": method})


def confirmed_elsewhere(by: Actor) -> None:
    """Note that a person proved again who they are, at the identity provider."""
    require(by, Permission.ACCOUNT_EDIT, None)
    with transaction.atomic():
        events.record(by, "user.confirmed", project=None, target=by.user, data={"method": "sso"})


def second_step(user: User, code: str, *, address: str, request_id: str, method: str) -> None:
    """Check the code of the second factor after the password, or the identity provider; both outcomes are events.

    Raises
    ------
    TooMany
        After too many tries for this account or from this address.
    Invalid
        When the code does not fit or was used before.
    """
    throttle.hit(f"second-address:{address}", limit=TRIES_PER_ADDRESS, seconds=WINDOW_SECONDS)
    used = factors.check(user, code)
    if not used:
        by = Actor.anonymous(address=address, request_id=request_id)
        with transaction.atomic():
            events.record(
                by, "user.second_factor_failed", project=None, target=user, result="failed", data={"after": method}
            )
        raise Invalid("That code does not fit, or was used before.", field="code")
    admit(user, address=address, request_id=request_id, method=f"{method}, {used}")


def verify(username: str, password: str, *, address: str, request_id: str = "", browser: str = "") -> User:
    """Return the active user with this name and password; a failure is an event and counts towards the lock-out.

    Parameters
    ----------
    browser
        What a browser kept of an earlier sign-in; its tries count apart from those of everybody else.

    Raises
    ------
    TooMany
        After too many tries for this account or from this address; the right password is refused too.
    Forbidden
        When they do not match an active account.
    """
    if not settings.LOCAL_PASSWORDS:
        raise Forbidden("Signing in with a password is switched off here.", code="passwords_off")
    tried = account_of(username)
    known = known_browsers.of(tried, browser)
    account = f"browser:{known}" if known else f"account:{tried}"
    if not known:
        throttle.hit(f"address:{address}", limit=TRIES_PER_ADDRESS, seconds=WINDOW_SECONDS)
    throttle.hit(account, limit=TRIES_PER_ACCOUNT, seconds=WINDOW_SECONDS)
    user = authenticate(None, username=username.replace("\x00", ""), password=password)
    if user is None:
        _note_failure(username, Actor.anonymous(address=address, request_id=request_id))
        raise Forbidden(WRONG)
    throttle.forget(account, seconds=WINDOW_SECONDS)
    if not known:
        throttle.give_back(f"address:{address}", seconds=WINDOW_SECONDS)
    return user


def account_of(username: str) -> str:
    """Return under what the tries for a name are counted, whether or not somebody has it."""
    return hashlib.sha256(names.key(username).encode("utf-8", "surrogatepass")).hexdigest()


def _note_failure(username: str, nobody: Actor) -> None:
    """Record a failed sign-in; the name that was typed may be somebody's, so it can be erased."""
    known = User.objects.filter(username__iexact=username.replace("\x00", "")[:150]).first()
    typed = (known.pk if known else 0, scrub(username[:100]))
    with transaction.atomic():
        events.record(
            nobody, "user.sign_in_failed", project=None, result="failed", whom=typed, data={"known": known is not None}
        )


def sign_out(by: Actor) -> None:
    """Note that a person ended their session."""
    require(by, Permission.ACCOUNT_EDIT, None)
    with transaction.atomic():
        events.record(by, "user.signed_out", project=None, target=by.user)
