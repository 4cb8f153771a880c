"""Whom the provider's word lets in: linked people, people with the same confirmed address, or a new account."""

import hashlib
import re
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction

from mlportal.lib import names
from mlportal.lib.errors import DomainError
from mlportal.lib.lease import scrub
from projects.actor import Actor
from projects.models import User
from projects.services import accounts, events, groups
from projects.services.oidc.client import PROVIDER
from projects.services.oidc.refusals import ProviderFault, SignInRefused

MAX_GROUPS = 1000


def admit(claims: dict[str, Any], *, address: str, request_id: str) -> User:
    """Find, link or make the person of these checked claims, and bring their groups up to date.

    Raises
    ------
    SignInRefused
        When the portal does not let them in; the caller records it.
    """
    try:
        user = _person(claims, address=address, request_id=request_id)
    except IntegrityError:  # the same person at the same moment in another window
        user = _person(claims, address=address, request_id=request_id)
    if settings.OIDC_GROUPS_CLAIM:
        groups.sync_external(user=user, provider=PROVIDER, names=_group_names(claims))
    return user


def linked(user: User) -> SocialAccount | None:
    """Return the identity at the present provider that an account is linked to."""
    found: SocialAccount | None = SocialAccount.objects.filter(user=user, provider=_provider()).first()
    return found


def is_subject_of(user: User, claims: dict[str, Any]) -> bool:
    """Whether the claims are those of the identity that this account is linked to."""
    held = linked(user)
    return held is not None and held.uid == claims["sub"]


def note_refusal(error: SignInRefused | ProviderFault, *, address: str, request_id: str) -> None:
    """Record why somebody was not let in."""
    nobody = Actor.anonymous(address=address, request_id=request_id)
    known = User.objects.filter(pk=error.whom).first() if error.whom else None
    whom = (known.pk, str(known)) if known else None
    with transaction.atomic():
        events.record(
            nobody, "user.sign_in_failed", project=None, result="failed", whom=whom,
            data={"method": PROVIDER, "why": error.why, "detail": scrub(error.detail)[:200]},
        )  # fmt: skip


def _person(claims: dict[str, Any], *, address: str, request_id: str) -> User:
    row = SocialAccount.objects.filter(provider=_provider(), uid=claims["sub"]).select_related("user").first()
    email = _email(claims)
    if row is not None:
        if email:
            _check_domain(email, whom=row.user_id)
        return _active(row.user)
    _check_address(claims, email)
    user = User.objects.filter(email__iexact=email).first()
    if user is None:
        return _make(claims, email, address=address, request_id=request_id)
    with transaction.atomic():
        held = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _check_free(held)
        _link(Actor.for_user(held, address=address, request_id=request_id), held, claims)
    return held


def _check_free(user: User) -> None:
    if linked(user):
        raise SignInRefused("clash", whom=user.pk)
    if user.is_service:
        raise SignInRefused("service", whom=user.pk)
    if not user.email_confirmed:
        raise SignInRefused("unconfirmed", whom=user.pk)
    _active(user)


def _active(user: User) -> User:
    if not user.is_active:
        raise SignInRefused("inactive", whom=user.pk)
    return user


def _check_address(claims: dict[str, Any], email: str) -> None:
    if not email:
        raise SignInRefused("no_email")
    _check_domain(email)
    said = claims.get("email_verified")
    if said is not True and said != "true":  # some providers write it as text; 1 is neither
        raise SignInRefused("unverified")


def _check_domain(email: str, *, whom: int = 0) -> None:
    domain = email.rpartition("@")[2].casefold()
    if settings.OIDC_DOMAINS and domain not in {each.strip().casefold() for each in settings.OIDC_DOMAINS}:
        raise SignInRefused("domain", whom=whom)


def _email(claims: dict[str, Any]) -> str:
    found = claims.get("email")
    return found.strip() if isinstance(found, str) and "@" in found and len(found) <= 254 else ""


def _make(claims: dict[str, Any], email: str, *, address: str, request_id: str) -> User:
    if not settings.OIDC_CREATE:
        raise SignInRefused("no_account")
    try:
        with transaction.atomic():
            user = accounts.from_provider(
                username=_free_name(claims, email), email=email, display_name=_display_name(claims)
            )
            by = Actor.for_user(user, address=address, request_id=request_id)
            events.record(by, "user.created", project=None, target=user, data={"through": PROVIDER})
            _link(by, user, claims)
    except DomainError as error:
        raise SignInRefused("no_account", detail=error.message) from error
    return user


def _link(by: Actor, user: User, claims: dict[str, Any]) -> None:
    SocialAccount.objects.create(user=user, provider=_provider(), uid=claims["sub"], extra_data={})
    events.record(by, "user.linked", project=None, target=user, data={"issuer": settings.OIDC_ISSUER[:200]})


def _free_name(claims: dict[str, Any], email: str) -> str:
    wish = str(claims.get("preferred_username") or email).partition("@")[0]
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", wish).strip("-._")[:80] or "person"
    taken = {
        name.casefold() for name in User.objects.filter(username__istartswith=stem).values_list("username", flat=True)
    }
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 10_000))) if name.casefold() not in taken)


def _display_name(claims: dict[str, Any]) -> str:
    found = claims.get("name")
    try:
        return names.clean_text(found[:100], field="display_name", limit=100) if isinstance(found, str) else ""
    except DomainError:
        return ""


def _group_names(claims: dict[str, Any]) -> list[str]:
    found = claims.get(settings.OIDC_GROUPS_CLAIM)
    return [name[:200] for name in found[:MAX_GROUPS] if isinstance(name, str)] if isinstance(found, list) else []


def _provider() -> str:
    """Name the provider by its issuer, so that another issuer's subjects are never taken for this one's."""
    return f"oidc-{hashlib.sha256(settings.OIDC_ISSUER.encode()).hexdigest()[:24]}"
