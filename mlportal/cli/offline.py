"""Checks of signed files that need neither the portal nor a database: one answer, one set of exit codes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlportal.cli.output import show

if TYPE_CHECKING:
    from deployments.proof.package import Verdict
    from mlportal.lib.signing import Keyring

CODES = """exit codes of verify: 0 intact, 1 a file or the manifest was altered, 3 a signature or key does not match,
4 the file cannot be read; others as of every command"""


class Check(Protocol):
    """A check of one file with the keys that may have signed it."""

    def __call__(self, path: Path, *, ring: "Keyring | None" = None) -> "Verdict":
        """Return what was found."""


def told(given: argparse.Namespace, path: Path, check: Check) -> int:
    """Check a file with the key that was given, or the one in it; say what was found. Returns the exit code."""
    from deployments.proof.package import UNREADABLE, Verdict
    from mlportal.lib import signing

    try:
        ring = signing.public_ring(given.key.read_bytes()) if given.key else None
    except (OSError, ValueError) as error:
        verdict = Verdict(UNREADABLE, f"Cannot read the key: {error}")
    else:
        verdict = check(path, ring=ring)
    value = {
        "code": verdict.code, "message": verdict.message, "path": verdict.path, "files": verdict.files,
        "bytes": verdict.size_bytes, "key": verdict.key,
    }  # fmt: skip
    show(given, value, verdict.message)
    return verdict.code
