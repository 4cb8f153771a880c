"""``mlportal model``: take a version along, and prove that it is what was registered, with or without the portal."""

import argparse
from pathlib import Path
from typing import Any

from mlportal.cli.client import common, portal
from mlportal.cli.errors import REFUSED, USAGE, Failure
from mlportal.cli.output import show

CODES = """exit codes of verify: 0 intact, 1 a file or the manifest was altered, 3 a signature or key does not match,
4 the file cannot be read; others as of every command"""
ALTERED, MISMATCH, UNREADABLE = 1, 3, 4


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    model = commands.add_parser("model", help="export and check versions of models")
    actions = model.add_subparsers(metavar="ACTION", required=True)
    export = actions.add_parser("export", help="write a version with its proof to a zip")
    export.add_argument("model")
    export.add_argument("version", type=int)
    export.add_argument("-o", "--output", type=Path, help="default: MODEL-vVERSION.zip; never overwrites")
    common(export)
    export.set_defaults(run=run_export)
    verify = actions.add_parser("verify", help="check a version on the portal, or a zip without it", epilog=CODES)
    verify.add_argument("model", metavar="MODEL|FILE.zip", help="a model with VERSION; or an exported zip alone")
    verify.add_argument("version", type=int, nargs="?")
    verify.add_argument("--key", type=Path, metavar="FILE", help="public key that must have signed the zip (PEM)")
    common(verify)
    verify.set_defaults(run=run_verify)


def run_export(given: argparse.Namespace) -> int:
    """Download a version as a package."""
    at = portal(given)
    target = given.output or Path(f"{given.model}-v{given.version}.zip")
    if target.exists():
        raise Failure(f"{target} exists; an export never overwrites.", REFUSED)
    size = at.download(at.path("models", given.model, "versions", given.version, "export"), target)
    show(given, {"file": str(target), "bytes": size}, f"{target}: {size:,} bytes.")
    return 0


def run_verify(given: argparse.Namespace) -> int:
    """Check on the portal when a version is named, else the file."""
    if given.version is None:
        return _verify_file(given)
    if given.key:
        raise Failure("--key is for a file; the portal checks with its own keys.", USAGE)
    at = portal(given)
    found = at.post(at.path("models", given.model, "versions", given.version, "verify"), {})
    name = f"{given.model} v{given.version}"
    code = 0 if found["ok"] else ALTERED if found["signature_valid"] else MISMATCH
    show(given, found | {"code": code}, "\n".join(found["damaged"]) or f"{name} is intact.")
    return code


def _verify_file(given: argparse.Namespace) -> int:
    from deployments.proof import package  # needs no settings and no database
    from mlportal.lib import signing

    try:
        ring = signing.public_ring(given.key.read_bytes()) if given.key else None
    except (OSError, ValueError) as error:
        verdict = package.Verdict(UNREADABLE, f"Cannot read the key: {error}")
    else:
        verdict = package.verify(Path(given.model), ring=ring)
    value = {
        "code": verdict.code, "message": verdict.message, "path": verdict.path, "files": verdict.files,
        "bytes": verdict.size_bytes, "key": verdict.key,
    }  # fmt: skip
    show(given, value, verdict.message)
    return verdict.code
