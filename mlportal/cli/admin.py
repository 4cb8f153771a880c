"""Commands for unattended installation; they work on the data directory, with or without a running portal.

Who may run them is decided by the file system: whoever reads the data directory holds its secrets.
The audit log names them as the command line.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from mlportal.cli.errors import MISSING, REFUSED, Failure
from mlportal.cli.output import show, table

if TYPE_CHECKING:
    from projects.actor import Actor
    from projects.models import Project, User


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    admin = commands.add_parser("admin", help="add users, projects, members and tokens on this machine")
    things = admin.add_subparsers(metavar="THING", required=True)
    users = things.add_parser("user", help="add a user, or let one in again").add_subparsers(
        metavar="ACTION", required=True
    )
    _add_user(_action(users, "add", "add a user", run_user_add))
    _add_reset(_action(users, "reset-second-factor", "take away a lost second factor", run_factor_reset))
    _add_project(_adder(things, "project", "add a project", run_project_add))
    _add_member(_adder(things, "member", "give a user a role in a project", run_member_add))
    _add_token(_adder(things, "token", "make an API token", run_token_add))
    keeping = things.add_parser("retention", help="what is over its days").add_subparsers(
        metavar="ACTION", required=True
    )
    _action(keeping, "show", "tell what the scheduler would forget; nothing is changed", run_retention_show)
    files = things.add_parser("files", help="stored files").add_subparsers(metavar="ACTION", required=True)
    collect = files.add_parser("collect", help="remove files that nothing has named for a day")
    collect.add_argument("--dry-run", action="store_true", help="only tell how many there are, and how large")
    collect.add_argument("--json", action="store_true", help="print the result as JSON")
    collect.set_defaults(run=run_files_collect)


def _adder(things: Any, thing: str, text: str, run: Any) -> argparse.ArgumentParser:
    actions = things.add_parser(thing, help=text).add_subparsers(metavar="ACTION", required=True)
    return _action(actions, "add", text, run)


def _action(actions: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=text)
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    made.set_defaults(run=run)
    return made


def _add_reset(reset: argparse.ArgumentParser) -> None:
    reset.add_argument("name")
    reset.add_argument("--reason", required=True, help="kept in the audit log")


def _add_user(add: argparse.ArgumentParser) -> None:
    add.add_argument("name")
    add.add_argument("--email", required=True)
    add.add_argument("--display-name", default="")
    add.add_argument("--site-admin", action="store_true", help="may manage users and projects")
    password = add.add_mutually_exclusive_group(required=True)
    password.add_argument("--generate-password", action="store_true", help="make one and print it this once")
    password.add_argument("--password-stdin", action="store_true", help="read it from standard input")


def _add_project(add: argparse.ArgumentParser) -> None:
    add.add_argument("name")
    add.add_argument("--owner", required=True, help="user who becomes its first admin")
    add.add_argument("--slug", default="", help="the name in addresses; default: made from the name")
    add.add_argument("--description", default="")


def _add_member(add: argparse.ArgumentParser) -> None:
    add.add_argument("user")
    add.add_argument("--project", required=True)
    add.add_argument("--role", required=True)


def _add_token(add: argparse.ArgumentParser) -> None:
    add.add_argument("--user", required=True)
    add.add_argument("--project", required=True)
    add.add_argument("--scopes", required=True, help="separated by commas or blanks")
    add.add_argument("--name", default="command-line")
    add.add_argument("--days", type=int, default=90)
    add.add_argument("--print", action="store_true", required=True, help="print the token; it cannot be shown again")


def run_user_add(given: argparse.Namespace) -> int:
    """Add a user."""
    _load()
    from projects.services import accounts

    password = sys.stdin.readline().rstrip("\n") if given.password_stdin else accounts.generate_password()
    new = _called(
        accounts.add,
        username=given.name,
        email=given.email,
        display_name=given.display_name,
        site_admin=given.site_admin,
        password=password,
    )
    result = {"user": new.user.username, "email": new.user.email, "site_admin": new.user.is_site_admin}
    if given.generate_password:
        result["password"] = password
    show(given, result, "\n".join(f"{key}: {value}" for key, value in result.items()))
    return 0


def run_factor_reset(given: argparse.Namespace) -> int:
    """Take away the second factor of somebody who lost it; also of the last site administrator."""
    _load()
    from projects.services import second_factor

    user = _called(second_factor.reset, user=_user(given.name), reason=given.reason)
    show(given, {"user": user.username, "second_factor": False}, f"{user.username} signs in with the password alone")
    return 0


def run_project_add(given: argparse.Namespace) -> int:
    """Add a project."""
    _load()
    from projects.services import projects

    owner = _user(given.owner)
    new = _called(projects.create, name=given.name, slug=given.slug, description=given.description, owner=owner)
    result = {"project": new.slug, "name": new.name, "owner": owner.username}
    show(given, result, "\n".join(f"{key}: {value}" for key, value in result.items()))
    return 0


def run_member_add(given: argparse.Namespace) -> int:
    """Give a user a role."""
    _load()
    from projects.services import members

    project, user = _project(given.project), _user(given.user)
    _called(members.add, within=project, project=project, user=user, role=given.role)
    result = {"user": user.username, "project": project.slug, "role": given.role}
    show(given, result, f"{user.username} is {given.role} in {project.slug}")
    return 0


def run_token_add(given: argparse.Namespace) -> int:
    """Make a token and print it; with ``--json`` as a field."""
    _load()
    from projects.services import tokens

    project, user = _project(given.project), _user(given.user)
    scopes = given.scopes.replace(",", " ").split()
    new = _called(
        tokens.create, within=project, project=project, name=given.name, scopes=scopes, days=given.days, owner=user
    )
    result = {"token": new.secret, "scopes": new.token.scopes, "expires_at": new.token.expires_at.isoformat()}
    show(given, result, new.secret)
    return 0


def run_files_collect(given: argparse.Namespace) -> int:
    """Collect files that nothing names."""
    _load()
    from dataclasses import asdict

    from mlportal import collection
    from mlportal.lib.quantities import filesize

    found = collection.collect(dry_run=given.dry_run)
    lines = [
        f"{word}: {tally.files} files, {filesize(tally.size_bytes)}"
        for word, tally in (
            ("named by nothing", found.unnamed), ("so for a day", found.due), ("removed", found.removed),
        )
    ]  # fmt: skip
    show(given, asdict(found), "\n".join(lines))
    return 0


def _load() -> None:
    """Load Django on an up-to-date database, so that a fresh data directory works too."""
    from mlportal import upgrade
    from mlportal.cli import django

    django.setup()
    upgrade.database()


def _actor(within: "Project | None") -> "Actor":
    from projects.actor import Actor
    from projects.permissions import Permission

    grants = {Permission.SITE_ADMIN, Permission.MEMBER_MANAGE, Permission.TOKEN_CREATE}
    return Actor.system("command line", project=within, grants=grants)


def run_retention_show(given: argparse.Namespace) -> int:
    """Tell what is over its days."""
    _load()
    from dataclasses import asdict

    from deployments.services import retention

    found = retention.due()
    lines = [[each.project, each.what, each.days, each.rows, each.kept or "goes"] for each in found]
    show(given, [asdict(each) for each in found], table(["project", "what", "days", "rows", ""], lines))
    return 0


def _called(service: Any, within: "Project | None" = None, **values: Any) -> Any:
    """Call a service and turn its refusal into a sentence with an exit code."""
    from mlportal.lib.errors import DomainError

    try:
        return service(_actor(within), **values)
    except DomainError as error:
        raise Failure(str(error), REFUSED) from None


def _user(name: str) -> "User":
    from projects.models import User

    found = User.objects.filter(username__iexact=name).first()
    if found is None:
        raise Failure(f"there is no user {name!r}", MISSING)
    return found


def _project(slug: str) -> "Project":
    from projects.models import Project

    found = Project.objects.filter(slug=slug).first()
    if found is None:
        raise Failure(f"there is no project {slug!r}; names in addresses are lower case", MISSING)
    return found
