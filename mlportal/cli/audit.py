"""``mlportal audit``: prove that nothing in the audit log was changed. Works with or without a running portal."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mlportal.cli import offline
from mlportal.cli.errors import MISSING, REFUSED, USAGE, Failure
from mlportal.cli.output import show

CODES = """exit codes: 0 intact, 1 an entry was altered or is missing, 2 entries are missing at the end,
3 an anchor or a signature does not match, 4 the log or the anchors cannot be read"""


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    audit = commands.add_parser("audit", help="check, export and anchor the audit log")
    actions = audit.add_subparsers(metavar="ACTION", required=True)
    _add_verify(actions)
    _add_export(actions)
    check = actions.add_parser(
        "check", help="check evidence, or the record of a removed project, without the portal", epilog=offline.CODES
    )
    check.add_argument("file", type=Path, metavar="FILE.zip")
    check.add_argument("--key", type=Path, metavar="FILE", help="public key that must have signed it (PEM)")
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    check.set_defaults(run=run_check)
    anchor = actions.add_parser("anchor", help="sign where the log stands now and send it to the second places")
    anchor.add_argument("--json", action="store_true", help="print the result as JSON")
    anchor.set_defaults(run=run_anchor)


def _add_verify(actions: Any) -> None:
    verify = actions.add_parser("verify", help="walk the chain of hashes", epilog=CODES)
    verify.add_argument("--from", dest="first", type=_positive, default=1, metavar="N", help="first entry to check")
    verify.add_argument("--to", dest="last", type=_positive, metavar="N", help="last entry to check")
    verify.add_argument(
        "--anchors", type=Path, metavar="FILE",
        help="anchors to compare with, kept on another machine (default: the file of the settings, when it is there)",
    )  # fmt: skip
    verify.add_argument("--export", type=Path, metavar="FILE", help="check this export instead of the database")
    verify.add_argument("--key", type=Path, metavar="FILE", help="public key that must have signed the export (PEM)")
    verify.add_argument("--json", action="store_true", help="print the result as JSON")
    verify.set_defaults(run=run_verify)


def _add_export(actions: Any) -> None:
    export = actions.add_parser("export", help="write the log, a manifest and its signature to a zip")
    export.add_argument("file", type=Path, help="where to write it; never overwrites")
    export.add_argument("--project", default="", help="only entries of this project")
    export.add_argument("--since", default="", metavar="TIME", help="date or time in UTC, included")
    export.add_argument("--until", default="", metavar="TIME", help="date (the whole day) or time in UTC")
    export.add_argument("--json", action="store_true", help="print the result as JSON")
    export.set_defaults(run=run_export)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def run_verify(given: argparse.Namespace) -> int:
    """Check the log of the data directory (or of ``DATABASE_URL``), or an export without either."""
    from mlportal.cli import django

    django.setup()
    from mlportal.lib import signing
    from projects.services import anchors, verification

    if given.export:
        try:
            ring = signing.public_ring(given.key.read_bytes()) if given.key else None
        except (OSError, ValueError) as error:
            verdict = verification.Verdict(verification.UNREADABLE, f"Cannot read: {error}")
        else:
            verdict = verification.verify_export(given.export, anchors_file=given.anchors, ring=ring)
    else:
        usual = anchors.file() if anchors.file().exists() else None
        verdict = verification.verify(first=given.first, last=given.last, anchors_file=given.anchors or usual)
    value = {"code": verdict.code, "message": verdict.message, "checked": verdict.checked, "entry": verdict.seq}
    show(given, value, verdict.message)
    return verdict.code


def run_check(given: argparse.Namespace) -> int:
    """Check a file that was given away; needs neither settings nor a database."""
    from deployments.proof import filed

    return offline.told(given, given.file, filed.verify_pack)


def run_export(given: argparse.Namespace) -> int:
    """Write a part of the log."""
    from mlportal.cli import django

    django.setup()
    from mlportal.lib import moments
    from mlportal.lib.errors import Invalid
    from projects.actor import Actor
    from projects.models import Project
    from projects.permissions import Permission
    from projects.services import audit

    try:
        since = moments.read(given.since, field="since").start if given.since else None
        until = moments.after(given.until, field="until") if given.until else None
    except Invalid as error:
        raise Failure(error.message, USAGE) from error
    project = Project.objects.filter(slug=given.project).first() if given.project else None
    if given.project and project is None:
        raise Failure(f"There is no project {given.project!r}.", MISSING)
    if given.file.exists():
        raise Failure(f"{given.file} exists; an export never overwrites.", REFUSED)
    by = Actor.system("command line", project=project, grants={Permission.AUDIT_VIEW})
    parts = audit.export(by, project=project, chosen=audit.Filter(since=since, until=until))
    with given.file.open("xb") as stream:
        for part in parts:
            stream.write(part)
        size = stream.tell()
    show(given, {"file": str(given.file), "bytes": size}, f"{given.file}: {size:,} bytes.")
    return 0


def run_anchor(given: argparse.Namespace) -> int:
    """Anchor the log."""
    from mlportal.cli import django

    django.setup()
    from projects.actor import Actor
    from projects.permissions import Permission
    from projects.services import anchors

    made = anchors.make(Actor.system("command line", grants={Permission.SITE_ADMIN}))
    if made is None:
        show(given, None, "Nothing was added since the last anchor.")
        return 0
    open_copies = [f"{copy.place}: {copy.failure}" for copy in made.copies.filter(sent_at=None)]
    show(given, made.line() | {"failed": open_copies}, f"Anchor {made.number} at entry {made.seq}.")
    for text in open_copies:
        print(text, file=sys.stderr)
    return 1 if open_copies else 0
