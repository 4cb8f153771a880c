"""The way in of everything automatic: one short read tells who calls, in which project, with which roles.

Nothing of it is remembered between requests, so a token that is revoked, a role that is taken away or an account
that is closed in any process counts from the next request on. See ``docs/adr/0011-short-way-for-tracking.md``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from mlportal.lib.errors import Forbidden, Missing, Unauthenticated
from mlportal.lib.sql import Statement
from projects.actor import Actor
from projects.models import ApiToken, Project, User
from projects.services import credentials, factors, passwords

T = TypeVar("T")
_USE_NOTED_SECONDS = 60
_HOW = (
    "Set MLFLOW_TRACKING_TOKEN to a token of the portal, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD "
    "to your name and your password (or a token)."
)
_USER = ["id", "username", "display_name", "is_active", "is_site_admin", "default_project_id", "must_change_password"]
_TOKEN = ["id", "user_id", "project_id", "name", "hint"]
_PROJECT = ["id", "name", "slug", "is_example"]
_SELECT = """
    u.id, u.username, u.display_name, u.is_active, u.is_site_admin, u.default_project_id, u.must_change_password,
    p.id, p.name, p.slug, p.is_example, m.role
"""
# One row for each role; the role is NULL when the caller has none, the project when there is none to choose.
_JOINS = """
    LEFT JOIN projects_membership m ON m.project_id = p.id AND m.user_id = u.id AND m.valid_to IS NULL
        AND (m.valid_until IS NULL OR m.valid_until > %s)
"""
_NAMED = "p.slug = %s AND p.archived_at IS NULL"
_BY_TOKEN = """
    SELECT {select}, t.id, t.user_id, t.project_id, t.name, t.hint, t.scopes,
           t.last_used_at IS NULL OR t.last_used_at < %s, u.service_project_id
    FROM projects_apitoken t JOIN projects_user u ON u.id = t.user_id
    LEFT JOIN projects_project p ON {choice} {joins}
    WHERE t.sha256 = %s AND t.revoked_at IS NULL AND t.expires_at > %s AND u.is_active
"""
_BY_USER = """
    SELECT {select}, u.password, u.second_factor_at
    FROM projects_user u LEFT JOIN projects_project p ON {choice} {joins}
    WHERE u.id = %s AND u.is_active
"""


def _statement(text: str, choice: str) -> Statement:
    return Statement(text.format(select=_SELECT, choice=choice, joins=_JOINS))


_CHOSEN = "p.id = COALESCE({}) AND p.archived_at IS NULL"
_TOKEN_NAMED, _TOKEN_CHOSEN = (
    _statement(_BY_TOKEN, choice) for choice in (_NAMED, _CHOSEN.format("t.project_id, u.default_project_id"))
)
_USER_NAMED, _USER_CHOSEN = (
    _statement(_BY_USER, choice) for choice in (_NAMED, _CHOSEN.format("u.default_project_id, NULL"))
)
_SLUG = re.compile(r"[-\w]{0,100}", re.ASCII)
_DEFAULT_NAME = "default"  # what MLflow calls the workspace of who names none


class Entry(NamedTuple):
    """Who calls, and in which project."""

    actor: Actor
    project: Project


def enter(header: str, *, named: str = "", address: str = "", request_id: str = "", people: bool = True) -> Entry:
    """Find the caller of an ``Authorization`` header and the project of the call.

    The project is the one that is named; else the one the token is bound to; else the caller's default, their
    oldest membership, or the first they may see.

    Parameters
    ----------
    header : str
        ``Bearer <token>``, or ``Basic`` with a token as password or with a name and a password.
    named : str
        Slug of the project in the address or in the client's header.
    people : bool
        Whether a name and a password are taken; our own API takes tokens only.

    Raises
    ------
    Unauthenticated
        Without a valid credential.
    Forbidden
        With a password that was given to its owner and must be changed first.
    Missing
        When the project is not there for this caller.
    """
    if not _SLUG.fullmatch(named):
        named = "-"  # which no project is called
    return _on_a_live_connection(lambda: _enter(header, named, Place(address, request_id), people=people))


class Caller(NamedTuple):
    """Who calls, and the project that was named, if it is there for them."""

    actor: Actor
    project: Project | None


def of_token(secret: str, *, named: str = "", address: str = "", request_id: str = "") -> Caller:
    """Find whose token it is, and what they are in the project that is named; marks its use at most once a minute.

    Raises
    ------
    Unauthenticated
        When no live token has this secret.
    """

    def found() -> Caller:
        rows = _token_rows(secret, named) if secret.startswith(credentials.PREFIX) else []
        if not rows:
            raise Unauthenticated(credentials.REFUSED)
        actor = _token_actor(rows[0], Place(address, request_id))
        return Caller(actor, _seen(actor, rows) if named else None)

    return _on_a_live_connection(found)


def _on_a_live_connection(look: Callable[[], T]) -> T:
    try:
        return look()
    except (OperationalError, InterfaceError):
        # A connection that the server closed while idle; nothing has been done yet, so a fresh one may try again.
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return look()


class Place(NamedTuple):
    """Where a call comes from, and under which number it is logged."""

    address: str
    request_id: str


def _enter(header: str, named: str, place: Place, *, people: bool) -> Entry:
    secret, username = _read(header)
    if secret.startswith(credentials.PREFIX):
        rows = _token_rows(secret, named)
        if not rows:
            raise Unauthenticated(f"{credentials.REFUSED} {_HOW}")
        actor = _token_actor(rows[0], place)
    elif username and people:
        rows = _password_rows(username, secret, named, place)
        actor = _person(rows, place)
    else:
        raise Unauthenticated(f"The token is not valid. {_HOW}")
    return Entry(actor, _project(actor, rows, named))


def _read(header: str) -> tuple[str, str]:
    """Split a header into the secret and, of a Basic one, the name."""
    scheme, _, rest = header.partition(" ")
    if scheme == "Bearer" or scheme.lower() == "bearer":
        return rest.strip(), ""
    if scheme.lower() != "basic" or len(header) > 4 * credentials.MAX_HEADER:
        raise Unauthenticated(f"The call names no caller. {_HOW}")
    try:
        name, _, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("The Basic credential is not base64 of name:password.") from error
    return (secret, name) if secret else (name, "")


# ---------------------------------------------------------------- tokens


def _token_rows(secret: str, named: str) -> list[tuple[Any, ...]]:
    now = timezone.now()
    moments = [
        connection.ops.adapt_datetimefield_value(now - timedelta(seconds=_USE_NOTED_SECONDS)),
        connection.ops.adapt_datetimefield_value(now),
    ]
    print_of = credentials.fingerprint(secret)
    if named:
        return _TOKEN_NAMED.rows([moments[0], named, moments[1], print_of, moments[1]])
    return _TOKEN_CHOSEN.rows([moments[0], moments[1], print_of, moments[1]])


def _token_actor(row: tuple[Any, ...], place: Place) -> Actor:
    token = ApiToken.from_db(connection.alias, [*_TOKEN, "scopes"], [*row[12:17], list(_scopes(row[17]))])
    token.user = _user(row, row[19])
    if row[18]:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now())
    return Actor.for_token(token, address=place.address, request_id=place.request_id)


def _user(row: tuple[Any, ...], service_project: int | None) -> User:
    number, username, display_name, is_active, is_site_admin, default, must_change = row[:7]
    flags = [bool(is_active), bool(is_site_admin), default, bool(must_change)]  # SQLite answers with numbers
    return User.from_db(
        connection.alias, [*_USER, "service_project_id"], [number, username, display_name, *flags, service_project]
    )


@lru_cache(maxsize=256)
def _scopes(text: str) -> tuple[str, ...]:
    return tuple(orjson.loads(text))


# ---------------------------------------------------------------- passwords


def _password_rows(username: str, secret: str, named: str, place: Place) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []

    def stored(user: int) -> str | None:
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        rows[:] = _USER_NAMED.rows([named, now, user]) if named else _USER_CHOSEN.rows([now, user])
        return str(rows[0][12]) if rows else None

    user = passwords.owner(username, secret, stored=stored, address=place.address, request_id=place.request_id)
    if not rows or rows[0][0] != user:
        stored(user)
    return rows


def _person(rows: list[tuple[Any, ...]], place: Place) -> Actor:
    # Who has a password is a person, so nothing below has to look.
    user = _user(rows[0], None)
    if user.must_change_password:
        raise Forbidden(
            f"This password was given to you and must be changed first: sign in at {settings.BASE_URL}/ once.",
            code="must_change_password",
        )
    held = {row[11] for row in rows} | ({factors.SITE} if user.is_site_admin else set())
    if rows[0][13] is not None or held & set(settings.SECOND_FACTOR_ROLES):
        raise Forbidden(
            f"A password alone does not do for this account, which needs a second factor. Use a token: {_HOW}",
            code="second_factor",
        )
    return Actor.for_user(user, address=place.address, request_id=place.request_id)


# ---------------------------------------------------------------- projects


def _project(actor: Actor, rows: list[tuple[Any, ...]], named: str) -> Project:
    if (project := _seen(actor, rows)) is not None:
        return project
    if (named and named != _DEFAULT_NAME) or actor.is_bound:
        shown = repr(named[:60]) if named else "of this token"
        raise Missing(f"There is no project {shown} here, or you are not a member of it.")
    return _first_project(actor)


def _seen(actor: Actor, rows: list[tuple[Any, ...]]) -> Project | None:
    """The project that was read, if it is there for the caller; their roles in it are remembered."""
    bound = actor.token.project_id if actor.token else None
    found = rows[0][7]
    roles = [row[11] for row in rows if row[11] is not None]
    if found is None or not (roles or actor.user.is_site_admin) or bound not in (None, found):  # type: ignore[union-attr]
        return None
    project = Project.from_db(connection.alias, _PROJECT, [*rows[0][7:10], bool(rows[0][10])])
    actor.remember_roles(project, roles)
    if bound:
        actor.token.project = project  # type: ignore[union-attr]
    return project


def _first_project(actor: Actor) -> Project:
    """Choose for a caller who named no project and has no default: the oldest membership, else the first visible."""
    seen = Project.objects.visible_to(actor)
    mine = seen.filter(memberships__user=actor.user, memberships__valid_to=None)
    found = mine.order_by("memberships__valid_from", "pk").first() or seen.order_by("pk").first()
    if found is None:
        raise Missing("You are not a member of any project.")
    return found
