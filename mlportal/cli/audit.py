"""``mlportal audit``: prove that nothing in the audit log was changed. Works with or without a running portal."""

import argparse
from pathlib import Path
from typing import Any

from mlportal.cli.output import show

CODES = """exit codes: 0 intact, 1 an entry was altered or is missing, 2 entries are missing at the end,
3 an anchor does not match, 4 the log or the anchors cannot be read"""


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    audit = commands.add_parser("audit", help="check the audit log")
    actions = audit.add_subparsers(metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="walk the chain of hashes", epilog=CODES)
    verify.add_argument("--from", dest="first", type=int, default=1, metavar="N", help="first entry to check")
    verify.add_argument("--to", dest="last", type=int, metavar="N", help="last entry to check")
    verify.add_argument("--anchors", type=Path, metavar="FILE", help="anchors to compare with, kept on another machine")
    verify.add_argument("--json", action="store_true", help="print the result as JSON")
    verify.set_defaults(run=run_verify)


def run_verify(given: argparse.Namespace) -> int:
    """Check the log of the data directory (or of ``DATABASE_URL``)."""
    from mlportal.cli import django

    django.setup()
    from projects.services import audit

    verdict = audit.verify(first=given.first, last=given.last, anchors=given.anchors)
    value = {"code": verdict.code, "message": verdict.message, "checked": verdict.checked, "entry": verdict.seq}
    show(given, value, verdict.message)
    return verdict.code
