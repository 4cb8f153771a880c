"""People, projects and tokens."""

import functools
import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from projects.actor import Actor
from projects.models import ApiToken, Membership, Project, User
from projects.permissions import Permission

PASSWORD = "correct horse battery"


@functools.cache
def encoded_password() -> str:
    """The slow hash of the one password, computed once a process."""
    return make_password(PASSWORD)


def make_user(name: str = "ana", *, role: str = "", project: Project | None = None, **extra: object) -> User:
    extra.setdefault("email", f"{name}@example.org")
    user = User.objects.create(username=name, password=encoded_password(), **extra)
    if role and project:
        Membership.objects.create(user=user, project=project, role=role)
    return user


def make_project(slug: str = "churn", *, owner: User | None = None) -> Project:
    owner = owner or User.objects.filter(username="root").first() or make_user("root", is_site_admin=True)
    return Project.objects.create(slug=slug, name=slug.capitalize(), created_by=owner)


def actor(user: User) -> Actor:
    return Actor.for_user(user, address="127.0.0.1", request_id="test", authenticated_at=timezone.now())


def system(project: Project, *grants: Permission, on_behalf_of: User | None = None) -> Actor:
    return Actor.system("test", project=project, grants=frozenset(grants), on_behalf_of=on_behalf_of)


def make_token(user: User, project: Project | None, scopes: list[str], *, days: float = 30) -> str:
    secret = "mlp_" + secrets.token_urlsafe(32)
    ApiToken.objects.create(
        user=user,
        project=project,
        name="test",
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        hint=secret[:8],
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=days),
    )
    return secret
