"""Why somebody can or cannot do something: the answer of the services themselves, and what it rests on."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from mlportal.lib.errors import Conflict, DomainError, Invalid, Missing, Unauthenticated
from projects.actor import Actor
from projects.models import ApiToken, Project, User
from projects.permissions import (
    EVERYTHING,
    FOLDER_RIGHTS,
    GRANTS,
    ROLE_LABELS,
    SCOPES,
    SITE_ADMIN_GRANTS,
    WORDS,
    Permission,
    Role,
    allowed,
    require,
    roles_with,
    scopes_with,
)
from projects.services import credentials, factors, service_accounts, things
from projects.services.things import Thing

NOBODY = "Nobody with this name belongs to the project."
GRANTERS = 5
# What a person is excluded by, whatever roles they hold, and what is left then.
EXCLUDED = ("four_eyes", "decided_before")
OTHERS = ["Another person has to do it"]
# For these a person proves again who they are; a test compares with the services that ask.
PROVED = frozenset(
    {Permission.PROMOTION_SIGN, Permission.PROMOTION_DECIDE, Permission.GATE_OVERRIDE, Permission.POLICY_EDIT}
)


@dataclass(frozen=True)
class Reason:
    """One link of the chain: ``gives`` the right, ``stops`` it, or is there without either (``plain``)."""

    effect: str
    words: str


@dataclass(frozen=True)
class Question:
    """Whether a person, with a token if one is named, may do something on a thing."""

    user: User
    token: ApiToken | None
    permission: Permission
    project: Project
    thing: Thing

    @property
    def actor(self) -> Actor:
        """Whoever would do it."""
        return Actor.for_user(self.user) if self.token is None else Actor.for_token(self.token)


@dataclass(frozen=True)
class Answer(Question):
    """The answer, and what it rests on.

    Attributes
    ----------
    refusal
        What the person would be told, empty when they may.
    first
        What a person still has to do at the moment they do it.
    remedies
        What would change the answer.
    granters
        Who can give a role that holds the right.
    """

    refusal: DomainError | None
    reasons: list[Reason]
    first: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    granters: list[str] = field(default_factory=list)

    @property
    def may(self) -> bool:
        """Whether they may."""
        return self.refusal is None

    @property
    def words(self) -> str:
        """What was asked, as people say it."""
        return WORDS[self.permission]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer for programs."""
        return {
            "person": self.user.username, "token": self.token.pk if self.token else None,
            "permission": self.permission.value, "on": self.thing.key, "may": self.may,
            "refusal": self.refusal.message if self.refusal else "", "code": self.refusal.code if self.refusal else "",
            "reasons": [{"effect": each.effect, "words": each.words} for each in self.reasons],
            "first": self.first, "remedies": self.remedies, "granters": self.granters,
        }  # fmt: skip


def explain(by: Actor, *, project: Project, permission: str, person: str = "", token: str = "", on: str = "") -> Answer:
    """Answer whether somebody may do something, with the chain of reasons.

    Parameters
    ----------
    person : str
        Sign-in name; empty for oneself, with the token that is used if one is.
    token : str
        Number of one of their tokens, to ask what it may.
    on : str
        Key of a thing, see :mod:`projects.services.things`; empty for the project.

    Raises
    ------
    Forbidden
        When a member who does not manage the members asks about somebody else.
    Missing
        For a name, a token or a thing that is not of the project, whether or not it exists elsewhere.
    """
    require(by, Permission.PROJECT_VIEW, project)
    asked = permission_named(permission)
    user, used = _subject(by, project, person.strip(), token.strip())
    thing = things.find(project, on)
    question = Question(user, used, asked, project, thing)
    refusal = refusal_of(question)
    remedies = _remedies(question, refusal) if refusal else []
    granters = _granters(project) if remedies and remedies != OTHERS else []
    return Answer(
        user, used, asked, project, thing, refusal, _reasons(question), _first(question), remedies, granters
    )  # fmt: skip


def permission_named(value: str) -> Permission:
    """Read the word of a right inside a project.

    Raises
    ------
    Invalid
        For any other word.
    """
    if value not in EVERYTHING:
        raise Invalid(
            "permission is a right inside a project, such as run.log.", field="permission",
            limit=sorted(each.value for each in EVERYTHING), got=value[:60],
        )  # fmt: skip
    return Permission(value)


def refusal_of(question: Question) -> DomainError | None:
    """Return what would be refused with, None when they may: the answer of the services themselves."""
    token, thing = question.token, question.thing
    try:
        if token is not None and not ApiToken.objects.live().filter(pk=token.pk).exists():
            raise Unauthenticated(credentials.REFUSED)
        require(question.actor, question.permission, question.project, within=thing.place)
        if thing.check is not None:
            thing.check(question.actor, question.permission)
    except DomainError as error:
        return error
    return None


def _subject(by: Actor, project: Project, person: str, token: str) -> tuple[User, ApiToken | None]:
    own = by.user
    if own is None:
        raise Missing(NOBODY, field="person")
    is_own = not person or person.casefold() == own.username.casefold()
    if not is_own:
        require(by, Permission.MEMBER_MANAGE, project)
    user = own if is_own else _known_here(project, person)
    if not token:
        return user, by.token if not person else None
    rows = ApiToken.objects.filter(user=user).select_related("user", "project")
    found = (rows if is_own else rows.filter(project=project)).filter(pk=things.number(token)).first()
    if found is None:
        raise Missing("There is no such token of this person here.", field="token")
    return user, found


def _known_here(project: Project, person: str) -> User:
    """Whoever belongs to the project, belonged to it, or looks after it; for anybody else there is one answer."""
    here = Q(pk__in=project.memberships.values("user")) | Q(is_site_admin=True, is_active=True)
    user = User.objects.filter(here, username__iexact=person[:150]).first()
    if user is None:
        raise Missing(NOBODY, field="person", got=person[:100])
    return user


# ---------------------------------------------------------------- the chain


def _reasons(question: Question) -> list[Reason]:
    user, asked, thing = question.user, question.permission, question.thing
    found = [*_of_account(user, question.token), *_roles(question)]
    if asked in FOLDER_RIGHTS and thing.folders:
        found += _on_folders(question)
    if user.is_site_admin:
        effect = "gives" if asked in SITE_ADMIN_GRANTS else "plain"
        found.append(Reason(effect, "Site administrator: looks after every project"))
    if question.token is not None:
        found += _of_token(question.token, asked, question.project)
    if thing.barred is not None and (why := thing.barred(user, asked)):
        found.append(Reason("stops", f"Four eyes: they {why}"))
    return found + [Reason("plain", rule) for rule in thing.rules]


def _of_account(user: User, token: ApiToken | None) -> list[Reason]:
    found = [] if user.is_active else [Reason("stops", "The account is closed")]
    if user.is_service:
        owner = service_accounts.owner_of(user)
        found.append(Reason("plain", f"A service account; {owner} answers for it"))
        if token is None:
            found.append(Reason("plain", "It acts by tokens only, each cut down to its scopes"))
    return found


def _roles(question: Question) -> list[Reason]:
    asked, mine = question.permission, question.project.memberships.filter(user=question.user)
    rows = mine.select_related("group", "granted_by").order_by("-pk")
    here = [row for row in rows if row.valid_to is None]
    ended = [row for row in rows if row.valid_to is not None and asked in GRANTS[Role(row.role)]]
    found = [Reason(_effect(row, asked), f"{_held(row)}{_span(row)}") for row in here]
    if not any(each.effect == "gives" for each in found):
        found += [Reason("plain", f"Was {_held(row)}{_span(row)}") for row in ended[:3]]
    return found or [Reason("stops", "No role in the project")]


def _on_folders(question: Question) -> list[Reason]:
    user, asked = question.user, question.permission
    mine = Q(user=user) | Q(group__people__user=user, group__people__is_owner=False, group__people__valid_to=None)
    rows = question.project.folder_roles.filter(mine, folder__in=question.thing.folders, valid_to=None)
    held = rows.select_related("group", "granted_by").distinct().order_by("folder_name", "role")
    return [Reason(_effect(row, asked), f"{_held(row)} on the folder {row.folder_name}{_span(row)}") for row in held]


def _effect(row: Any, asked: Permission) -> str:
    over = row.valid_until is not None and row.valid_until <= timezone.now()
    return "gives" if asked in GRANTS[Role(row.role)] and not over else "plain"


def _held(row: Any) -> str:
    return f"{ROLE_LABELS[Role(row.role)]} {f'through the group {row.group}' if row.group else 'directly'}"


def _span(row: Any) -> str:
    end = row.valid_to or row.valid_until
    until = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
    giver = f", given by {row.granted_by}" if row.granted_by else ""
    return f", since {row.valid_from:%Y-%m-%d}{until}{giver}"


def _of_token(token: ApiToken, asked: Permission, project: Project) -> list[Reason]:
    scopes = ", ".join(token.scopes) or "none"
    through = any(asked in SCOPES.get(scope, ()) for scope in token.scopes)
    found = [Reason("gives" if through else "stops", f"The token {token.name} has the scopes {scopes}")]
    if token.project_id not in (None, project.pk):
        found.append(Reason("stops", "The token works in another project only"))
    if token.revoked_at is not None:
        found.append(Reason("stops", f"The token was revoked on {token.revoked_at:%Y-%m-%d %H:%M} UTC"))
    elif token.expires_at <= timezone.now():
        found.append(Reason("stops", f"The token expired on {token.expires_at:%Y-%m-%d %H:%M} UTC"))
    return found


# ---------------------------------------------------------------- what is asked besides, and what would change it


def _first(question: Question) -> list[str]:
    user = question.user
    if question.token is not None or user.is_service:
        return []
    found = []
    if factors.is_missing(user):
        found.append("Set up a second factor, which a role of theirs needs here: pages stay closed until then")
    if user.must_change_password:
        found.append("Replace the password that was given to them")
    if question.permission in PROVED and settings.STEP_UP_MINUTES > 0:
        found.append(f"Prove who they are, unless they did within the last {settings.STEP_UP_MINUTES} min")
    return found


def _remedies(question: Question, refusal: DomainError) -> list[str]:
    asked, token = question.permission, question.token
    if not question.user.is_active:
        return ["Somebody who may has to open the account again"]
    beyond = _stopped_beyond_roles(question)
    if refusal.code in EXCLUDED or (beyond is not None and beyond.code in EXCLUDED):
        return OTHERS
    if isinstance(beyond, Conflict):
        return []
    found = ["A new token"] if isinstance(refusal, Unauthenticated) else []
    if token is not None and asked not in question.actor.scope_permissions():
        scopes = " or ".join(scopes_with(asked))
        found.append(f"A token with the scope {scopes}" if scopes else "No token can do it; a person on a page can")
    if refusal.code == "not_asked":
        found += [f"The role {ROLE_LABELS[Role(role)]}, which the present step asks for" for role in refusal.limit]
    return found + _missing_role(question)


def _stopped_beyond_roles(question: Question) -> DomainError | None:
    """Return what the thing itself refuses with, whatever role the person gets: four eyes, a request that is closed."""
    try:
        if question.thing.check is not None:
            question.thing.check(question.actor, question.permission)
    except DomainError as error:
        return error
    return None


def _missing_role(question: Question) -> list[str]:
    asked, thing = question.permission, question.thing
    if allowed(Actor.for_user(question.user), asked, question.project, within=thing.place):
        return []
    where = " in the project, or on a folder around it" if thing.folders and asked in FOLDER_RIGHTS else ""
    return [f"The role {' or '.join(ROLE_LABELS[role] for role in roles_with(asked))}{where}"]


def _granters(project: Project) -> list[str]:
    admins = project.memberships.open().filter(role=Role.ADMIN, user__is_active=True).select_related("user")
    names = list(dict.fromkeys(str(row.user) for row in admins.order_by("user__username")[:GRANTERS]))
    return names or [str(each) for each in User.objects.filter(is_site_admin=True, is_active=True)[:GRANTERS]]
