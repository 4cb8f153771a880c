"""Accounts of automation: bound to one project, without a way to sign in, with a person who answers for them.

A service account works by tokens only, which people who manage the members mint for it. Whoever answers for one, or has
minted a token of it, counts as the same person where another one is asked for: they hold its secret, or held it.
"""

from django.db import models, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import ApiToken, Membership, Project, ServiceOwner, User
from projects.permissions import Permission, Role, require
from projects.services import events, members, terms

MOST = 100
DOMAIN = "service.invalid"  # no mail reaches it, and no identity provider can vouch for it (RFC 2606)


def create(by: Actor, *, project: Project, name: str, owner: User, role: str) -> User:
    """Make a service account with one role and the person who answers for it.

    Parameters
    ----------
    name : str
        The account is called ``<address of the project>.<name>``, so that it cannot be taken for a person.

    Raises
    ------
    Conflict
        When the name is taken, the owner does not belong to the project, or there are too many.
    Invalid
        For the role of an admin: rights are given by people.
    """
    require(by, Permission.MEMBER_MANAGE, project)
    chosen, giver = _role(role), _person(by)
    username = names.clean(f"{project.slug}.{names.clean(name)}")
    with transaction.atomic():
        terms.lock([project.pk])
        check_owner(project, owner)
        if User.objects.filter(service_project=project).count() >= MOST:
            raise Conflict(f"A project has at most {MOST} service accounts.", field="name", limit=MOST)
        if User.objects.filter(username__iexact=username).exists():
            raise Conflict(f"There is an account {username} already.", field="name")
        made = User.objects.create_user(
            username, email=f"{username.lower()}@{DOMAIN}", service_project=project, email_confirmed=False
        )
        ServiceOwner.objects.create(account=made, person=owner, named_by=giver)
        members.add(by, project=project, user=made, role=chosen)
        events.record(by, "service.created", project=project, target=made, data={"owner": owner.pk})
    return made


def change_owner(by: Actor, *, account: User, owner: User) -> ServiceOwner:
    """Name another person who answers for an account; who did before stays in the history.

    Raises
    ------
    Conflict
        When they answer for it already, or do not belong to the project.
    """
    require(by, Permission.MEMBER_MANAGE, account.service_project)
    project = _project(account)
    giver = _person(by)
    with transaction.atomic():
        terms.lock([project.pk])
        check_owner(project, owner)
        before = ServiceOwner.objects.filter(account=account, valid_to=None)
        if before.filter(person=owner).exists():
            raise Conflict(f"{owner.username} answers for {account.username} already.", field="owner")
        before.update(valid_to=timezone.now())
        made = ServiceOwner.objects.create(account=account, person=owner, named_by=giver)
        events.record(by, "service.owner_changed", project=project, target=account, data={"owner": owner.pk})
    return made


def disable(by: Actor, *, account: User) -> User:
    """Close an account at once: its tokens end for good. What it made stays.

    Raises
    ------
    Conflict
        When it is closed already.
    """
    require(by, Permission.MEMBER_MANAGE, account.service_project)
    project = _project(account)
    with transaction.atomic():
        if not User.objects.filter(pk=account.pk, is_active=True).update(is_active=False):
            raise Conflict(f"{account.username} is disabled already.")
        ended = account.tokens.filter(revoked_at=None).update(revoked_at=timezone.now())
        events.record(by, "user.deactivated", project=project, target=account, data={"tokens": ended})
    account.is_active = False
    return account


def enable(by: Actor, *, account: User) -> User:
    """Open a closed account again; it needs new tokens, and somebody who is here to answer for it.

    Raises
    ------
    Conflict
        When it is open, or who answers for it has left.
    """
    require(by, Permission.MEMBER_MANAGE, account.service_project)
    project = _project(account)
    with transaction.atomic():
        terms.lock([project.pk])
        row = ServiceOwner.objects.filter(account=account, valid_to=None).select_related("person").get()
        check_owner(project, row.person)
        if not User.objects.filter(pk=account.pk, is_active=False).update(is_active=True):
            raise Conflict(f"{account.username} is active already.")
        events.record(by, "user.activated", project=project, target=account)
    account.is_active = True
    return account


def check_owner(project: Project, owner: User) -> None:
    """Refuse whoever cannot answer for a service account of the project.

    Raises
    ------
    Conflict
        Naming them.
    """
    if owner.is_service:
        raise Conflict("A person answers for a service account, not another account.", field="owner")
    if not owner.is_active or not project.memberships.open().filter(user=owner).exists():
        raise Conflict(f"{owner.username} does not belong to the project.", field="owner")


def listed(project: Project) -> QuerySet[User]:
    """Service accounts by name, with ``owner_name``, ``owner_left``, ``live_tokens`` and ``token_used_at``."""
    now = timezone.now()
    owners = ServiceOwner.objects.filter(account=OuterRef("pk"), valid_to=None)
    live = ApiToken.objects.filter(user=OuterRef("pk"), revoked_at=None, expires_at__gt=now).order_by().values("user")
    return (
        User.objects.filter(service_project=project)
        .annotate(
            owner_name=Subquery(owners.values("person__username")[:1]),
            owner_left=~Exists(with_owner_here().filter(account=OuterRef("pk"))),
            live_tokens=Subquery(live.annotate(n=Count("pk")).values("n"), output_field=models.IntegerField()),
            token_used_at=Subquery(
                ApiToken.objects.filter(user=OuterRef("pk"))
                .order_by()
                .values("user")
                .annotate(at=Max("last_used_at"))
                .values("at")
            ),
        )
        .order_by("username")
    )


def with_owner_here() -> QuerySet[ServiceOwner]:
    """Who answers for an account now and still can: an open account, and a role in its project."""
    held = Membership.objects.open().filter(user=OuterRef("person"), project=OuterRef("account__service_project"))
    return ServiceOwner.objects.filter(Exists(held), valid_to=None, person__is_active=True)


def without_owner() -> QuerySet[User]:
    """Open accounts that nobody answers for any more."""
    held = with_owner_here().filter(account=OuterRef("pk"))
    return User.objects.filter(~Exists(held), service_project__isnull=False, is_active=True)


def owner_of(account: User) -> User | None:
    """Return who answers for an account now."""
    row = ServiceOwner.objects.filter(account=account, valid_to=None).select_related("person").first()
    return row.person if row else None


def behind(user: User) -> list[User]:
    """List whom an account stands for: a person for themselves, a service account for its people too.

    Those are all who answered for it, ever, and all who minted a token of it.
    """
    if not user.is_service:
        return [user]
    answered = Q(pk__in=ServiceOwner.objects.filter(account=user).values("person"))
    minted = Q(pk__in=ApiToken.objects.filter(user=user).values("created_by"))
    return [user, *User.objects.filter(answered | minted).order_by("pk")]


def _role(value: str) -> Role:
    role = terms.role_named(value)
    if role == Role.ADMIN:
        raise Invalid("A service account is never project admin.", field="role", got=role.value)
    return role


def _project(account: User) -> Project:
    if account.service_project is None:
        raise Invalid(f"{account.username} is a person, not a service account.", field="account")
    return account.service_project


def _person(by: Actor) -> User:
    if by.user is None or by.user.is_service:
        raise Forbidden("A person looks after service accounts.", code="people_only")
    return by.user
