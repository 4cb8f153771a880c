"""``mlportal technical-file`` and ``mlportal model-card``: papers about a version, as files."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mlportal.cli.client import common, portal
from mlportal.cli.errors import FAILED, REFUSED, Failure
from mlportal.cli.offline import CODES, told
from mlportal.cli.output import show


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    technical = commands.add_parser("technical-file", help="issue and check technical files of model versions")
    actions = technical.add_subparsers(metavar="ACTION", required=True)
    export = actions.add_parser("export", help="issue the file and download PDF, JSON, manifest and signature")
    _of_version(export, "MODEL-vVERSION-technical-file-NUMBER.zip")
    export.add_argument("--issue", type=int, metavar="NUMBER", help="download this issue again; makes no new one")
    export.add_argument("--timeout", type=float, default=600)
    export.set_defaults(run=run_technical_file)
    verify = actions.add_parser("verify", help="check an issued file without the portal", epilog=CODES)
    verify.add_argument("file", type=Path, metavar="FILE.zip")
    verify.add_argument("--key", type=Path, metavar="FILE", help="public key that must have signed it (PEM)")
    verify.add_argument("--json", action="store_true", help="print the result as JSON")
    verify.set_defaults(run=run_verify)
    card = commands.add_parser("model-card", help="download the model card of a version")
    _of_version(card, "MODEL-vVERSION-card.FORMAT")
    card.add_argument("--format", choices=["pdf", "html", "json"], default="pdf")
    card.set_defaults(run=run_card)


def run_technical_file(given: argparse.Namespace) -> int:
    """Issue a technical file, wait until it is packed, download it."""
    at = portal(given)
    number = given.issue
    if number is None:
        made = at.post(at.path("models", given.model, "versions", given.version, "technical-file", "issues"), {})
        number = made["number"]
    place = at.path("models", given.model, "technical-files", number)
    over = lambda row: row["state"] not in ("queued", "starting", "running")  # noqa: E731
    row = at.wait(place, over=over, timeout=given.timeout, on_change=_tell)
    if row["state"] != "succeeded":
        raise Failure(f"issue {number} {row['state']}: {row['failure']}", FAILED)
    target = _target(given, f"{given.model}-v{row['version']}-technical-file-{number}.zip")
    size = at.download(at.path("models", given.model, "technical-files", number, "download"), target)
    words = f"{target}: issue {number}, {row['filled']} of {row['asked']} fields filled, {size:,} bytes."
    show(given, row | {"file": str(target), "bytes": size}, words)
    return 0


def run_verify(given: argparse.Namespace) -> int:
    """Check an issued technical file; needs neither settings nor a database."""
    from deployments.proof import filed

    return told(given, given.file, filed.verify)


def run_card(given: argparse.Namespace) -> int:
    """Download a model card."""
    at = portal(given)
    target = _target(given, f"{given.model}-v{given.version}-card.{given.format}")
    place = at.path("models", given.model, "versions", given.version, "card", "files", given.format)
    size = at.download(place, target)
    show(given, {"file": str(target), "bytes": size}, f"{target}: {size:,} bytes.")
    return 0


def _of_version(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("model")
    command.add_argument("version", type=int)
    command.add_argument("-o", "--output", type=Path, help=f"default: {name}; never overwrites")
    common(command)


def _target(given: argparse.Namespace, name: str) -> Path:
    target = Path(given.output or name.replace("/", "_"))
    if target.exists():
        raise Failure(f"{target} exists; an export never overwrites.", REFUSED)
    return target


def _tell(row: Any) -> None:
    print(f"issue {row['number']}: {row['phase'] or row['state']}", file=sys.stderr)
