"""People: the first administrator, profiles, passwords, users added by an administrator."""

import hashlib
import secrets
import zoneinfo
from dataclasses import dataclass
from typing import cast

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from mlportal.lib import names, throttle
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.actor import Actor
from projects.models import Particulars, Project, SetupSecret, User
from projects.permissions import Permission, require
from projects.services import events, sessions, states, stepup

WINDOW_SECONDS = 15 * 60
TRIES = 10


@dataclass(frozen=True)
class NewUser:
    """A user just added; ``password`` is set when it was generated, and is shown this once."""

    user: User
    password: str = ""


# ---------------------------------------------------------------- the first administrator


def setup_link() -> str | None:
    """A fresh one-time link for the first site administrator; ``None`` once there is one.

    Each call replaces the link before it.
    """
    if _has_admin():
        return None
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        SetupSecret.objects.filter(used_at=None).delete()
        SetupSecret.objects.create(sha256=_sha256(secret))
    return f"{settings.BASE_URL}/set-up/{secret}/"


def setup_is_open(secret: str) -> bool:
    """Whether the link with this secret can still be used."""
    return not _has_admin() and SetupSecret.objects.filter(sha256=_sha256(secret), used_at=None).exists()


def set_up(secret: str, *, username: str, email: str, password: str, address: str = "") -> User:
    """Use the one-time link: create the first site administrator.

    Raises
    ------
    Forbidden
        When the link is unknown or used, or an administrator exists.
    Invalid
        For a name, address or password that does not do.
    """
    with transaction.atomic():
        used = SetupSecret.objects.filter(sha256=_sha256(secret), used_at=None).update(used_at=timezone.now())
        if not used or _has_admin():
            raise Forbidden("This set-up link is not valid any more. Restart the portal to get a new one.")
        user = _create(username=username, email=email, display_name="", password=password, site_admin=True)
        by = Actor.for_user(user, address=address)
        events.record(
            by, "user.created", project=None, target=user, data={"site_admin": True, "through": "set-up link"}
        )
    return user


def _has_admin() -> bool:
    return User.objects.filter(is_site_admin=True, is_active=True).exists()


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


# ---------------------------------------------------------------- one's own account


def change_password(by: Actor, *, old: str, new: str) -> User:
    """Set one's own password; every other session of the person ends.

    Raises
    ------
    Invalid
        When the old one is wrong or the new one is too weak.
    """
    require(by, Permission.ACCOUNT_EDIT, None)
    _refuse_without_passwords()
    user = cast(User, by.user)
    throttle.hit(f"password:{user.pk}", limit=TRIES, seconds=WINDOW_SECONDS)
    if not user.check_password(old):
        raise Invalid("This is not your present password.", field="old")
    _check_password(new, user, field="new")
    user.set_password(new)
    user.must_change_password = False
    with transaction.atomic():
        user.save(update_fields=["password", "must_change_password"])
        sessions.drop(user, spare=by.session)
        events.record(by, "user.password_changed", project=None, target=user)
    return user


def edit_profile(by: Actor, *, display_name: str, email: str, theme: str, density: str, time_zone: str,
                 single_keys: bool) -> User:  # fmt: skip
    """Change one's own name, address and preferences."""
    require(by, Permission.ACCOUNT_EDIT, None)
    user = cast(User, by.user)
    if email.strip().casefold() != user.email.casefold():
        stepup.require_recent(by)
        user.email_before = user.email_before or user.email
        user.email_confirmed = False
    user.display_name = names.clean_text(display_name, field="display_name", limit=100)
    user.email = _clean_email(email, user)
    user.theme = _one_of(theme, User.Theme.values, "theme")
    user.density = _one_of(density, User.Density.values, "density")
    user.time_zone = _one_of(time_zone, zoneinfo.available_timezones(), "time_zone")
    user.single_keys = single_keys
    with transaction.atomic():
        user.save(
            update_fields=[
                "display_name", "email", "email_before", "email_confirmed", "theme", "density", "time_zone",
                "single_keys",
            ]
        )  # fmt: skip
        events.record(by, "user.edited", project=None, target=user, data={"fields": "profile and preferences"})
    return user


def choose_default_project(by: Actor, *, project: Project | None) -> User:
    """Set where one's tracking clients log when they name no project; None leaves it to the oldest membership.

    Raises
    ------
    Missing
        When the person is no member of the project.
    """
    require(by, Permission.ACCOUNT_EDIT, None)
    user = cast(User, by.user)
    if project is not None and not Project.objects.visible_to(by).filter(pk=project.pk).exists():
        raise Missing("There is no such project here, or you are not a member of it.", field="default_project")
    user.default_project = project
    with transaction.atomic():
        user.save(update_fields=["default_project"])
        data = {"default_project": project.slug if project else ""}
        events.record(by, "user.edited", project=None, target=user, data=data)
    return user


def choose_theme(by: Actor, *, theme: str) -> User:
    """Light, dark or like the system."""
    require(by, Permission.ACCOUNT_EDIT, None)
    user = cast(User, by.user)
    user.theme = _one_of(theme, User.Theme.values, "theme")
    with transaction.atomic():
        user.save(update_fields=["theme"])
        events.record(by, "user.edited", project=None, target=user, data={"theme": user.theme})
    return user


# ---------------------------------------------------------------- users, by a site administrator or a provider


def from_provider(*, username: str, email: str, display_name: str) -> User:
    """Make an account without a password, inside the sign-in that its identity provider vouches for."""
    return _create(username=username, email=email, display_name=display_name, password=None, site_admin=False)


def add(by: Actor, *, username: str, email: str, display_name: str = "", site_admin: bool = False,
        password: str | None = None) -> NewUser:  # fmt: skip
    """Add a user. Without a password one is generated, returned once, and must be changed at the first sign-in.

    Raises
    ------
    Conflict
        When the name or the address is taken.
    """
    require(by, Permission.SITE_ADMIN, None)
    generated = "" if password is not None else generate_password()
    with transaction.atomic():
        user = _create(
            username=username, email=email, display_name=display_name, password=password or generated,
            site_admin=site_admin, must_change=bool(generated),
        )  # fmt: skip
        events.record(by, "user.created", project=None, target=user, data={"site_admin": site_admin})
    return NewUser(user, generated)


def reset_password(by: Actor, *, user: User) -> NewUser:
    """Give a user a new generated password; their sessions end.

    Raises
    ------
    Conflict
        Where nobody signs in with a password, and for a service account, which never signs in.
    """
    require(by, Permission.SITE_ADMIN, None)
    stepup.require_recent(by)
    _refuse_without_passwords()
    _refuse_service(user)
    password = generate_password()
    user.set_password(password)
    user.must_change_password = True
    with transaction.atomic():
        user.save(update_fields=["password", "must_change_password"])
        sessions.drop(user)
        events.record(by, "user.password_reset", project=None, target=user)
    return NewUser(user, password)


def deactivate(by: Actor, *, user: User) -> User:
    """Close an account at once: its sessions and tokens stop working. Nothing it made is touched.

    Raises
    ------
    Conflict
        For the last active site administrator.
    """
    require(by, Permission.SITE_ADMIN, None)
    with transaction.atomic():
        admins = list(
            User.objects.select_for_update(no_key=True).filter(is_site_admin=True, is_active=True).order_by("pk")
        )
        if admins == [user]:
            raise Conflict(f"{user.username} is the last site administrator and cannot be deactivated.")
        if not User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
            raise Conflict(f"{user.username} is not active already.")
        sessions.drop(user)
        events.record(by, "user.deactivated", project=None, target=user)
    user.is_active = False
    return user


def activate(by: Actor, *, user: User) -> User:
    """Open a closed account again."""
    require(by, Permission.SITE_ADMIN, None)
    with transaction.atomic():
        if not User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
            raise Conflict(f"{user.username} is active already.")
        events.record(by, "user.activated", project=None, target=user)
    user.is_active = True
    return user


def confirm_email(by: Actor, *, user: User) -> User:
    """Say that an address is the person's, so that the identity provider's account with it may be linked.

    Raises
    ------
    Conflict
        When it is confirmed already, or a service account's, which reaches nobody.
    """
    require(by, Permission.SITE_ADMIN, None)
    stepup.require_recent(by)
    _refuse_service(user)
    with transaction.atomic():
        if not User.objects.filter(pk=user.pk, email_confirmed=False).update(email_confirmed=True, email_before=""):
            raise Conflict(f"The address of {user.username} is confirmed already.")
        events.record(by, "user.email_confirmed", project=None, target=user)
    user.email_confirmed = True
    return user


def erase(by: Actor, *, user: User, reason: str) -> User:
    """Erase who somebody was: name and address go from the account and from every entry of the audit log.

    What they did stays, under the number of the account; the log still verifies.

    Raises
    ------
    Conflict
        While the account is open, or when it is erased already.
    """
    require(by, Permission.SITE_ADMIN, None)
    why = names.clean_text(reason, field="reason", limit=1000, required=True)
    with transaction.atomic():
        held = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if held.is_active:
            raise Conflict(f"Deactivate {held.username} first.", field="user")
        if held.is_erased:
            raise Conflict("This account is erased already.", field="user")
        held.username = f"erased-{held.pk}"
        held.email, held.email_before, held.display_name = f"{held.username}@erased.invalid", "", ""
        held.set_unusable_password()
        held.save(update_fields=["username", "email", "email_before", "display_name", "password"])
        states.forget(held)
        SocialAccount.objects.filter(user=held).delete()
        Particulars.objects.filter(owner_id=held.pk).erase()
        events.record(by, "user.erased", project=None, target=held, reason=why)
    return held


def _refuse_without_passwords() -> None:
    if not settings.LOCAL_PASSWORDS:
        raise Conflict("Signing in with a password is switched off here.", code="passwords_off")


def _refuse_service(user: User) -> None:
    if user.is_service:
        raise Conflict(f"{user.username} is a service account: it has tokens and never signs in.", code="service")


def generate_password() -> str:
    """20 random characters in groups, without look-alikes (about 98 bits)."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


# ---------------------------------------------------------------- checks


def _create(*, username: str, email: str, display_name: str, password: str | None, site_admin: bool,
            must_change: bool = False) -> User:  # fmt: skip
    name = names.clean(username, field="username")
    if User.objects.filter(username__iexact=name).exists():
        raise Conflict(f"The name {name!r} is taken.", field="username")
    user = User(
        username=name,
        email=_clean_email(email, None),
        display_name=names.clean_text(display_name, field="display_name", limit=100),
        is_site_admin=site_admin,
        must_change_password=must_change,
    )
    if password is not None:
        _check_password(password, user, field="password")
    user.set_password(password)
    user.save(force_insert=True)
    return user


def _clean_email(value: str, user: User | None) -> str:
    email = User.objects.normalize_email(names.clean_text(value, field="email", limit=254, required=True))
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("email must look like name@example.org.", field="email", got=email[:100]) from error
    others = User.objects.filter(email__iexact=email).exclude(pk=user.pk if user else None)
    if others.exists():
        raise Conflict("Another account has this e-mail address.", field="email")
    return email


def _check_password(password: str, user: User, *, field: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        faults = [{"field": field, "message": message} for message in error.messages]
        raise Invalid(" ".join(error.messages), field=field, errors=faults) from error


def _one_of(value: str, allowed: object, field: str) -> str:
    choices = sorted(str(item) for item in allowed)  # type: ignore[attr-defined]
    if value not in choices:
        few = ", ".join(repr(item) for item in choices[:10])
        raise Invalid(f"{field} is one of {few}.", field=field, got=str(value)[:100])
    return value
