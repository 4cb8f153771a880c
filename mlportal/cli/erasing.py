"""``mlportal removal`` and ``mlportal person``: projects that go for good, and people who ask what is known of them."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mlportal.cli.client import ENDED, MAX_ROWS, common, portal
from mlportal.cli.errors import FAILED, REFUSED, Failure
from mlportal.cli.output import show, table

REMOVALS = "removals"


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    _add_removals(commands)
    _add_persons(commands)


def _add_removals(commands: Any) -> None:
    actions = commands.add_parser("removal", help="remove projects for good, as a site administrator")
    actions = actions.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list removals, newest first")
    _with(listed, run_removals)
    preview = actions.add_parser("preview", help="count what would go; exit with 1 when something keeps it")
    preview.add_argument("slug", metavar="PROJECT")
    _with(preview, run_preview)
    ask = actions.add_parser("ask", help="hide a project from everybody and remove it in 30 days")
    ask.add_argument("slug", metavar="PROJECT")
    ask.add_argument("--confirm", required=True, metavar="PROJECT", help="its address once more")
    ask.add_argument("--reason", required=True, help="at least 10 characters")
    _with(ask, run_ask)
    call_off = actions.add_parser("call-off", help="keep a project after all")
    call_off.add_argument("number", type=int)
    _with(call_off, run_call_off)
    record = actions.add_parser("record", help="download what is kept of a removed project")
    record.add_argument("number", type=int)
    record.add_argument("--out", type=Path, metavar="FILE", help="default: removal-NUMBER-record.zip")
    _with(record, run_record)


def _add_persons(commands: Any) -> None:
    actions = commands.add_parser("person", help="what the project knows of one person")
    actions = actions.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list searches, newest first; nobody is named")
    _with(listed, run_searches)
    search = actions.add_parser("search", help="look for one person, who is read from standard input")
    search.add_argument("--ticket", required=True, help="number of the letter or case; this is kept")
    search.add_argument("--erase", action="store_true", help="also delete them from the prediction log")
    search.add_argument("--timeout", type=float, default=3600)
    _with(search, run_search)
    shown = actions.add_parser("report", help="print what a search found, as JSON")
    shown.add_argument("number", type=int)
    _with(shown, run_report)


def _with(parser: Any, run: Any) -> None:
    common(parser)
    parser.set_defaults(run=run)


def run_removals(given: argparse.Namespace) -> int:
    """List removals."""
    rows = portal(given).pages(REMOVALS, MAX_ROWS)
    lines = [[row["id"], row["project"], row["state"], row["due_at"], row["waits_for"]] for row in rows]
    show(given, rows, table(["number", "project", "state", "due", "waits for"], lines))
    return 0


def run_preview(given: argparse.Namespace) -> int:
    """Tell what would go."""
    found = portal(given).get(f"{REMOVALS}/preview", project=given.slug)
    lines = [[kind, count] for kind, count in sorted(found["rows"].items()) if count]
    kept = f"\nkept back: {found['kept_back']}" if found["kept_back"] else ""
    show(given, found, table(["what", "rows"], lines) + kept)
    return 1 if found["kept_back"] else 0


def run_ask(given: argparse.Namespace) -> int:
    """Ask for a removal."""
    body = {"project": given.slug, "confirm": given.confirm, "reason": given.reason}
    row = portal(given).post(REMOVALS, body)
    show(given, row, f"removal {row['id']}: {row['project']} goes on {row['due_at']} unless it is called off")
    return 0


def run_call_off(given: argparse.Namespace) -> int:
    """Keep a project."""
    row = portal(given).post(f"{REMOVALS}/{given.number}/call-off", {})
    show(given, row, f"removal {row['id']} is called off: {row['project']} is there again")
    return 0


def run_record(given: argparse.Namespace) -> int:
    """Download the record of a removed project."""
    target = given.out or Path(f"removal-{given.number}-record.zip")
    size = portal(given).download(f"{REMOVALS}/{given.number}/record", target)
    show(given, {"file": str(target), "bytes": size}, f"{target}: {size:,} bytes")
    return 0


def run_searches(given: argparse.Namespace) -> int:
    """List searches."""
    at = portal(given)
    rows = at.pages(at.path("persons"), MAX_ROWS)
    lines = [[row["id"], row["ticket"], row["state"], "yes" if row["erase"] else "no", row["asked_at"]] for row in rows]
    show(given, rows, table(["number", "ticket", "state", "erases", "asked"], lines))
    return 0


def run_search(given: argparse.Namespace) -> int:
    """Look for somebody, wait, and print the report. Arguments would stand in lists of processes and in histories."""
    person = sys.stdin.readline().rstrip("\r\n")
    if not person.strip():
        raise Failure("give the person on standard input: mlportal person search --ticket T < FILE", REFUSED)
    at = portal(given)
    made = at.post(at.path("persons"), {"person": person, "ticket": given.ticket, "erase": given.erase})
    place = at.path("persons", made["id"])
    row = at.wait(place, over=lambda found: found["state"] in ENDED, timeout=given.timeout)
    return _reported(given, row)


def run_report(given: argparse.Namespace) -> int:
    """Print a report."""
    at = portal(given)
    return _reported(given, at.get(at.path("persons", given.number)))


def _reported(given: argparse.Namespace, row: Any) -> int:
    if row["state"] in ENDED - {"succeeded"}:
        raise Failure(f"search {row['id']} {row['state']}: {row['failure']}", FAILED)
    given.json = True  # a report is for programs and for the answer to the person: nothing of it is shortened
    show(given, row, "")
    return 0
