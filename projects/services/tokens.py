"""API tokens: made once, shown once, kept as a hash, ended at any time."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import ApiToken, Project, User
from projects.permissions import SCOPES, Permission, require
from projects.services import credentials, events, stepup

MAX_DAYS = 365
# What only a token with these scopes can do, a person in the browser proves themselves for each time.
GRAVE = frozenset({"approve", "admin"})


@dataclass(frozen=True)
class NewToken:
    """A token just made; ``secret`` is shown this once."""

    token: ApiToken
    secret: str


def create(by: Actor, *, project: Project | None, name: str, scopes: list[str], days: int = 90,
           owner: User | None = None) -> NewToken:  # fmt: skip
    """Make a token for oneself, or (with the right to manage members) for ``owner``.

    Without a project it works in all of the owner's projects; only a site administrator may make such a one.

    Raises
    ------
    Invalid
        For an unknown scope or more than a year of life.
    Conflict
        For a service account that is closed, or of another project.
    Forbidden
        When a token asks for scopes it does not hold itself, or a service account for a token.
    """
    require(by, Permission.TOKEN_CREATE, project)
    user = owner or by.user
    if user is None:
        raise Invalid("Say whose token it is.", field="owner")
    if by.user is None or user.pk != by.user.pk:
        require(by, Permission.MEMBER_MANAGE, project)
    _check_holder(by, user, project)
    wanted = _clean_scopes(by, scopes)
    if GRAVE & set(wanted):
        stepup.require_recent(by)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_DAYS:
        raise Invalid(f"days must be a whole number from 1 to {MAX_DAYS}.", field="days", limit=MAX_DAYS, got=days)
    secret = credentials.PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user, project=project, name=names.clean(name), sha256=credentials.fingerprint(secret),
            hint=secret[:8], scopes=wanted, expires_at=timezone.now() + timedelta(days=days),
            created_by=by.user,
        )  # fmt: skip
        data = {"scopes": wanted, "days": days, "owner": user.pk}
        events.record(by, "token.created", project=project, target=token, data=data)
    return NewToken(token, secret)


def revoke(by: Actor, *, token: ApiToken) -> ApiToken:
    """End a token at once: one's own, or with the right to manage members any of the project.

    Raises
    ------
    Conflict
        When it has ended already.
    """
    require(by, Permission.TOKEN_CREATE, token.project)
    if by.user is None or token.user_id != by.user.pk:
        require(by, Permission.MEMBER_MANAGE, token.project)
    now = timezone.now()
    with transaction.atomic():
        if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
            raise Conflict("This token is revoked already.")
        data = {"owner": token.user_id}
        events.record(by, "token.revoked", project=token.project, target=token, data=data)
    token.revoked_at = now
    return token


def _check_holder(by: Actor, user: User, project: Project | None) -> None:
    if by.user is not None and by.user.is_service:
        raise Forbidden("People mint the tokens of a service account.", code="people_only")
    if user.is_service and (project is None or user.service_project_id != project.pk):
        raise Conflict("A token of a service account works in its project only.", field="project")
    if not user.is_active:
        raise Conflict(f"The account of {user.username} is not active.", field="owner")


def _clean_scopes(by: Actor, scopes: list[str]) -> list[str]:
    if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
        raise Invalid(f"scopes is a list of at least one of {', '.join(SCOPES)}.", field="scopes", limit=list(SCOPES))
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise Invalid(
            f"Unknown scope {unknown[0][:50]!r}. There are {', '.join(SCOPES)}.", field="scopes", limit=list(SCOPES)
        )
    if by.token is not None and not set(scopes) <= set(by.token.scopes):
        raise Forbidden("A token can only make tokens with scopes it holds itself.", field="scopes")
    return [scope for scope in SCOPES if scope in scopes]
