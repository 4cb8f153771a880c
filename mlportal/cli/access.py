"""``mlportal access`` and ``mlportal service-account``: why and who, and accounts of automation."""

import argparse
from typing import Any

from mlportal.cli.client import MAX_ROWS, common, portal
from mlportal.cli.errors import FAILED
from mlportal.cli.output import show, table

SCOPES = "comma-separated scopes, such as read,write"


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    access = commands.add_parser("access", help="why somebody may or may not do something, and who may")
    actions = access.add_subparsers(metavar="ACTION", required=True)
    why = actions.add_parser("why", help="one answer with its reasons; exit with 1 when it is no")
    _add_question(why)
    why.add_argument("--person", default="", help="sign-in name; default: the token of this command")
    why.add_argument("--token", default="", metavar="NUMBER", help="one of their tokens")
    common(why)
    why.set_defaults(run=run_why)
    who = actions.add_parser("who", help="everybody who holds a right, and through what")
    _add_question(who)
    who.add_argument("--as-of", default="", metavar="TIME", help="a day or a moment in UTC: who could then")
    common(who)
    who.set_defaults(run=run_who)
    _add_accounts(commands)


def _add_question(parser: Any) -> None:
    parser.add_argument("permission", help="a right, such as run.log or promotion.decide")
    parser.add_argument("--on", default="", metavar="KIND:NAME", help="environment:production, folder:3, run:7, …")


def _add_accounts(commands: Any) -> None:
    accounts = commands.add_parser("service-account", help="accounts of automation in the project")
    actions = accounts.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list them")
    common(listed)
    listed.set_defaults(run=run_list)
    new = actions.add_parser("new", help="make one")
    new.add_argument("name", help="the account is called PROJECT.NAME")
    new.add_argument("--owner", required=True, help="sign-in name of the member who answers for it")
    new.add_argument("--role", required=True, choices=["viewer", "scientist", "manager", "ops"])
    common(new)
    new.set_defaults(run=run_new)
    token = actions.add_parser("token", help="mint a token of one; it is printed this once")
    token.add_argument("account", metavar="PROJECT.NAME")
    token.add_argument("--name", required=True, help="where it lies")
    token.add_argument("--scopes", default="read", help=SCOPES)
    token.add_argument("--days", type=int, default=90)
    common(token)
    token.set_defaults(run=run_token)
    for action, words in (("disable", "close one; its tokens end for good"), ("enable", "open one again")):
        change = actions.add_parser(action, help=words)
        change.add_argument("account", metavar="PROJECT.NAME")
        common(change)
        change.set_defaults(run=run_change, body={"is_active": action == "enable"})
    owner = actions.add_parser("owner", help="name another person who answers for one")
    owner.add_argument("account", metavar="PROJECT.NAME")
    owner.add_argument("owner")
    common(owner)
    owner.set_defaults(run=run_owner)


def run_why(given: argparse.Namespace) -> int:
    """Print the answer and its reasons."""
    at = portal(given)
    found = at.get(
        at.path("access", "why"), permission=given.permission, on=given.on, person=given.person, token=given.token
    )
    lines = [f"{found['person']}: {'yes' if found['may'] else 'no'}, {found['permission']}"]
    lines += [found["refusal"]] if found["refusal"] else []
    lines += [f"  {each['effect']:5}  {each['words']}" for each in found["reasons"]]
    lines += [f"  first  {words}" for words in found["first"]]
    lines += [f"  would change it: {words}" for words in found["remedies"]]
    show(given, found, "\n".join(lines))
    return 0 if found["may"] else FAILED


def run_who(given: argparse.Namespace) -> int:
    """List everybody who holds a right."""
    at, rows, after = portal(given), [], ""
    while True:
        query = {"permission": given.permission, "on": given.on, "as_of": given.as_of, "after": after}
        page = at.get(at.path("access", "who"), **query)
        rows += page["results"]
        if not (after := page["after"]) or len(rows) >= MAX_ROWS:
            break
    lines = [[row["person"], "yes" if row["may"] else row["excluded"], "; ".join(row["sources"])] for row in rows]
    show(given, rows, table(["person", "may", "through"], lines))
    return 0


def run_list(given: argparse.Namespace) -> int:
    """List service accounts."""
    at = portal(given)
    rows = at.pages(at.path("service-accounts"), MAX_ROWS)
    lines = [
        [row["username"], "active" if row["is_active"] else "disabled", _owner(row), row["live_tokens"]] for row in rows
    ]
    show(given, rows, table(["account", "state", "answers for it", "tokens"], lines))
    return 0


def _owner(row: Any) -> str:
    return f"{row['owner']} (has left)" if row["owner_left"] else str(row["owner"])


def run_new(given: argparse.Namespace) -> int:
    """Make a service account."""
    at = portal(given)
    body = {"name": given.name, "owner": given.owner, "role": given.role}
    made = at.post(at.path("service-accounts"), body)
    show(given, made, f"{made['username']}: {made['owner']} answers for it. Mint a token next.")
    return 0


def run_token(given: argparse.Namespace) -> int:
    """Mint a token and print its secret, alone, so that a script can take it."""
    at = portal(given)
    scopes = [scope.strip() for scope in given.scopes.split(",") if scope.strip()]
    body = {"name": given.name, "scopes": scopes, "days": given.days}
    made = at.post(at.path("service-accounts", given.account, "tokens"), body)
    show(given, made, made["secret"])
    return 0


def run_change(given: argparse.Namespace) -> int:
    """Disable or enable an account."""
    return _changed(given, given.body)


def run_owner(given: argparse.Namespace) -> int:
    """Name another owner."""
    return _changed(given, {"owner": given.owner})


def _changed(given: argparse.Namespace, body: dict[str, Any]) -> int:
    at = portal(given)
    row = at.patch(at.path("service-accounts", given.account), body)
    show(given, row, f"{row['username']}: {'active' if row['is_active'] else 'disabled'}, {_owner(row)} answers for it")
    return 0
