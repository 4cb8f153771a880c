"""Which code this portal runs: the commit of the checkout it was started from, and its version."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import mlportal

_ROOT = Path(mlportal.__file__).resolve().parent.parent
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@cache
def commit() -> str:
    """The commit that was checked out when this process first asked; empty for an installed package."""
    return commit_of(_ROOT)


def version() -> str:
    """Name and version of the portal."""
    return f"mlportal {mlportal.__version__}"


def commit_of(folder: Path) -> str:
    """Return the commit that a folder has checked out, read from its files: git itself may not be installed.

    Parameters
    ----------
    folder : Path
        The top of a checkout; of a linked work tree, too.
    """
    try:
        home = _git_folder(folder / ".git")
        head = (home / "HEAD").read_text().strip()
        found = _of_branch(home, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
    except OSError:
        return ""
    return found if _COMMIT.fullmatch(found) else ""


def _git_folder(place: Path) -> Path:
    """Follow the file that stands for the folder in a linked work tree."""
    if place.is_dir():
        return place
    return place.parent / place.read_text().strip().removeprefix("gitdir: ")


def _of_branch(home: Path, name: str) -> str:
    """Look a branch up: a file of its own, or a line of the packed ones; both may lie with the main work tree."""
    shared = home / "commondir"
    places = [home, home / shared.read_text().strip()] if shared.is_file() else [home]
    for place in places:
        if (place / name).is_file():
            return (place / name).read_text().strip()
        packed = place / "packed-refs"
        lines = packed.read_text().splitlines() if packed.is_file() else []
        for line in lines:
            if line.endswith(f" {name}"):
                return line.split()[0]
    return ""
