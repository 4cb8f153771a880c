"""The ``mlportal`` command: run a portal, set it up unattended, and use one over REST.

Exit codes, fit for CI:

== =====================================================================
0  done
1  what was asked for ran and failed (a job failed, an alert is open, ...)
2  the command line is wrong
3  this machine lacks something, or the portal cannot start
4  not signed in, or not allowed
5  there is no such thing
6  the input was refused
7  the portal does not answer, or is not ready
8  waiting took longer than ``--timeout``
== =====================================================================
"""

import argparse
import sys
from collections.abc import Sequence

from mlportal import __version__
from mlportal.cli.errors import Failure


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from mlportal.cli import (
        access,
        admin,
        audit,
        batch,
        client,
        demo,
        erasing,
        importing,
        keep,
        legal_holds,
        line,
        model,
        papers,
        retraining,
        rollouts,
        server,
        trials,
    )

    top = argparse.ArgumentParser(prog="mlportal", description="One portal for the machine-learning lifecycle.")
    top.add_argument("--version", action="version", version=f"mlportal {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (
        server,
        demo,
        keep,
        admin,
        access,
        audit,
        client,
        line,
        batch,
        model,
        retraining,
        rollouts,
        trials,
        papers,
        legal_holds,
        erasing,
        importing,
    ):
        module.add_commands(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = parser().parse_args(arguments)
    try:
        return int(given.run(given) or 0)
    except Failure as failure:
        print(f"mlportal: {failure}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130
