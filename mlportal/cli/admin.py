"""Commands for unattended installation; they work on the data directory, with or without a running portal."""

from typing import Any


def add_commands(commands: Any) -> None:
    """Declare the commands."""
