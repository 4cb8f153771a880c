"""``mlportal model``: take a version along, prove that it is what was registered, have it trained again."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mlportal.cli.client import common, portal
from mlportal.cli.errors import FAILED, REFUSED, USAGE, Failure
from mlportal.cli.offline import CODES, told
from mlportal.cli.output import show

AGAIN = """exit codes of reproduce: 0 reproduced, also within tolerance; 1 not reproduced, or no certificate; others as
of every command"""
ALTERED, MISMATCH = 1, 3
GOOD = ("reproduced", "within_tolerance")


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    model = commands.add_parser("model", help="export, check and reproduce versions of models")
    actions = model.add_subparsers(metavar="ACTION", required=True)
    export = actions.add_parser("export", help="write a version with its proof to a zip")
    export.add_argument("model")
    export.add_argument("version", type=int)
    export.add_argument("--kind", choices=["edge", "container"], help="with what runs it without the portal")
    export.add_argument("-o", "--output", type=Path, help="default: MODEL-vVERSION[-KIND].zip; never overwrites")
    common(export)
    export.set_defaults(run=run_export)
    verify = actions.add_parser("verify", help="check a version on the portal, or a file without it", epilog=CODES)
    verify.add_argument(
        "model", metavar="MODEL|FILE", help="a model with VERSION; or an exported zip or a certificate (.json) alone"
    )
    verify.add_argument("version", type=int, nargs="?")
    verify.add_argument("--key", type=Path, metavar="FILE", help="public key that must have signed the file (PEM)")
    common(verify)
    verify.set_defaults(run=run_verify)
    again = actions.add_parser("reproduce", help="train a version again and certify what comes out", epilog=AGAIN)
    again.add_argument("model")
    again.add_argument("version", type=int)
    again.add_argument("--metric-tolerance", type=float, metavar="SHARE", help="of each recorded metric")
    again.add_argument("--prediction-tolerance", type=float, metavar="SIZE", help="probability, or deviations")
    again.add_argument("--timeout", type=float, default=3600)
    again.add_argument("-o", "--output", type=Path, help="write the signed certificate here; never overwrites")
    common(again)
    again.set_defaults(run=run_reproduce)


def run_export(given: argparse.Namespace) -> int:
    """Download a version as a package."""
    at = portal(given)
    ending = f"-{given.kind}" if given.kind else ""
    target = given.output or Path(f"{given.model}-v{given.version}{ending}.zip")
    if target.exists():
        raise Failure(f"{target} exists; an export never overwrites.", REFUSED)
    place = at.path("models", given.model, "versions", given.version, "export")
    size = at.download(place, target, **({"kind": given.kind} if given.kind else {}))
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


def run_reproduce(given: argparse.Namespace) -> int:
    """Have a version trained again, wait, tell the verdict and every difference."""
    if given.output and given.output.exists():
        raise Failure(f"{given.output} exists; an export never overwrites.", REFUSED)
    at = portal(given)
    tolerances = {name: getattr(given, name) for name in ("metric_tolerance", "prediction_tolerance")}
    asked = {name: value for name, value in tolerances.items() if value is not None}
    place = ("models", given.model, "versions", given.version, "reproductions")
    made = at.post(at.path(*place), asked)
    over = lambda row: row["state"] not in ("queued", "starting", "running")  # noqa: E731
    row = at.wait(at.path(*place, made["id"]), over=over, timeout=given.timeout, on_change=_tell)
    if row["state"] != "succeeded":
        raise Failure(f"reproduction {row['id']} {row['state']}: {row['failure']}", FAILED)
    found = at.get(at.path(*place, made["id"], "certificate"))
    if given.output:
        given.output.write_text(json.dumps(found, indent=2, ensure_ascii=False))
    show(given, row | found, _words(given, found["certificate"]))
    return 0 if row["verdict"] in GOOD else FAILED


def _words(given: argparse.Namespace, found: dict[str, Any]) -> str:
    lines = [f"{given.model} v{given.version}: {found['verdict'].replace('_', ' ')}. {found['failure']}".strip()]
    lines += [f"file differs: {row['path']}" for row in found["files"] if not row["same"]]
    lines += [
        f"metric {row['metric']}: {row['recorded']} recorded, {row['again']} again"
        for row in found["metrics"] if row["difference"] != 0
    ]  # fmt: skip
    if answers := found["predictions"]:
        lines.append(f"predictions differ at most {answers['max_difference']:g} ({answers['unit']})")
    lines += [f"{row['part']}: {row['recorded']} recorded, {row['again']} again" for row in found["differences"]]
    return "\n".join(lines)


def _tell(row: Any) -> None:
    words = row["phase"] or (f"job {row['job']} {row['training']}" if row["state"] == "queued" else row["state"])
    print(f"reproduction {row['id']}: {words}", file=sys.stderr)


def _verify_file(given: argparse.Namespace) -> int:
    from deployments.proof import certificate, package  # need no settings and no database

    check = certificate.verify if given.model.endswith(".json") else package.verify
    return told(given, Path(given.model), check)
