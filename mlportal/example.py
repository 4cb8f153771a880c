"""The people of the example project, and how far it is: the part that the web process does itself."""

from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Project, User
from projects.permissions import Permission, Role
from projects.services import accounts, members, projects

SLUG = "example"
PEOPLE = {
    "vera": (Role.VIEWER, "Vera Lindqvist"),
    "sam": (Role.SCIENTIST, "Sam Okafor"),
    "mona": (Role.MANAGER, "Mona Castellanos"),
    "otto": (Role.OPS, "Otto Nakamura"),
    "ada": (Role.ADMIN, "Ada Petrova"),
}
PROGRESS, PROGRESS_SECONDS = "example:progress", 3600


def people(by: Actor) -> tuple[Project, dict[str, str]]:
    """Make the project with one user a role; return it with the passwords, which are kept nowhere.

    Raises
    ------
    Conflict
        When there is an example project already.
    """
    if Project.objects.filter(slug=SLUG).exists():
        raise Conflict("The example project is there already.", field="slug")
    passwords: dict[str, str] = {}
    users: dict[str, User] = {}
    for name, (_role, full_name) in PEOPLE.items():
        passwords[name] = accounts.generate_password()
        new = accounts.add(
            by, username=name, email=f"{name}@example.org", display_name=full_name, password=passwords[name]
        )
        users[name] = new.user
    project = projects.create(
        by, name="Example", slug=SLUG, owner=users["ada"], is_example=True,
        description="A tumour classifier on its way from data to a watched endpoint.",
    )  # fmt: skip
    admin = Actor.for_user(users["ada"])
    for name, (role, _full_name) in PEOPLE.items():
        if role != Role.ADMIN:
            members.add(admin, project=project, user=users[name], role=role)
    return project, passwords


def tell(text: str, *, failure: str = "", done: bool = False) -> None:
    """Note how far the example is, for the home page; without the shared cache nobody is told, and it goes on."""
    try:
        cache.set(PROGRESS, {"text": text, "failure": failure, "done": done}, PROGRESS_SECONDS)
    except (RedisError, OSError):
        return


def progress() -> dict[str, Any] | None:
    """What :func:`tell` said last, if that is less than an hour ago."""
    try:
        told: dict[str, Any] | None = cache.get(PROGRESS)
    except (RedisError, OSError):
        return None
    return told


def site_actor() -> Actor:
    """Return the command line acting on this machine's portal."""
    grants = {Permission.SITE_ADMIN, Permission.MEMBER_MANAGE}
    return Actor.system("command line", grants=grants)
