"""``mlportal legal-hold``: keep a project or a dataset from being removed for good."""

import argparse
from typing import Any

from mlportal.cli.client import MAX_ROWS, common, portal
from mlportal.cli.output import show, table


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    holds = commands.add_parser("legal-hold", help="keep what a court or a regulator asked for")
    actions = holds.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list those that stand and those that were lifted")
    listed.add_argument("--as-of", default="", metavar="TIME", help="a day or a moment in UTC: which stood then")
    common(listed)
    listed.set_defaults(run=run_list)
    place = actions.add_parser("place", help="place one on the project, or on one dataset")
    place.add_argument("--dataset", help="name of a dataset; without it the whole project is kept")
    _because(place)
    place.set_defaults(run=run_place)
    lift = actions.add_parser("lift", help="end one")
    lift.add_argument("number", type=int)
    _because(lift)
    lift.set_defaults(run=run_lift)


def run_list(given: argparse.Namespace) -> int:
    """List holds."""
    at = portal(given)
    if given.as_of:
        rows = at.get(at.path("legal-holds"), as_of=given.as_of)["legal_holds"]
        lines = [[row["what"], row["since"], row["until"], row["reason"]] for row in rows]
        show(given, rows, table(["what", "since", "until", "reason"], lines))
        return 0
    rows = at.pages(at.path("legal-holds"), MAX_ROWS)
    lines = [[row["id"], _what(row), "lifted" if row["lifted_at"] else "stands", row["reason"]] for row in rows]
    show(given, rows, table(["number", "what", "state", "reason"], lines))
    return 0


def run_place(given: argparse.Namespace) -> int:
    """Place a hold."""
    at = portal(given)
    row = at.post(at.path("legal-holds"), {"dataset": given.dataset, "reason": given.reason})
    show(given, row, f"hold {row['id']} on {_what(row)} stands")
    return 0


def run_lift(given: argparse.Namespace) -> int:
    """Lift a hold."""
    at = portal(given)
    row = at.post(at.path("legal-holds", given.number, "lift"), {"reason": given.reason})
    show(given, row, f"hold {row['id']} on {_what(row)} is lifted")
    return 0


def _because(command: Any) -> None:
    command.add_argument("--reason", required=True, help="at least 10 characters")
    common(command)


def _what(row: Any) -> str:
    return f"dataset {row['dataset']}" if row["dataset"] else "the whole project"
