"""What measurements may cost: a bar that is missed is said in its line, and fails the command at its end."""

import sys

missed: list[str] = []


def verdict(what: str, value: float, bar: float) -> str:
    """Return the end of a line, and remember what was missed."""
    if value <= bar:
        return ""
    missed.append(f"{what.strip()}: {value:.2f}, the bar is {bar:g}")
    return "  MISSED"


def settle() -> None:
    """End the command with what was missed, if anything was."""
    if missed:
        sys.exit("missed:\n  " + "\n  ".join(missed))
