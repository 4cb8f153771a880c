"""``mlportal import``: bring runs, models and files of another tool into the portal.

All readers hand over the same things (`things`), and one writer sends them through the portal's MLflow door (`target`),
so that nothing is written that a client could not write.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlportal.cli import credentials
from mlportal.cli.errors import FAILED, FORBIDDEN, REFUSED, Failure

if TYPE_CHECKING:
    from mlportal.cli.importing.things import Source

MAX_JOBS = 16
AGAIN = """An import may be stopped at any time, also by kill -9: run the same command again and it goes on; nothing is
doubled or lost. Run it again later to fetch what is new. At the end both sides are compared.
exit codes: 0 source and portal agree; 1 they differ, the differences are listed; others as everywhere (mlportal -h)"""


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    top = commands.add_parser("import", help="bring runs and models of another tool here: mlflow, wandb, neptune")
    tools = top.add_subparsers(metavar="TOOL", required=True)
    _add_mlflow(tools)
    wandb = _tool(tools, "wandb", "Weights & Biases: folders of offline (or synced) runs", run_wandb)
    wandb.add_argument("source", metavar="FOLDER", help="a wandb folder, the folder around it, or one run's folder")
    wandb.add_argument("--follow-links", action="store_true", help="take files that are links out of the run's folder")
    neptune = _tool(tools, "neptune", "Neptune: what neptune-exporter wrote", run_neptune)
    neptune.add_argument(
        "source", metavar="FOLDER", help="the exporter's data folder, or the one around data and files"
    )
    neptune.add_argument("--files", metavar="FOLDER", default="", help="its files folder; default: beside data")
    neptune.add_argument(
        "--step-multiplier", type=int, default=1, metavar="N", help="steps with decimals times N become whole numbers"
    )


def _add_mlflow(tools: Any) -> None:
    mlflow = _tool(tools, "mlflow", "an MLflow server, its database, or an mlruns folder", run_mlflow)
    mlflow.add_argument("source", metavar="URI", help="http(s)://…, sqlite:///…, postgresql://…, or a folder")
    mlflow.add_argument("--deleted", action="store_true", help="deleted experiments and runs too; they stay deleted")
    mlflow.add_argument(
        "--python", default=sys.executable, metavar="PATH", help="interpreter of an environment that has mlflow"
    )
    mlflow.add_argument(
        "--artifacts", default="", metavar="URI", help="where files behind the server's proxy lie (database as source)"
    )
    mlflow.add_argument(
        "--local-files", action="store_true", help="read local paths that a server names (trusted server, shared disk)"
    )
    mlflow.add_argument("--no-registry", action="store_true", help="leave the model registry out")
    mlflow.add_argument(
        "--skip-versions",
        action="store_true",
        help="give up versions that cannot be copied; else later ones wait, to keep the numbers",
    )


def _tool(tools: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    tool: argparse.ArgumentParser = tools.add_parser(
        name, help=text, description=text, epilog=AGAIN, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tool.add_argument("--project", default="", help="default: the one given at sign-in")
    tool.add_argument("--experiment", action="append", default=[], metavar="NAME", help="only this one; repeat")
    tool.add_argument("--dry-run", action="store_true", help="count, write nothing")
    tool.add_argument("--verify", action="store_true", help="compare complete runs too, not only new and changed ones")
    tool.add_argument("--jobs", type=int, default=2, metavar="N", help=f"runs at a time, 1 to {MAX_JOBS}; default 2")
    tool.add_argument("--json", action="store_true", help="print the result as JSON, no progress")
    tool.set_defaults(run=run)
    return tool


def run_mlflow(given: argparse.Namespace) -> int:
    """Import from MLflow."""
    from mlportal.cli.importing.mlflow_source import MLflow

    return _run(
        given,
        lambda: MLflow(
            given.source, python=given.python, local=given.local_files, artifacts=given.artifacts, jobs=given.jobs
        ),
    )


def run_wandb(given: argparse.Namespace) -> int:
    """Import from folders of W&B."""
    from mlportal.cli.importing.wandb_source import WandB

    return _run(given, lambda: WandB(Path(given.source), follow=given.follow_links))


def run_neptune(given: argparse.Namespace) -> int:
    """Import from an export of Neptune."""
    from mlportal.cli.importing.neptune_source import Neptune

    return _run(given, lambda: Neptune(Path(given.source), files=given.files, multiplier=given.step_multiplier))


def _run(given: argparse.Namespace, begin: Any) -> int:
    from mlportal.cli.importing import report, whole
    from mlportal.cli.importing.context import Context, Options
    from mlportal.cli.importing.progress import Progress
    from mlportal.cli.importing.target import Door, Refused
    from mlportal.cli.importing.things import Trouble

    if not 1 <= given.jobs <= MAX_JOBS:
        raise Failure(f"--jobs {given.jobs}: give 1 to {MAX_JOBS}", REFUSED)
    door = Door(credentials.load(given.project))
    door.greet()
    source: Source = begin()
    options = Options(
        only=frozenset(given.experiment),
        deleted=getattr(given, "deleted", False),
        verify=given.verify,
        # Version numbers need all versions, so parts of the registry cannot come along.
        registry=not getattr(given, "no_registry", False) and not given.experiment,
        skip_versions=getattr(given, "skip_versions", False),
        jobs=given.jobs,
    )
    here = Context(source, door, options, Progress(quiet=given.json or given.dry_run))
    began = time.monotonic()
    try:
        whole.count(here) if given.dry_run else whole.run(here)
    except (Refused, Trouble, OSError) as problem:
        code = FORBIDDEN if isinstance(problem, Refused) and problem.status == 403 else FAILED
        raise Failure(str(problem), code) from None
    finally:
        source.close()
    facts = {
        "source": source.name,
        "project": door_project(given),
        "dry_run": given.dry_run,
        "seconds": round(time.monotonic() - began, 1),
        "copied": {"points": here.progress.points, "bytes": here.progress.bytes},
    }
    notes = [*source.notes, *here.tally.notes]
    print((report.as_json if given.json else report.as_text)(here.tally, notes, facts))
    return FAILED if here.tally.differences else 0


def door_project(given: argparse.Namespace) -> str:
    """Return the project's name as the command knows it; empty when the token decides."""
    return credentials.load(given.project).project or os.environ.get("MLPORTAL_PROJECT", "")
