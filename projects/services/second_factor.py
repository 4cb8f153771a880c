"""A person's second factor: switched on, off, its recovery codes, and an administrator's reset."""

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from mlportal.lib import names, sealed, totp
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import RecoveryCode, SecondFactor, User
from projects.permissions import Permission, require
from projects.services import events, factors, sessions, stepup

WRONG = "That code does not fit. Codes change every 30 seconds and work once; check the clock of the device."


def enable(by: Actor, *, key: str, code: str) -> list[str]:
    """Switch the second factor on with the first code of the app. Returns recovery codes, shown this once.

    The person's other sessions end: whoever sits there has not shown the second factor.

    Raises
    ------
    Conflict
        When it is on already.
    Invalid
        When the code does not fit the key.
    """
    require(by, Permission.ACCOUNT_EDIT, None)
    stepup.require_recent(by)
    step = totp.step_of(key, code.replace(" ", ""), now=timezone.now().timestamp(), after=0)
    if step is None:
        raise Invalid(WRONG, field="code")
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=_own(by).pk)
        if user.second_factor_at is not None:
            raise Conflict("Your second factor is on already.")
        made = SecondFactor.objects.create(user=user, sealed=sealed.seal(key), last_step=step)
        codes = factors.new_codes(made)
        _mark(user, on=True)
        sessions.drop(user, spare=by.session)
        events.record(by, "user.second_factor_enabled", project=None, target=user)
    return codes


def disable(by: Actor, *, password: str, code: str) -> None:
    """Switch it off, with the password and a code; whoever needs one is led to set up another before anything else.

    Raises
    ------
    Conflict
        When it is off.
    Invalid
        When password or code is wrong; which of them is not said.
    """
    require(by, Permission.ACCOUNT_EDIT, None)
    user = _own(by)
    if user.second_factor_at is None:
        raise Conflict("Your second factor is off.")
    _prove(user, password, code)
    with transaction.atomic():
        _end(user)
        events.record(by, "user.second_factor_disabled", project=None, target=user)


def renew_codes(by: Actor, *, password: str, code: str) -> list[str]:
    """Make new recovery codes; the old ones end. Returns them, shown this once.

    Raises
    ------
    Conflict
        When the second factor is off.
    Invalid
        When password or code is wrong.
    """
    require(by, Permission.ACCOUNT_EDIT, None)
    user = _own(by)
    _prove(user, password, code)
    with transaction.atomic():
        held = SecondFactor.objects.select_for_update(no_key=True).filter(user=user, ended_at=None).first()
        if held is None:
            raise Conflict("Your second factor is off.")
        codes = factors.new_codes(held)
        events.record(by, "user.recovery_codes_renewed", project=None, target=user)
    return codes


def reset(by: Actor, *, user: User, reason: str) -> User:
    """Take away somebody's second factor, as an administrator; their sessions end and they are told by mail.

    Raises
    ------
    Conflict
        When it is off.
    """
    require(by, Permission.SITE_ADMIN, None)
    stepup.require_recent(by)
    why = names.clean_text(reason, field="reason", limit=1000, required=True)
    with transaction.atomic():
        held = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if held.second_factor_at is None:
            raise Conflict(f"{held.username} has no second factor.")
        _end(held)
        sessions.drop(held)
        events.record(by, "user.second_factor_reset", project=None, target=held, reason=why)
    return held


def tell_of_reset(user: User) -> None:
    """Send the person a mail that their second factor was taken away."""
    send_mail(
        "Your second factor was reset",
        f"A site administrator of {settings.BASE_URL} took away the second factor of your account {user.username}. "
        "Your sessions have ended. If you did not ask for this, speak to your administrator at once.",
        settings.DEFAULT_FROM_EMAIL, [user.email],
    )  # fmt: skip


def left(user: User) -> int:
    """Count the recovery codes that were not used."""
    return RecoveryCode.objects.filter(factor__user=user, factor__ended_at=None, used_at=None).count()


def _own(by: Actor) -> User:
    assert by.user is not None  # who passed require() for the account is a person
    return by.user


def _prove(user: User, password: str, code: str) -> None:
    """Both are asked, and a failure does not tell which was wrong; a person without a password shows the code."""
    fits = bool(factors.check(user, code))
    if user.has_usable_password() and settings.LOCAL_PASSWORDS:
        fits = user.check_password(password[:1000]) and fits
    if not fits:
        raise Invalid("The password or the code is wrong.", field="code")


def _end(user: User) -> None:
    now = timezone.now()
    SecondFactor.objects.filter(user=user, ended_at=None).update(ended_at=now, sealed="")
    RecoveryCode.objects.filter(factor__user=user).delete()
    _mark(user, on=False)


def _mark(user: User, *, on: bool) -> None:
    user.second_factor_at = timezone.now() if on else None
    user.save(update_fields=["second_factor_at"])
